import Testing

@testable import Platform

/// The kernel's two clocks, looked at one after the other.
@Suite struct SystemTimeTests {
    /// A thread that is held up between its looks: after which look, and for how long.
    private final class Machine {
        private(set) var looks = 0
        private var time: Int64 = 5_000_000_000
        private let pauses: [Int: Int64]

        init(_ pauses: [Int: Int64]) { self.pauses = pauses }

        /// By how much the wall clock is ahead.
        static let ahead: Int64 = 1_700_000_000_000_000_000

        func monotonic() -> Int64 { look() }
        func wall() -> Int64 { look() + Self.ahead }

        private func look() -> Int64 {
            looks += 1
            time += 100
            defer { time += pauses[looks] ?? 0 }
            return time
        }
    }

    private func error(_ machine: Machine) -> Int64 {
        let instant = Instant(nanoseconds: 4_000_000_000)
        let found = SystemTime.wallTime(at: instant, monotonic: machine.monotonic, wall: machine.wall)
        return found.nanoseconds - instant.nanoseconds - Machine.ahead
    }

    @Test func threeLooksAreEnoughWhereNothingComesBetween() {
        let machine = Machine([:])
        #expect(error(machine) == 0)
        #expect(machine.looks == 3)
    }

    @Test(arguments: [1, 2, 4, 5])
    func aPauseBetweenTheLooksIsNoDifferenceBetweenTheClocks(after look: Int) {
        var pauses: [Int: Int64] = [1: 15_000_000]
        pauses[look] = 15_000_000
        let machine = Machine(pauses)
        #expect(abs(error(machine)) <= 100)
    }

    @Test func whereEveryLookTakesLongTheShortestCounts() {
        let pauses = Dictionary(uniqueKeysWithValues: (1...12).map { ($0, $0 == 8 ? 1_000_000 : Int64(9_000_000)) })
        let machine = Machine(pauses)
        #expect(abs(error(machine)) <= 5_000_000)
        #expect(machine.looks == 12)
    }

    @Test func theKernelsClocksAreMet() {
        let time = SystemTime()
        let before = time.wallTime
        let found = time.wallTime(at: time.now)
        let after = time.wallTime
        #expect(found > before + .milliseconds(-1) && found < after + .milliseconds(1))
    }
}
