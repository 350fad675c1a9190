import Configuration
import Hardware
import Platform
import Records

/// The driver `pca9685`: one of the sixteen outputs of a PCA9685 of NXP, by its pulse width.
///
/// After power-on the chip sleeps with every output off, so nothing moves before the agent starts. A chip that is found asleep is
/// set up as a whole before its oscillator runs, each actuator's output as `SharedChip` has it, the others off: so a brown-out
/// ends for all of them with the next order for one. One that runs already (the agent was restarted) goes on, and only the own
/// output is set. The four registers of an output take effect together, at the end of the transfer.
///
/// Sections of the data sheet "PCA9685", revision 4.
final class PCA9685Output: SteppedOutput {
    // 7.3, table 4.
    private enum Register {
        static let mode1: UInt8 = 0x00
        static let firstOutput: UInt8 = 0x06
        static let allOffHigh: UInt8 = 0xFD
        static let prescale: UInt8 = 0xFE
    }

    // 7.3.1. Not answering at the "all call" address, 0x70 after power-on, spares whatever else is there.
    private static let sleep: UInt8 = 1 << 4
    private static let autoIncrement: UInt8 = 1 << 5
    /// In LEDn_ON_H full on, in LEDn_OFF_H full off (7.3.3).
    private static let fully: UInt8 = 1 << 4
    /// The highest step.
    private static let full: Int64 = 4_096
    /// 7.3.5: of the internal oscillator, in Hz.
    private static let oscillator = 25_000_000.0

    private let bus: any I2CBus
    private let address: UInt8
    private let chip: SharedChip
    private let channel: Int
    private let prescale: UInt8

    /// Sets the output to its safe value.
    init(
        bus: any I2CBus, address: UInt8, chip: SharedChip, channel: Int, prescale: UInt8, scale: ValueScale,
        safe: Double, ramp: Interval
    ) throws(ActuatorError) {
        self.bus = bus
        self.address = address
        self.prescale = prescale
        self.chip = chip
        self.channel = channel
        super.init(scale: scale, steps: Self.full, safe: safe, ramp: ramp)
        try write(safeStep)
    }

    /// 7.3.5, equation 1: the register's value for a frequency in Hz. It begins at 3.
    static func prescale(_ frequency: Double) -> UInt8 {
        UInt8(max(3, min(255, (oscillator / (4_096 * frequency)).rounded() - 1)))
    }

    /// The length of a period in seconds, which the oscillator's steps make of the wish.
    static func period(_ prescale: UInt8) -> Double { (Double(prescale) + 1) * 4_096 / oscillator }

    override func write(_ step: Int64) throws(ActuatorError) {
        // A brown-out leaves the chip asleep.
        do throws(I2CError) {
            let mode = try bus.readByte(address, register: Register.mode1)
            if mode & (Self.sleep | Self.autoIncrement) != Self.autoIncrement { try setUp(mode) }
            if try bus.readByte(address, register: Register.prescale) != prescale { try setUp(mode) }
            try write(step, to: channel)
            chip.steps[channel] = step
        } catch {
            // Where the actuator goes now; what sets the chip up in between must not show anything else.
            chip.steps[channel] = safeStep
            throw .i2c(error)
        }
    }

    /// 7.3.5: the prescaler can be set only while the chip sleeps. The oscillator needs 500 us after that (7.3.1), less
    /// than the transfers that follow take to make a difference: until then the output is off.
    ///
    /// A chip for which that fails half-way still sleeps, and the next write begins anew.
    private func setUp(_ mode: UInt8) throws(I2CError) {
        try bus.writeByte(address, register: Register.mode1, Self.sleep | Self.autoIncrement)
        try bus.writeByte(address, register: Register.allOffHigh, Self.fully)
        try bus.writeByte(address, register: Register.prescale, prescale)
        for (output, step) in chip.steps.enumerated() where step > 0 && output != channel {
            try write(step, to: output)
        }
        try bus.writeByte(address, register: Register.mode1, Self.autoIncrement)
    }

