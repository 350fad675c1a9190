import Platform
import Records
import TestSupport
import Testing

@testable import Outbox

/// An outbox with everything around it.
final class Bench {
    let transport = FakeTransport()
    let loop = ManualLoop()
    let lines = LogRecorder()
    let outbox: Outbox

    init(maxMemory: Int = 4_000_000, whenFull: OutboxSettings.WhenFull = .dropOldest, room: Int = .max) {
        transport.room = room
        outbox = Outbox(
            settings: OutboxSettings(maxMemory: maxMemory, whenFull: whenFull), node: "pi-01", boot: "b7",
            transport: transport, loop: loop, log: lines.log)
    }

    @discardableResult
    func append(
        _ text: String, key: String = "k", topic: Int = 0, lane: Outbox.Lane = .record, maximum: Int? = nil
    ) -> Bool {
        Array(key.utf8).withUnsafeBytes { key in
            outbox.append(
                topic: TopicID(topic), key: key, lane: lane, maximumBytes: maximum ?? text.utf8.count
            ) { $0.write(utf8: text) }
        }
    }

    func makeRoom(_ room: Int = .max) {
        transport.room = room
        transport.onRoom?()
    }

    var records: OutboxCounters { outbox.counters(of: .record) }
    var replies: OutboxCounters { outbox.counters(of: .reply) }
}

@Suite struct OutboxTests {
    @Test func aRecordGoesToTheTransportAtOnceAndStaysUntilItsReport() {
        let bench = Bench()
        #expect(bench.append("{\"value\":1}", key: "greenhouse.temperature", topic: 3, maximum: 200))
        #expect(bench.transport.held.count == 1)
        let taken = bench.transport.held[0]
        #expect(taken.text == "{\"value\":1}")
        #expect(String(decoding: taken.key, as: UTF8.self) == "greenhouse.temperature")
        #expect(taken.topic == TopicID(3))
        #expect(taken.id == "pi-01/b7/1")
        #expect(bench.outbox.pendingCount == 1)
        #expect(bench.outbox.pendingBytes == 11)
        #expect(!bench.outbox.isEmpty)
        #expect(bench.transport.deliver().isIntact)
        #expect(bench.outbox.isEmpty)
        #expect(bench.outbox.pendingBytes == 0)
        #expect(bench.records.appended == 1)
        #expect(bench.records.handedOver == 1)
        #expect(bench.records.acknowledged == 1)
    }

    @Test func idsCountUpOverBothLanes() {
        let bench = Bench()
        for lane in [Outbox.Lane.record, .reply, .record] { bench.append("x", lane: lane) }
        #expect(bench.transport.held.map(\.id) == ["pi-01/b7/1", "pi-01/b7/2", "pi-01/b7/3"])
    }

    @Test func aFullTransportIsLeftAloneUntilThereIsRoom() {
        let bench = Bench(room: 2)
        for number in 0..<100 { bench.append("\(number)") }
        #expect(bench.transport.log == ["0", "1"])
        #expect(bench.transport.offers == 3)
        bench.transport.deliver()
        #expect(bench.transport.offers == 3)
        bench.makeRoom(3)
        #expect(bench.transport.log == ["0", "1", "2", "3"])
        bench.makeRoom()
        #expect(bench.transport.log == (0..<100).map { "\($0)" })
        #expect(bench.outbox.waitingCount == 0)
    }

    @Test func repliesGoFirstAndTelemetryCannotTakeTheirRoom() {
        let bench = Bench(maxMemory: 128_000, room: 0)
        let text = String(repeating: "x", count: 1_000)
        for _ in 0..<1_000 { bench.append(text) }
        #expect(bench.records.dropped > 0)
        #expect(bench.append("reply", lane: .reply))
        #expect(bench.replies.appended == 1)
        bench.makeRoom()
        #expect(bench.transport.log.first == "reply")
        #expect(bench.transport.log.dropFirst().allSatisfy { $0 == text })
    }

    @Test func repliesHaveABoundOfTheirOwn() {
        let bench = Bench(maxMemory: 128_000, room: 0)
        let text = String(repeating: "x", count: 1_000)
        var taken = 0
        while bench.append(text, lane: .reply) { taken += 1 }
        #expect(taken == 2 * (16_384 / 1_033))
        #expect(bench.replies.refused == 1)
        #expect(bench.replies.dropped == 0)
        #expect(bench.append("telemetry"))
        #expect(bench.lines.lines.count == 1)
        bench.makeRoom()
        bench.transport.deliverAll()
        #expect(bench.append(text, lane: .reply))
        bench.loop.advance(by: .seconds(60))
        #expect(bench.lines.lines.last == "warning: outbox: room again; 1 replies were dropped")
    }

