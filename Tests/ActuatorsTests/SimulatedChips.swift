import Actuators
import Configuration
import Hardware
import Platform
import Records
import TestSupport

/// A PCA9685 as its data sheet has it: 7.3.
final class SimulatedPCA9685: SimulatedRegisterFile {
    /// What an output shows.
    enum Shown: Equatable {
        case off
        case full
        /// From count to count of 4,096.
        case pulse(Int, Int)
    }

    /// Everything that was shown by each output while the oscillator ran, in order.
    private(set) var history = [[Shown]](repeating: [.off], count: 16)
    /// Values of the prescaler while the oscillator runs.
    private(set) var prescalers: [UInt8] = []

    override init() {
        super.init()
        reset()
    }

    /// Power-on (7.3, tables 4 to 9).
    func reset() {
        registers = [UInt8](repeating: 0, count: 256)
        registers[0x00] = 0x11
        registers[0x01] = 0x04
        for output in 0..<16 { registers[0x06 + 4 * output + 3] = 0x10 }
        registers[0xFE] = 0x1E
        pointer = 0
        look()
    }

    private var isAsleep: Bool { registers[0] & 0x10 != 0 }

    func shown(_ output: Int) -> Shown {
        let base = 0x06 + 4 * output
        if isAsleep || registers[base + 3] & 0x10 != 0 { return .off }
        if registers[base + 1] & 0x10 != 0 { return .full }
        let on = Int(registers[base + 1] & 15) << 8 | Int(registers[base])
        let off = Int(registers[base + 3] & 15) << 8 | Int(registers[base + 2])
        return .pulse(on, off)
    }

    private func look() {
        for output in 0..<16 where history[output].last != shown(output) { history[output].append(shown(output)) }
        if !isAsleep, prescalers.last != registers[0xFE] { prescalers.append(registers[0xFE]) }
    }

    override func store(_ register: UInt8, _ value: UInt8) {
        switch register {
        case 0xFA...0xFD: for output in 0..<16 { registers[0x06 + 4 * output + Int(register - 0xFA)] = value }
        case 0xFE: if isAsleep { registers[0xFE] = max(3, value) }
        default: registers[Int(register)] = value
        }
    }

    override func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let first = bytes.first else { return true }
        pointer = first
        for byte in bytes.dropFirst() {
            store(pointer, byte)
            // 7.3.1, AI.
            if registers[0] & 0x20 != 0 { pointer &+= 1 }
        }
        // MODE2.OCH is 0: outputs change at the end of the transfer (7.3.2).
        look()
        return true
    }
}

/// An MCP4725: DS22039 section 6.
final class SimulatedMCP4725: SimulatedI2CDevice {
    /// 0 to 4,095, as at the output. The factory's EEPROM holds the middle.
    private(set) var output: Int
    private(set) var history: [Int]
    private(set) var writesToEEPROM = 0
    var stored = 0x800
    var powerDown: UInt8 = 0
    /// How many reads find it busy after a write to the EEPROM.
    var busyReads = 3
    private var busy = 0

    init() {
        output = 0x800
        history = [0x800]
    }

    private func set(_ value: Int) {
        output = value
        if history.last != value { history.append(value) }
    }

    func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard busy == 0 else { return true }
        if bytes.count == 2, bytes[0] & 0xC0 == 0 {
            powerDown = bytes[0] >> 4 & 3
            set(Int(bytes[0] & 15) << 8 | Int(bytes[1]))
        } else if bytes.count == 3, bytes[0] & 0xE0 == 0x60 {
            powerDown = bytes[0] >> 1 & 3
            set(Int(bytes[1]) << 4 | Int(bytes[2] >> 4))
            stored = output
            writesToEEPROM += 1
            busy = busyReads
        } else {
            return false
        }
        return true
    }

    func send(into buffer: UnsafeMutableRawBufferPointer) -> Bool {
        let state = (busy == 0 ? 0x80 : 0) | 0x40 | powerDown << 1
        let bytes = [
            state, UInt8(output >> 4), UInt8(output & 15) << 4, UInt8(stored >> 8), UInt8(stored & 0xFF),
        ]
        if busy > 0 { busy -= 1 }
        for index in buffer.indices { buffer[index] = bytes[index % 5] }
        return true
    }
}