    private func write(_ step: Int64, to output: Int) throws(I2CError) {
        var registers: (UInt8, UInt8, UInt8, UInt8) = (0, 0, 0, 0)
        if step >= Self.full {
            registers.1 = Self.fully
        } else if step <= 0 {
            registers.3 = Self.fully
        } else {
            registers.2 = UInt8(truncatingIfNeeded: step)
            registers.3 = UInt8(truncatingIfNeeded: step >> 8)
        }
        let register = register(of: output)
        var failure: I2CError?
        withUnsafeBytes(of: &registers) { bytes in
            do throws(I2CError) { try bus.writeBlock(address, register: register, bytes) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// 7.3.3: each output has four.
    private func register(of output: Int) -> UInt8 { Register.firstOutput + 4 * UInt8(truncatingIfNeeded: output) }

    override func read() throws(ActuatorError) -> Int64 {
        let register = register(of: channel)
        var registers: (UInt8, UInt8, UInt8, UInt8) = (0, 0, 0, 0)
        var failure: I2CError?
        withUnsafeMutableBytes(of: &registers) { bytes in
            do throws(I2CError) { try bus.readBlock(address, register: register, into: bytes) } catch {
                failure = error
            }
        }
        if let failure { throw .i2c(failure) }
        // Off wins (7.3.3). What somebody else may have made of them (a start that is not 0) counts by its length.
        if registers.3 & Self.fully != 0 { return 0 }
        if registers.1 & Self.fully != 0 { return Self.full }
        let on = Int64(registers.1 & 15) << 8 | Int64(registers.0)
        let off = Int64(registers.3 & 15) << 8 | Int64(registers.2)
        return (off - on) & 4_095
    }

    /// Reads `bus`, `address`, `channel`, `frequency`, `min`, `max`, `output_min`, `output_max`, `safe` and `ramp`.
    static func decode(_ reader: Reader, _ chips: SharedChips) -> DriverPlan? {
        let scale = ValueScale.decode(reader)
        let safe = scale.flatMap { safeNumber(reader, $0.range) }
        let ramp = rampTime(reader)
        let frequency = reader.number("frequency", in: 24...1_526)
        let place = place(reader, chips, prescale(frequency ?? 200), isAsked: frequency != nil)
        guard let scale, let safe, let place else { return nil }
        return place.plan(scale, safe, ramp)
    }

    /// An output of a chip.
    struct Place {
        let bus: String
        let mark: Mark
        let claim: AddressClaim
        let shared: SharedChip
        let channel: Int
        /// The frequency's, which all outputs of a chip share.
        let prescale: UInt8

        func plan(_ scale: ValueScale, _ safe: Double, _ ramp: Interval) -> DriverPlan {
            let (address, shared, channel, prescale) = (claim.address, shared, channel, prescale)
            shared.add(output: channel, safeStep: PCA9685Output.step(safe, scale, PCA9685Output.full))
            var plan = DriverPlan(
                domain: .number(scale.range), safe: .number(safe), bus: (bus, mark), addresses: [claim],
                open: { (bus) throws(ActuatorError) -> any ActuatorDriver in
                    try PCA9685Output(
                        bus: bus, address: address, chip: shared, channel: channel, prescale: prescale, scale: scale,
                        safe: safe, ramp: ramp)
                })
            plan.chip = chip
            return plan
        }
    }

    /// 7.3.7: the sub-addresses and the all-call address, which are as after power-on because nobody here changes them.
    private static var chip: ExpectedChip {
        ExpectedChip(
            "pca9685", addresses: 0x40...0x7F,
            signature: [(0x02, 0xE2), (0x03, 0xE4), (0x04, 0xE8), (0x05, 0xE0)])
    }

    /// Reads `bus`, `address` and `channel`.
    /// - Parameter isAsked: the configuration names the frequency: another output's must be the same.
    static func place(_ reader: Reader, _ chips: SharedChips, _ prescale: UInt8, isAsked: Bool) -> Place? {
        let bus = reader.requiredNonEmpty("bus")
        let address = reader.address("address", in: chip.addresses) ?? 0x40
        guard let channel = reader.requiredInteger("channel", in: 0...15), let bus, !reader.isRefused("address"),
            let chip = chips.chip("pca9685", bus: bus, address: Int64(address), reader, "address")
        else { return nil }
        if let setting = chip.setting, isAsked, setting != Int64(prescale) {
            reader.report(
                reader.has("frequency") ? "frequency" : "channel",
                joined("differs from that of the pca9685 on line ", decimal(chip.mark.line)),
                expected: "the same: the outputs of a chip share it")
        }
        let common = chip.setting ?? Int64(prescale)
        if !reader.isRefused("frequency") { chip.setting = common }
        return Place(
            bus: bus, mark: reader.mark(of: "bus"),
            claim: AddressClaim(
                bus: bus, address: address, output: Int(channel), mark: reader.mark(of: "channel")),
            shared: chip, channel: Int(channel), prescale: UInt8(truncatingIfNeeded: common))
    }
}

/// Reads `ramp`, the time for the way through the whole range.
func rampTime(_ reader: Reader) -> Interval {
    reader.interval("ramp", in: Interval.zero...Interval.seconds(600)) ?? .zero
}
