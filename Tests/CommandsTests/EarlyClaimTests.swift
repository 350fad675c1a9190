import Actuators
import Hardware
import Platform
import Records
import Storage
import TestSupport
import Testing

@testable import Commands

/// Commands while the claims of earlier starts are not known yet, and while the disk does not work.
@Suite struct EarlyClaimTests {
    /// A journal in memory that can fail.
    private final class Journal: ClaimJournal {
        var history: [ClaimBatch.Claim] = []
        var fails = false
        var batches: [ClaimBatch] = []

        func load() throws(StorageError) -> ClaimHistory {
            try check()
            var found = ClaimHistory()
            found.claims = history
            return found
        }

        func write(_ batch: ClaimBatch) throws(StorageError) {
            try check()
            batches.append(batch)
        }

        private func check() throws(StorageError) {
            if fails { throw StorageError(file: "commands.db", operation: "open", code: 14, reason: "no such folder") }
        }

        var answered: [Int64] { batches.flatMap { $0.answers.map { $0.sequence } } }
        var delivered: [Int64] { batches.flatMap { $0.delivered } }
    }

    /// A processor with a pump, whose disk a test moves by hand.
    private final class Bench {
        let loop = ManualLoop()
        let journal = Journal()
        let queue = HeldWorkQueue()
        let hardware: SimulatedHardware
        let actuator: Actuator
        var replies: [Reply] = []
        var undelivered: [String] = []
        var starts = 0
        var processor: CommandProcessor?

        init() throws {
            let log = LogRecorder().log
            let pump = GPIOOutput.Settings(line: LineReference(chip: nil, line: .offset(27))).plan
            hardware = SimulatedHardware(loop: loop)
            actuator = try ActuatorPlan(id: "pump", driver: pump).open(on: hardware, loop: loop, log: log)
            let processor = CommandProcessor(
                node: "pi-01", settings: CommandSettings(topics: []), actuators: [actuator], loop: loop, log: log,
                journal: journal, journalQueue: queue
            ) { [unowned self] in
                replies.append($0)
                return true
            }
            processor.onUndelivered = { [unowned self] id, _ in
                undelivered.append(id)
                return true
            }
            self.processor = processor
        }

        func start() { processor?.start { [unowned self] in starts += 1 } }

        func send(_ text: String, partition: Int32 = 0, offset: Int64, timestamp: Int64? = nil) {
            Array(text.utf8).withUnsafeBytes {
                processor?.handle(
                    payload: $0, topic: "commands", partition: partition, offset: offset,
                    timestampMilliseconds: timestamp ?? loop.wallTime.milliseconds)
            }
        }

        func statuses(_ id: String) -> [Status] { replies.filter { $0.id == id }.map { $0.status } }
    }

    private let safe = #"{"id":"safe","actuator":"pump","safe":true}"#
    private let on = #"{"id":"on","actuator":"pump","value":1}"#

    private func kept(
        _ sequence: Int64, _ id: String, offset: Int64, reply: String = ""
    ) -> ClaimBatch.Claim {
        ClaimBatch.Claim(
            sequence: sequence, id: id, actuator: "pump", topic: "commands", partition: 0, offset: offset,
            timestamp: 1_000, reply: Array(reply.utf8), isDelivered: !reply.isEmpty)
    }

