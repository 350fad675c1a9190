import Platform
import Records
import TestSupport
import Testing

@testable import Outbox

/// What an outbox must do, in the simplest terms: numbers in lists.
private final class Model {
    let bench: Bench
    var random: SeededGenerator
    private var next = 0
    /// Appended and not with the transport, oldest first, by lane.
    private var waiting: [[Int]] = [[], []]
    /// Passed over by a younger one: they must have been dropped, and never be offered.
    private var passedOver: Set<Int> = []
    private var handedOver: Set<Int> = []
    private var settled: Set<Int> = []
    private var reported: [DeliveryToken] = []
    private(set) var faults: [String] = []
    private(set) var acknowledged = 0
    private(set) var failed = 0

    init(seed: UInt64, whenFull: OutboxSettings.WhenFull) {
        random = SeededGenerator(seed: seed)
        bench = Bench(maxMemory: 128_000, whenFull: whenFull, room: 100)
        bench.transport.during = { [unowned self] in self.offered($0) }
    }

    private func fault(_ text: String) { if faults.count < 10 { faults.append("step \(next): \(text)") } }

    private func isReply(_ number: Int) -> Bool { number % 11 == 0 }
    private func key(_ number: Int) -> String { "key \(number % 7)" }
    /// The payload is known by its number: 1 to some 2,000 bytes, mostly short.
    private func payload(_ number: Int) -> String {
        let mixed = number &* 2_654_435_761 >> 8
        let length = mixed % 10 == 0 ? mixed / 10 % 2_000 : mixed / 10 % 120
        return "\(number) " + String(repeating: Character(Unicode.Scalar(UInt8(97 + number % 26))), count: length)
    }

    private func number(_ taken: FakeTransport.Taken) -> Int { Int(taken.text.prefix { $0 != " " }) ?? -1 }

    private func offered(_ taken: FakeTransport.Taken) {
        let number = number(taken)
        if taken.text != payload(number) { fault("payload of \(number) is damaged") }
        if String(decoding: taken.key, as: UTF8.self) != key(number) { fault("key of \(number) is damaged") }
        if taken.topic != TopicID(number % 3) { fault("topic of \(number) is wrong") }
        let lane = isReply(number) ? 1 : 0
        guard let place = waiting[lane].firstIndex(of: number) else {
            fault("\(number) was offered out of order, twice, or after it had been dropped")
            return
        }
        // Older ones of the lane that still wait here can only have been dropped.
        for older in waiting[lane][..<place] {
            if lane == 1 { fault("reply \(older) was dropped") }
            passedOver.insert(older)
        }
        waiting[lane].removeSubrange(...place)
        handedOver.insert(number)
        if random.next() % 50 == 0 { report(bench.transport.held.count - 1) }
    }

    private func report(_ index: Int) {
        let taken = bench.transport.held[index]
        let number = number(taken)
        if !taken.isIntact { fault("payload of \(number) moved or changed before its report") }
        if handedOver.remove(number) == nil { fault("report for \(number), which is not handed over") }
        switch random.next() % 10 {
        case 0:
            let lane = isReply(number) ? 1 : 0
            let place = waiting[lane].firstIndex { $0 > number } ?? waiting[lane].count
            waiting[lane].insert(number, at: place)
            bench.transport.deliver(index, .timedOut)
        case 1:
            failed += 1
            settle(number)
            bench.transport.deliver(index, .tooLarge)
        default:
            acknowledged += 1
            settle(number)
            bench.transport.deliver(index)
        }
        // Reports that come twice, at once or much later: each token is reported on once more at most.
        if random.next() % 20 == 0 { bench.transport.onDelivery?(taken.token, nil) }
        reported.append(taken.token)
        if reported.count > 200 {
            let late = reported.remove(at: Int(random.next() % 200))
            if random.next() % 8 == 0 { bench.transport.onDelivery?(late, random.next() % 2 == 0 ? nil : .timedOut) }
        }
    }

