import CShim
import Platform

/// The lines by which a bus can be freed, under `recovery` of a bus.
public struct RecoveryLines: Equatable, Sendable {
    public let scl: LineReference
    public let sda: LineReference

    public init(scl: LineReference, sda: LineReference) {
        self.scl = scl
        self.sda = sda
    }
}

/// What came of an attempt to free a bus.
public enum RecoveryOutcome: Equatable, Sendable {
    /// SDA is high: nothing holds it, and nothing was done.
    case notStuck
    /// SDA is high again, after so many clocks.
    case freed(clocks: Int)
    /// Nine clocks did not help: a short circuit, or a device that must lose its power.
    case sdaStaysLow
    /// Somebody holds the clock, against which there is no remedy on the wire.
    case sclIsLow
    /// The lines are not to be had.
    case noLines(GPIOError)

    /// Its case, as a number: comparing texts as `==` does would cost a tenth of the binary.
    var kind: Int {
        switch self {
        case .notStuck: 0
        case .freed: Self.freedKind
        case .sdaStaysLow: 2
        case .sclIsLow: 3
        case .noLines: 4
        }
    }
    static var freedKind: Int { 1 }

    /// Such as "SDA was held low; 4 clocks freed it".
    public var description: String {
        switch self {
        case .notStuck: "SDA is high"
        case .freed(let clocks):
            joined("SDA was held low; ", decimal(clocks), clocks == 1 ? " clock freed it" : " clocks freed it")
        case .sdaStaysLow: "SDA is held low, and nine clocks do not free it"
        case .sclIsLow: "SCL is held low, so that nothing can be done"
        case .noLines(let error): joined("SDA cannot be looked at: ", error.description)
        }
    }
}

/// Frees a bus whose SDA a device holds low because it was interrupted while it sent a zero: it is clocked on until it
/// lets go, nine times at most, and a STOP ends its transfer (UM10204, section 3.1.16).
///
/// The lines are requested for this only, as open drain: what is high is let go, as on the bus itself.
struct BusRecovery {
    private let lines: RecoveryLines
    private let gpio: any GPIO
    private let wait: (Interval) -> Void

    /// Half a period of the slowest bus that is in use, 100 kHz.
    static let half = Interval.microseconds(5)

    /// - Parameter wait: lets that time pass, on the calling thread.
    init(_ lines: RecoveryLines, gpio: any GPIO, wait: @escaping (Interval) -> Void) {
        self.lines = lines
        self.gpio = gpio
        self.wait = wait
    }

    func run() -> RecoveryOutcome {
        do throws(GPIOError) {
            return try clear()
        } catch {
            return .noLines(error)
        }
    }

    private func clear() throws(GPIOError) -> RecoveryOutcome {
        let released = LineSettings(direction: .output(active: true), drive: .openDrain)
        let sda = try gpio.request(lines.sda, released)
        if try sda.read() { return .notStuck }
        let scl = try gpio.request(lines.scl, released)
        if try !rises(scl) { return .sclIsLow }
        for clock in 1...9 {
            try scl.write(false)
            wait(Self.half)
            try scl.write(true)
            if try !rises(scl) { return .sclIsLow }
            guard try sda.read() else { continue }
            // STOP: SDA rises while SCL is high.
            try scl.write(false)
            try sda.write(false)
            wait(Self.half)
            try scl.write(true)
            wait(Self.half)
            try sda.write(true)
            wait(Self.half)
            return .freed(clocks: clock)
        }
        return .sdaStaysLow
    }

    /// Whether the clock is high within 25 ms, the longest that SMBus lets a device stretch it.
    private func rises(_ scl: any GPIOLine) throws(GPIOError) -> Bool {
        wait(Self.half)
        for _ in 0..<25 {
            if try scl.read() { return true }
            wait(.milliseconds(1))
        }
        return false
    }
}

/// Lets time pass on the calling thread.
func sleep(_ interval: Interval) {
    var time = timespec()
    time.tv_sec = time_t(interval.nanoseconds / 1_000_000_000)
    time.tv_nsec = numericCast(interval.nanoseconds % 1_000_000_000)
    _ = nanosleep(&time, nil)
}