    @Test func aCommandBeforeTheClaimsAreKnownTakesNoNumberOfAnEarlierOne() throws {
        let bench = try Bench()
        bench.journal.history = [kept(0, "", offset: 7), kept(1, "old", offset: 7, reply: "{}")]
        bench.journal.fails = true
        bench.start()
        bench.queue.runAll()
        #expect(bench.starts == 1)
        bench.send(safe, offset: 9)
        #expect(bench.statuses("safe") == [.done])
        bench.journal.fails = false
        bench.loop.advance(by: .seconds(10))
        bench.queue.runAll()
        // The reply of the old one is what it was.
        bench.send(#"{"id":"old","actuator":"pump","value":1}"#, offset: 10)
        bench.queue.runAll()
        #expect(bench.replies.last?.status == .duplicate)
        #expect(bench.replies.last?.first == Array("{}".utf8))
        // Neither on the disk: what came before is not written, what comes after has a number of its own.
        bench.send(on, offset: 11)
        bench.queue.runAll()
        bench.loop.advance(by: .seconds(10))
        bench.queue.runAll()
        #expect(bench.statuses("on") == [.done])
        #expect(bench.journal.answered == [2] && !bench.journal.delivered.contains(1))
        #expect(bench.journal.batches.flatMap { $0.claims.map { $0.sequence } } == [2])
        // The place of the early one counts, not the one before it.
        bench.send(safe, offset: 9)
        #expect(bench.statuses("safe") == [.done, .duplicate])
    }

    /// One that an earlier start took and did not answer, and that comes again before that is known: one final reply.
    @Test func anEarlyCommandOfAnIdThatWasTakenBeforeIsAnsweredOnce() throws {
        let bench = try Bench()
        bench.journal.history = [kept(0, "", offset: 7), kept(5, "safe", offset: 7)]
        bench.journal.fails = true
        bench.start()
        bench.queue.runAll()
        bench.send(safe, offset: 7)
        bench.journal.fails = false
        bench.loop.advance(by: .seconds(10))
        bench.queue.runAll()
        #expect(bench.statuses("safe") == [.done] && bench.undelivered.isEmpty)
        #expect(bench.journal.delivered == [5])
        bench.send(on, offset: 8)
        bench.queue.runAll()
        #expect(bench.journal.batches.flatMap { $0.claims.map { $0.sequence } } == [6])
    }

    /// What an earlier start was told last is not undone by what was sent before it.
    @Test func theOrderAcrossPartitionsOutlivesTheProcess() throws {
        let bench = try Bench()
        let now = bench.loop.wallTime.milliseconds
        bench.journal.history = [
            ClaimBatch.Claim(
                sequence: 1, id: "off", actuator: "*", topic: "commands.pi-01", partition: 0, offset: 3,
                timestamp: now - 1_000, until: now + 29_000, reply: Array("{}".utf8), isDelivered: true)
        ]
        bench.start()
        bench.queue.runAll()
        bench.send(on, partition: 1, offset: 3, timestamp: now - 1_001)
        bench.queue.runAll()
        #expect(bench.statuses("on") == [.preempted] && bench.actuator.isSafe)
    }

    /// A disk that hangs from the start: the safe value is taken all the same.
    @Test func aDiskThatHangsDoesNotKeepCommandsAway() throws {
        let bench = try Bench()
        bench.start()
        #expect(bench.starts == 0)
        bench.loop.advance(by: .seconds(10))
        #expect(bench.starts == 1)
        bench.send(safe, offset: 1)
        bench.send(on, offset: 2)
        #expect(bench.statuses("safe") == [.done] && bench.statuses("on") == [.rejected])
        bench.queue.runAll()
        #expect(bench.starts == 1)
        bench.send(#"{"id":"more","actuator":"pump","value":1}"#, offset: 3)
        bench.queue.runAll()
        #expect(bench.statuses("more") == [.done])
    }

    /// Offsets are committed late, so a message may come again: what was answered as rejected is not done after all.
    @Test func whatWasRejectedForTheDiskIsNotDoneWhenItComesAgain() throws {
        let bench = try Bench()
        bench.journal.fails = true
        bench.start()
        bench.queue.runAll()
        let timestamp = bench.loop.wallTime.milliseconds
        bench.send(on, offset: 4, timestamp: timestamp)
        #expect(bench.statuses("on") == [.rejected])
        bench.journal.fails = false
        bench.loop.advance(by: .seconds(10))
        bench.queue.runAll()
        bench.send(on, offset: 4, timestamp: timestamp)
        bench.queue.runAll()
        #expect(bench.statuses("on") == [.rejected, .duplicate])
        #expect(bench.actuator.isSafe)
    }

    /// What only memory knows would be answered a second time after a crash.
    @Test func aReplyThatCouldNotBeWrittenIsWrittenLater() throws {
        let bench = try Bench()
        bench.start()
        bench.queue.runAll()
        // Nothing else that is to be written brings it along.
        bench.processor?.deliveredReplies = { 0 }
        bench.send(on, offset: 1)
        bench.queue.runJob()
        bench.journal.fails = true
        bench.queue.deliver()
        bench.queue.runAll()
        #expect(bench.statuses("on") == [.done] && bench.journal.answered.isEmpty)
        bench.journal.fails = false
        bench.loop.advance(by: .seconds(10))
        bench.queue.runAll()
        #expect(bench.journal.answered == [1])
    }

    /// Memory stays bounded however long the disk is away.
    @Test func repliesThatWaitForTheDiskAreBounded() throws {
        let bench = try Bench()
        bench.start()
        bench.queue.runAll()
        bench.journal.fails = true
        for number in 0..<2_000 {
            bench.send("{\"id\":\"\(number)\",\"actuator\":\"pump\",\"safe\":true}", offset: Int64(number))
            bench.queue.runAll()
        }
        bench.journal.fails = false
        bench.loop.advance(by: .seconds(10))
        bench.queue.runAll()
        #expect(!bench.journal.answered.isEmpty && bench.journal.answered.count <= ClaimStore.mostAnswers)
    }
}