/// An MCP23017: DS20001952 section 3.5, IOCON.BANK 0.
final class SimulatedMCP23017: SimulatedRegisterFile {
    /// Lines that something outside holds at a level, however they are driven.
    var held: [Int: Bool] = [:]
    /// Every level that each line was driven to; `nil` is an input.
    private(set) var history = [[Bool?]](repeating: [nil], count: 16)

    override init() {
        super.init()
        reset()
    }

    func reset() {
        registers = [UInt8](repeating: 0, count: 256)
        (registers[0x00], registers[0x01]) = (0xFF, 0xFF)
        look()
    }

    private func driven(_ line: Int) -> Bool? {
        let (port, bit) = (line / 8, UInt8(1) << UInt8(line % 8))
        if registers[port] & bit != 0 { return nil }
        return registers[0x14 + port] & bit != 0
    }

    private func look() {
        for line in 0..<16 where history[line].last != .some(driven(line)) { history[line].append(driven(line)) }
    }

    override func load(_ register: UInt8) -> UInt8 {
        guard register == 0x12 || register == 0x13 else { return registers[Int(register)] }
        var value: UInt8 = 0
        for bit in 0..<8 {
            let line = Int(register - 0x12) * 8 + bit
            if held[line] ?? driven(line) ?? false { value |= 1 << UInt8(bit) }
        }
        return value
    }

    override func store(_ register: UInt8, _ value: UInt8) {
        // A write to GPIO is one to OLAT (3.5.10).
        registers[Int(register == 0x12 || register == 0x13 ? register + 2 : register)] = value
        look()
    }
}

/// A PCF8574: NXP section 8. All lines are high after power-on.
final class SimulatedPCF8574: SimulatedI2CDevice {
    private(set) var latch: UInt8 = 0xFF
    private(set) var history: [UInt8] = [0xFF]
    /// Lines that something outside pulls low.
    var pulledLow: UInt8 = 0

    func reset() {
        latch = 0xFF
        history.append(latch)
    }

    func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        for byte in bytes {
            latch = byte
            history.append(byte)
        }
        return true
    }

    func send(into buffer: UnsafeMutableRawBufferPointer) -> Bool {
        for index in buffer.indices { buffer[index] = latch & ~pulledLow }
        return true
    }
}

/// Actuators of one configuration on one simulated bus, made and called as on the bus's thread.
final class BusBench {
    let bus = SimulatedI2CBus(name: "i2c-1")
    private(set) var plans: [ActuatorPlan] = []
    private(set) var problems: [String] = []
    private(set) var drivers: [any ActuatorDriver] = []

    /// - Parameter configuration: the list under `actuators`.
    init(_ configuration: String) {
        let diagnostics = Diagnostics(file: "k.yaml")
        let root = Document.parse(
            bytes: Array(configuration.utf8), environment: { _ in nil },
            readFile: { (path) throws(SystemError) in throw SystemError(call: "open", code: 2, subject: path) },
            diagnostics: diagnostics)
        if case .sequence(let nodes, _) = root {
            plans = ActuatorPlan.decode(list: nodes, path: "actuators", diagnostics: diagnostics)
        }
        problems = diagnostics.lines
    }

    /// Makes the drivers in the order of the configuration.
    func open() throws {
        drivers = []
        for index in plans.indices { drivers.append(try make(index)) }
    }

    func make(_ index: Int) throws -> any ActuatorDriver {
        guard case .onBus(_, _, let make) = plans[index].driver.maker else { throw ActuatorError.noBus }
        return try make(bus)
    }

    /// Drives a value that the plan admits, goes through its steps, and reads back.
    @discardableResult
    func order(_ index: Int, _ value: Value) throws -> Value {
        let admitted = plans[index].domain.admit(value) ?? value
        _ = try drivers[index].drive(admitted)
        while drivers[index].pause != nil { try drivers[index].step() }
        return try drivers[index].readBack()
    }
}
