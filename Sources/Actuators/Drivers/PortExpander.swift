import Configuration
import Hardware
import Platform
import Records

/// The drivers `mcp23017` and `pcf8574`: one line of a chip that has a byte or two of them.
///
/// Lines that belong to actuators share the chip's latch (`SharedChip`): it holds the safe levels of all of them from the first write on, and
/// each write changes one line. A chip that lost its settings in a brown-out is set up again with the latch.
///
/// - `mcp23017` (Microchip DS20001952): after power-on all lines are inputs. The latch is written before the directions, so a
///   line shows its safe level from the moment on at which it is an output.
/// - `pcf8574` and `pcf8574a` (NXP, revision 5): after power-on all lines are high, by a weak pull-up, and there is no direction. So a line
///   whose safe level is low is high until the agent starts: let boards switch on with a low level (`active_low: true`), as relay
///   boards do. Lines of no actuator stay high, where they can be read as inputs.
final class PortExpander: ActuatorDriver {
    enum Model {
        case mcp23017
        case pcf8574
    }

    struct Settings {
        var model: Model
        var address: UInt8
        var line: UInt32
        var activeLow: Bool
        var safe: Bool
        /// Whether the read-back looks at the line, and not only at the latch.
        var verifies: Bool
    }

    // DS20001952, table 3-5, with IOCON.BANK 0 as after power-on; each is followed by port B's.
    private enum Register {
        static let direction: UInt8 = 0x00
        static let port: UInt8 = 0x12
        static let latch: UInt8 = 0x14
    }

    private let bus: any I2CBus
    private let chip: SharedChip
    private let settings: Settings
    private var bit: UInt32 { 1 << settings.line }

    /// Sets the line to its safe level, and with the first of a chip all the others that belong to actuators.
    init(bus: any I2CBus, chip: SharedChip, settings: Settings) throws(ActuatorError) {
        self.bus = bus
        self.chip = chip
        self.settings = settings
        _ = try drive(.integer(settings.safe ? 1 : 0))
    }

    func drive(_ value: Value) throws(ActuatorError) -> Interval {
        let isHigh = (value.number == 1) != settings.activeLow
        let latch = isHigh ? chip.latch | bit : chip.latch & ~bit
        do throws(I2CError) {
            switch settings.model {
            case .mcp23017: try writePorts(latch)
            case .pcf8574:
                // NXP 8.2: one byte, all lines; what is no output has a one.
                let byte = latch | ~chip.outputs
                try bus.writeByte(settings.address, UInt8(truncatingIfNeeded: byte))
            }
        } catch {
            // Where the actuator goes now; the next write for another line must not bring anything else.
            chip.latch = settings.safe != settings.activeLow ? chip.latch | bit : chip.latch & ~bit
            throw .i2c(error)
        }
        chip.latch = latch
        return .zero
    }

    /// DS20001952 3.5.1 (IODIR: 1 is an input) and 3.5.11 (OLAT).
    private func writePorts(_ latch: UInt32) throws(I2CError) {
        for port in 0..<UInt8(2) {
            let shift = UInt32(8 * port)
            let outputs = UInt8(truncatingIfNeeded: chip.outputs >> shift)
            if outputs == 0 { continue }
            let direction = try bus.readByte(settings.address, register: Register.direction + port)
            let isInput = direction & outputs != 0
            let isOwn = bit >> shift & 0xFF != 0
            guard isInput || isOwn || !chip.isSetUp else { continue }
            // Lines of nobody are inputs: their latch does not show.
            try bus.writeByte(
                settings.address, register: Register.latch + port, UInt8(truncatingIfNeeded: latch >> shift))
            if isInput {
                try bus.writeByte(settings.address, register: Register.direction + port, direction & ~outputs)
            }
        }
        chip.isSetUp = true
    }

    func readBack() throws(ActuatorError) -> Value {
        let levels: UInt32
        do throws(I2CError) {
            switch settings.model {
            case .mcp23017:
                let register = settings.verifies ? Register.port : Register.latch
                let port = UInt8(truncatingIfNeeded: settings.line / 8)
                levels = UInt32(try bus.readByte(settings.address, register: register + port)) << UInt32(8 * port)
            case .pcf8574:
                let port = UInt32(try bus.readByte(settings.address))
                levels = settings.verifies ? port : chip.latch
            }
        } catch {
            throw .i2c(error)
        }
        return .integer((levels & bit != 0) != settings.activeLow ? 1 : 0)
    }
}

extension PortExpander {
    static func decodeMCP23017(_ reader: Reader, _ chips: SharedChips) -> DriverPlan? {
        decode(reader, chips, .mcp23017, ExpectedChip("mcp23017", addresses: 0x20...0x27), lines: 16)
    }

    static func decodePCF8574(_ reader: Reader, _ chips: SharedChips) -> DriverPlan? {
        // The PCF8574A is the same chip at 0x38 to 0x3F (NXP 7.1).
        decode(reader, chips, .pcf8574, ExpectedChip("pcf8574", addresses: 0x20...0x3F), lines: 8)
    }

    /// Reads `bus`, `address`, `line`, `active_low`, `verify`, `safe` and `pulse`.
    private static func decode(
        _ reader: Reader, _ chips: SharedChips, _ model: Model, _ kind: ExpectedChip, lines: Int64
    ) -> DriverPlan? {
        let bus = reader.requiredNonEmpty("bus")
        let address = reader.address("address", in: kind.addresses) ?? 0x20
        let activeLow = reader.boolean("active_low") ?? false
        let verifies = reader.boolean("verify") ?? true
        let safe = safeLevel(reader)
        let pulse = pulseTime(reader)
        guard let line = reader.requiredInteger("line", in: 0...lines - 1), let bus, !reader.isRefused("address"),
            let chip = chips.chip(kind.driver, bus: bus, address: Int64(address), reader, "address")
        else { return nil }
        chip.add(output: line, safe: safe != activeLow)
        let settings = Settings(
            model: model, address: address, line: UInt32(truncatingIfNeeded: line), activeLow: activeLow, safe: safe,
            verifies: verifies)
        var plan = DriverPlan(
            domain: .level, safe: .integer(safe ? 1 : 0), bus: (bus, reader.mark(of: "bus")),
            addresses: [
                AddressClaim(bus: bus, address: settings.address, output: Int(line), mark: reader.mark(of: "line"))
            ],
            open: { (bus) throws(ActuatorError) -> any ActuatorDriver in
                try PortExpander(bus: bus, chip: chip, settings: settings)
            })
        plan.longest = pulse
        plan.chip = kind
        return plan
    }
}

/// Reads `pulse`: every order for another value than the safe one is a pulse of this length.
func pulseTime(_ reader: Reader) -> Interval? {
    reader.interval("pulse", in: .milliseconds(1)...Interval.seconds(86_400))
}
