import Platform
import TestSupport
import Testing

@Suite struct TimerQueueTests {
    @Test func timersRunInOrderOfTheirInstantsAndOfTheirSetting() {
        let loop = ManualLoop()
        var order: [Int] = []
        loop.after(.seconds(2)) { order.append(3) }
        loop.after(.seconds(1)) { order.append(1) }
        loop.after(.seconds(1)) { order.append(2) }
        loop.advance(by: .milliseconds(999))
        #expect(order == [])
        loop.advance(by: .seconds(2))
        #expect(order == [1, 2, 3])
    }

    @Test func aCancelledTimerDoesNotRun() {
        let loop = ManualLoop()
        var ran: [String] = []
        let first = loop.after(.seconds(1)) { ran.append("first") }
        let second = loop.after(.seconds(2)) { ran.append("second") }
        loop.cancel(first)
        loop.advance(by: .seconds(5))
        loop.cancel(second)
        #expect(ran == ["second"])
    }

    /// The queue against a sorted list, with cancellations: 20,000 seeded steps.
    @Test func agreesWithASortedList() {
        var random = SeededGenerator(seed: 7)
        var queue = TimerQueue()
        var model: [(instant: Int64, number: Int)] = []
        var identifiers: [Int: TimerID] = [:]
        var fired: [Int] = []
        var expected: [Int] = []
        var now: Int64 = 0
        for number in 0..<20_000 {
            switch random.next() % 4 {
            case 0, 1:
                let instant = now + Int64(random.next() % 1_000)
                identifiers[number] = queue.add(Instant(nanoseconds: instant)) { fired.append(number) }
                model.append((instant, number))
            case 2:
                if let victim = model.randomElement(using: &random), let timer = identifiers[victim.number] {
                    queue.cancel(timer)
                    model.removeAll { $0.number == victim.number }
                }
            default:
                now += Int64(random.next() % 500)
                let due = model.filter { $0.instant <= now }.sorted {
                    ($0.instant, $0.number) < ($1.instant, $1.number)
                }
                expected += due.map { $0.number }
                model.removeAll { $0.instant <= now }
                while let action = queue.take(due: Instant(nanoseconds: now)) { action() }
                #expect(queue.earliest()?.nanoseconds == model.map { $0.instant }.min())
            }
        }
        #expect(fired == expected)
        #expect(fired.count > 1_000)
    }
}
