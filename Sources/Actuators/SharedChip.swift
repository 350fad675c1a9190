import Configuration
import Platform

/// What the actuators on one chip share: one of them must not undo what another one did, and what the chip has only
/// once must suit all. It belongs to the configuration until that is read, then to the thread of the chip's bus.
final class SharedChip {
    /// The driver's name: a chip is of one kind.
    let driver: StaticString
    /// Where the first of them stands.
    let mark: Mark
    fileprivate let bus: String
    fileprivate let address: Int64

    /// What the chip has only once, such as its frequency.
    var setting: Int64?
    /// The outputs that belong to an actuator, a bit each.
    private(set) var outputs: UInt32 = 0
    /// The outputs' levels: the safe ones at first, then as they were last written.
    var latch: UInt32 = 0
    /// The same for outputs with many steps, one for each output of the chip; negative is none of an actuator.
    var steps: [Int64] = []
    /// The chip was set up since the start.
    var isSetUp = false

    fileprivate init(driver: StaticString, bus: String, address: Int64, mark: Mark) {
        self.driver = driver
        self.bus = bus
        self.address = address
        self.mark = mark
    }

    private var isTaken = false

    /// Takes the whole of it; `false` when somebody has.
    func take() -> Bool {
        if isTaken { return false }
        isTaken = true
        return true
    }

    /// Makes an output an actuator's.
    func add(output: Int64, safe: Bool) {
        let bit = UInt32(1) << UInt32(truncatingIfNeeded: output)
        outputs |= bit
        latch = safe ? latch | bit : latch & ~bit
    }

    /// Makes one of sixteen outputs with many steps an actuator's.
    func add(output: Int, safeStep: Int64) {
        if steps.isEmpty { steps = [Int64](repeating: -1, count: 16) }
        steps[output] = safeStep
    }
}

/// The chips of a configuration.
public final class SharedChips {
    private var chips: [SharedChip] = []

    public init() {}

    /// The chip at an address of a bus; the same object for the same place.
    /// - Parameter key: where the address stands, for a problem.
    /// - Returns: `nil` when another driver has the place, which was reported.
    func chip(
        _ driver: StaticString, bus: String, address: Int64, _ reader: Reader, _ key: StaticString
    ) -> SharedChip? {
        guard let known = chips.first(where: { $0.address == address && sameBytes($0.bus, bus) }) else {
            let chip = SharedChip(driver: driver, bus: bus, address: address, mark: reader.mark)
            chips.append(chip)
            return chip
        }
        if string(known.driver).isEqual(to: driver) { return known }
        reader.report(
            key, joined("is that of a ", string(known.driver), " on line ", decimal(known.mark.line)),
            expected: "another address, or the same driver")
        return nil
    }
}