    private func settle(_ number: Int) {
        if !settled.insert(number).inserted { fault("\(number) was settled twice") }
    }

    private func append() {
        let number = next
        next += 1
        let lane = isReply(number) ? 1 : 0
        waiting[lane].append(number)
        let extra = Int.random(in: 0...100, using: &random)
        let text = payload(number)
        let dropped = bench.records.dropped
        let isTaken = bench.append(
            text, key: key(number), topic: number % 3, lane: lane == 1 ? .reply : .record,
            maximum: text.utf8.count + extra)
        if !isTaken {
            if bench.records.dropped != dropped { fault("records were dropped for \(number), which was refused") }
            if waiting[lane].last == number {
                waiting[lane].removeLast()
            } else {
                fault("\(number) offered and refused")
            }
        }
    }

    func step() {
        let held = bench.transport.held.count
        switch random.next() % 100 {
        case 0..<48: append()
        case 48..<92: if held > 0 { report(Int(random.next() % UInt64(held))) }
        case 92..<97: bench.transport.onRoom?()
        case 97: bench.loop.advance(by: .milliseconds(Int64(random.next() % 800)))
        case 98:
            // Now and then the broker is away, and everything fills up.
            bench.transport.room = random.next() % 3 == 0 ? 0 : Int(random.next() % 400)
        default: for _ in 0..<200 { append() }
        }
        checkCounts()
    }

    private func checkCounts() {
        let outbox = bench.outbox
        if outbox.allocatedBytes > 128_000 { fault("\(outbox.allocatedBytes) bytes are allocated") }
        let records = bench.records
        let replies = bench.replies
        let gone = records.acknowledged + records.failed + records.dropped + replies.acknowledged + replies.failed
        if records.appended + replies.appended != gone + UInt64(outbox.pendingCount) {
            fault("a record is unaccounted for")
        }
        if outbox.pendingCount - outbox.waitingCount != handedOver.count { fault("what is handed over is miscounted") }
        let ours = waiting[0].count + waiting[1].count + passedOver.count
        if outbox.waitingCount + Int(records.dropped) != ours { fault("what waits is miscounted") }
    }

    func drain() {
        for _ in 0..<1_000 where !bench.outbox.isEmpty {
            bench.makeRoom()
            while !bench.transport.held.isEmpty { report(0) }
            bench.loop.advance(by: Outbox.retryPause)
        }
        if !bench.outbox.isEmpty { fault("\(bench.outbox.pendingCount) records never went") }
        if bench.outbox.pendingBytes != 0 { fault("\(bench.outbox.pendingBytes) bytes are left over") }
        // What still waits here was dropped with nothing younger behind it.
        passedOver.formUnion(waiting[0])
        if !waiting[1].isEmpty { fault("replies were lost") }
        if passedOver.count != Int(bench.records.dropped) { fault("\(passedOver.count) lost, not as counted") }
        if acknowledged != Int(bench.records.acknowledged + bench.replies.acknowledged) { fault("acknowledged") }
        if failed != Int(bench.records.failed + bench.replies.failed) { fault("failed") }
    }
}

@Suite struct ModelTests {
    @Test(arguments: [1, 2, 3, 4], [OutboxSettings.WhenFull.dropOldest, .dropNewest])
    func randomSequencesAgainstTheModel(_ seed: UInt64, _ whenFull: OutboxSettings.WhenFull) {
        let model = Model(seed: seed, whenFull: whenFull)
        for _ in 0..<30_000 where model.faults.isEmpty { model.step() }
        model.drain()
        #expect(model.faults.isEmpty)
        // The sequence was one that tries everything.
        let records = model.bench.records
        #expect(records.acknowledged > 5_000)
        #expect(records.failed > 100)
        #expect(records.retried > 100)
        #expect(records.refused > 100 || whenFull == .dropOldest)
        #expect(records.dropped > 100 || whenFull == .dropNewest)
        #expect(model.bench.outbox.strayReports > 100)
    }
}
