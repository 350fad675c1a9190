import CShim
import Configuration
import Hardware
import Platform
import Records

/// The driver `mcp4725`: the voltage of a 12-bit converter of Microchip, as a share of its supply.
///
/// At power-on the chip takes what its EEPROM holds, from the factory half of the supply: with `eeprom: true` the safe value is written
/// there, once, when something else stands in it (it bears about a million writes, which a write at each start would use up).
/// Otherwise the EEPROM is left alone, and the output is at the safe value from the agent's start on.
///
/// Sections of the data sheet DS22039, revision D.
final class MCP4725Output: SteppedOutput {
    private let bus: any I2CBus
    private let address: UInt8

    init(
        bus: any I2CBus, address: UInt8, storesSafeValue: Bool, scale: ValueScale, safe: Double, ramp: Interval
    ) throws(ActuatorError) {
        self.bus = bus
        self.address = address
        super.init(scale: scale, steps: 4_095, safe: safe, ramp: ramp)
        try write(safeStep)
        if storesSafeValue { try store() }
    }

    /// 6.1.1, fast mode: two bytes, the highest four bits (command and power-down) 0, then the value. The EEPROM stays as it is.
    override func write(_ step: Int64) throws(ActuatorError) {
        do throws(I2CError) {
            try bus.writeByte(
                address, register: UInt8(truncatingIfNeeded: step >> 8), UInt8(truncatingIfNeeded: step))
        } catch {
            throw .i2c(error)
        }
    }

    override func read() throws(ActuatorError) -> Int64 {
        let state = try state()
        if state.isPoweredDown { throw .device("the mcp4725 is powered down") }
        return state.value
    }

    private struct State {
        var isReady: Bool
        var isPoweredDown: Bool
        var value: Int64
        /// The EEPROM's value; with power-down bits it is none that the output could have.
        var stored: Int64
    }

    /// 6.2: state, two bytes of the output's register, two of the EEPROM.
    private func state() throws(ActuatorError) -> State {
        var bytes: (UInt8, UInt8, UInt8, UInt8, UInt8) = (0, 0, 0, 0, 0)
        var failure: I2CError?
        withUnsafeMutableBytes(of: &bytes) { read in
            do throws(I2CError) {
                try bus.transfer(address, write: UnsafeRawBufferPointer(start: nil, count: 0), read: read)
            } catch {
                failure = error
            }
        }
        if let failure { throw .i2c(failure) }
        return State(
            isReady: bytes.0 & 0x80 != 0, isPoweredDown: bytes.0 & 0x06 != 0,
            value: Int64(bytes.1) << 4 | Int64(bytes.2 >> 4), stored: Int64(bytes.3 & 0x6F) << 8 | Int64(bytes.4))
    }

    /// 6.1.3: the value into the register and the EEPROM. That takes up to 50 ms (section 1), in which other writes are ignored.
    private func store() throws(ActuatorError) {
        let wanted = safeStep
        if try state().stored == wanted { return }
        do throws(I2CError) {
            // The word's low byte goes first: bits 11 to 4.
            let value = UInt16(truncatingIfNeeded: wanted)
            try bus.writeWord(address, register: 0x60, value >> 4 | (value & 15) << 12)
        } catch {
            throw .i2c(error)
        }
        // A read takes a tenth of a millisecond on the fastest bus.
        for _ in 0..<1_000 where try state().isReady { return }
        throw .device("the mcp4725 does not finish writing its EEPROM")
    }

    /// Reads `bus`, `address`, `eeprom`, `min`, `max`, `output_min`, `output_max`, `safe` and `ramp`.
    static func decode(_ reader: Reader, _ chips: SharedChips) -> DriverPlan? {
        let scale = ValueScale.decode(reader)
        let safe = scale.flatMap { safeNumber(reader, $0.range) }
        let ramp = rampTime(reader)
        let stores = reader.boolean("eeprom") ?? false
        let chip = ExpectedChip("mcp4725", addresses: 0x60...0x67)
        let address = reader.address("address", in: chip.addresses) ?? 0x60
        guard let bus = reader.requiredNonEmpty("bus"), let scale, let safe, !reader.isRefused("address") else {
            return nil
        }
        var plan = DriverPlan(
            domain: .number(scale.range), safe: .number(safe), bus: (bus, reader.mark(of: "bus")),
            addresses: [AddressClaim(bus: bus, address: address, mark: reader.mark(of: "address"))],
            open: { (bus) throws(ActuatorError) -> any ActuatorDriver in
                try MCP4725Output(
                    bus: bus, address: address, storesSafeValue: stores, scale: scale, safe: safe, ramp: ramp)
            })
        plan.chip = chip
        return plan
    }
}