    @Test func whatIsTooLargeIsRefusedAndSaidOnce() {
        let bench = Bench()
        let limit = bench.outbox.largestRecord
        #expect(bench.append(String(repeating: "x", count: limit - 1)))
        #expect(!bench.append(String(repeating: "x", count: limit)))
        #expect(!bench.append(String(repeating: "x", count: limit)))
        #expect(!bench.append("x", key: String(repeating: "k", count: 70_000)))
        #expect(!bench.append("x", topic: 65_536))
        #expect(!bench.append("x", topic: -1))
        #expect(!bench.append("", maximum: -1))
        #expect(bench.records.oversized == 6)
        #expect(bench.records.appended == 1)
        #expect(bench.lines.lines.count == 1)
        #expect(bench.transport.deliver().isIntact)
    }

    @Test func anEncoderThatExceedsItsMaximumLosesThatRecordOnly() {
        let bench = Bench(room: 0)
        bench.append("before")
        #expect(!bench.append("too long", maximum: 7))
        bench.append("after")
        #expect(bench.records.oversized == 1)
        bench.makeRoom()
        #expect(bench.transport.log == ["before", "after"])
        #expect(bench.transport.held.map(\.id) == ["pi-01/b7/1", "pi-01/b7/2"])
    }

    @Test func emptyPayloadAndKey() {
        let bench = Bench()
        #expect(bench.append("", key: ""))
        #expect(bench.transport.held[0].copy.isEmpty)
        #expect(bench.transport.held[0].key.isEmpty)
        bench.transport.deliver()
        #expect(bench.outbox.isEmpty)
    }

    @Test func idleIsSaidWhenTheLastRecordIsSettled() {
        let bench = Bench()
        var idle = 0
        bench.outbox.onIdle = { idle += 1 }
        bench.append("a")
        bench.append("b", lane: .reply)
        bench.transport.deliver(1)
        #expect(idle == 0)
        bench.transport.deliver()
        #expect(idle == 1)
        bench.append("c")
        bench.transport.deliver(0, .tooLarge)
        #expect(idle == 2)
    }

    /// By these a command's offset is committed no earlier than its reply has arrived.
    @Test func whichRepliesAreOpen() {
        let bench = Bench(room: 3)
        var settled: [UInt64?] = []
        bench.outbox.onReplySettled = { settled.append(bench.outbox.oldestOpenReply) }
        #expect(bench.outbox.oldestOpenReply == nil)
        bench.append("telemetry")
        var numbers: [UInt64] = []
        for _ in 0..<3 {
            bench.append("reply", lane: .reply)
            numbers.append(bench.outbox.lastReply)
        }
        #expect(numbers == numbers.sorted() && Set(numbers).count == 3)
        // The third has not been offered yet.
        #expect(bench.transport.held.count == 3)
        #expect(bench.outbox.oldestOpenReply == numbers[0])
        bench.transport.deliver(2)
        #expect(settled == [numbers[0]])
        bench.transport.deliver(0)
        #expect(settled.count == 1)
        bench.transport.deliver(0, .tooLarge)
        #expect(settled == [numbers[0], numbers[2]])
        bench.makeRoom()
        bench.transport.deliverAll()
        #expect(settled == [numbers[0], numbers[2], nil])
    }

    @Test func memoryComesOnDemandAndGoesAgain() {
        let bench = Bench()
        #expect(bench.outbox.allocatedBytes == 0)
        let text = String(repeating: "x", count: 1_000)
        bench.append(text)
        #expect(bench.outbox.allocatedBytes == 32_768)
        for _ in 0..<3_000 { bench.append(text) }
        #expect(bench.outbox.allocatedBytes > 3_000_000)
        #expect(bench.outbox.allocatedBytes <= 4_000_000)
        bench.transport.deliverAll()
        // The last slab, and two for the next burst.
        #expect(bench.outbox.allocatedBytes == 3 * 32_768)
    }

    /// At a low rate the one slab is used over and over.
    @Test func aSteadyStreamStaysInOneSlab() {
        let bench = Bench()
        for number in 0..<10_000 {
            bench.append("record \(number)")
            #expect(bench.transport.deliver().text == "record \(number)")
        }
        #expect(bench.outbox.allocatedBytes == 32_768)
    }

    @Test func aReportFromWithinTheOfferIsServed() {
        let bench = Bench(room: 0)
        for number in 0..<500 { bench.append("\(number)") }
        bench.transport.during = { [transport = bench.transport] _ in
            transport.deliver()
        }
        var appended = false
        bench.outbox.onIdle = {
            if !appended {
                appended = true
                bench.append("from idle", lane: .reply)
            }
        }
        bench.makeRoom()
        #expect(bench.transport.log == (0..<500).map { "\($0)" } + ["from idle"])
        #expect(bench.outbox.isEmpty)
        bench.transport.during = nil
        bench.outbox.onIdle = nil
    }
}
