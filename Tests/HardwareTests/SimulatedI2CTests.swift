import CShim
import Hardware
import Platform
import TestSupport
import Testing

@Suite struct SimulatedI2CTests {
    private let bus = SimulatedI2CBus(name: "i2c-1")
    private let device = SimulatedRegisterFile()

    init() { bus.attach(device, at: 0x40) }

    private func block(_ register: UInt8, _ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        try bytes.withUnsafeMutableBytes { try bus.readBlock(0x40, register: register, into: $0) }
        return bytes
    }

    private func transfer(_ address: UInt8, write: [UInt8], read: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: read)
        try write.withUnsafeBytes { out in
            try bytes.withUnsafeMutableBytes { try bus.transfer(address, write: out, read: $0) }
        }
        return bytes
    }

    private func error(_ body: () throws(I2CError) -> Void) -> I2CError? { failure(I2CError.self, body) }

    @Test func smbusCallsAndTransfersAreTheSameBytes() throws {
        try bus.writeByte(0x40, register: 0x10, 0xAB)
        try bus.writeWord(0x40, register: 0x11, 0x1234)
        #expect(device.registers[0x10...0x12] == [0xAB, 0x34, 0x12])
        #expect(try bus.readByte(0x40, register: 0x10) == 0xAB)
        #expect(try bus.readWord(0x40, register: 0x11) == 0x1234)
        #expect(try block(0x10, 3) == [0xAB, 0x34, 0x12])
        #expect(try transfer(0x40, write: [0x10], read: 3) == [0xAB, 0x34, 0x12])
        // The register pointer stays between messages.
        try bus.writeByte(0x40, 0x11)
        #expect(try bus.readByte(0x40) == 0x34)
        #expect(try transfer(0x40, write: [], read: 1) == [0x12])
        _ = try transfer(0x40, write: [0x30, 7, 8], read: 0)
        #expect(try block(0x30, 2) == [7, 8])
        let bytes: [UInt8] = [1, 2, 3]
        try bytes.withUnsafeBytes { try bus.writeBlock(0x40, register: 0x20, $0) }
        #expect(try block(0x20, 4) == [1, 2, 3, 0])
    }

    @Test func nobodyAnswersAtAnAbsentAddress() throws {
        #expect(
            error { () throws(I2CError) in _ = try bus.readByte(0x41, register: 0xD0) }
                == I2CError(bus: "i2c-1", address: 0x41, register: 0xD0, code: ENXIO))
        bus.detach(0x40)
        #expect(error { () throws(I2CError) in try bus.writeByte(0x40, 1) }?.code == ENXIO)
        bus.attach(device, at: 0x40)
        try bus.writeByte(0x40, 1)
    }

    @Test func whatIsNoTransferIsRefused() {
        #expect(throws: I2CError.self) { try bus.readByte(0x80) }
        #expect(throws: I2CError.self) { try transfer(0x40, write: [], read: 0) }
        #expect(throws: I2CError.self) { try block(0, 0) }
        #expect(bus.transfers == 0)
    }

    @Test func faultsHitTheTransferTheyAreMeantFor() throws {
        device.registers[1] = 0x0F
        let faults: [(SimulatedI2CFault, Int32)] = [
            (.noAcknowledge, EREMOTEIO), (.timeout, ETIMEDOUT), (.arbitrationLost, EAGAIN),
        ]
        for (fault, expected) in faults {
            bus.fault = { $0 == 0x40 ? fault : nil }
            #expect(error { () throws(I2CError) in try bus.writeByte(0x40, register: 1, 0xFF) }?.code == expected)
            bus.fault = nil
            #expect(try bus.readByte(0x40, register: 1) == 0x0F)
        }
        bus.fault = { _ in .garbage }
        #expect(try bus.readByte(0x40, register: 1) == 0xF0)
    }

    @Test func seededFaultsRepeat() {
        func run(_ seed: UInt64) -> [Int32] {
            bus.injectFaults(oneIn: 10, seed: seed, [.noAcknowledge, .timeout])
            return (0..<1_000).map { _ in error { () throws(I2CError) in _ = try bus.readByte(0x40) }?.code ?? 0 }
        }
        let first = run(1)
        #expect(first == run(1))
        #expect(first != run(2))
        let faults = first.filter { $0 != 0 }
        #expect((50...200).contains(faults.count))
        #expect(Set(faults) == [EREMOTEIO, ETIMEDOUT])
    }

    @Test func aTransferTakesItsTime() throws {
        let loop = ManualLoop()
        let start = loop.now
        bus.wait = { loop.advance(by: $0) }
        bus.latency = .microseconds(300)
        try bus.writeByte(0x40, 0)
        #expect(loop.now - start == .microseconds(300))
        bus.fault = { _ in .timeout }
        #expect(throws: I2CError.self) { try bus.writeByte(0x40, 0) }
        #expect(loop.now - start == .microseconds(300) + .milliseconds(200))
    }

    @Test func aBusIsMadeOnceAndMayBeMissing() throws {
        let hardware = SimulatedHardware(loop: ManualLoop())
        hardware.bus("i2c-1").attach(device, at: 0x40)
        device.registers[5] = 9
        let settings = BusSettings(name: "i2c-1", path: "/dev/i2c-1")
        #expect(try hardware.openBus(settings).readByte(0x40, register: 5) == 9)
        hardware.missingBuses = ["i2c-1"]
        let error = failure(SystemError.self) { () throws(SystemError) in _ = try hardware.openBus(settings) }
        #expect(error == SystemError(call: "open", code: ENOENT, subject: "/dev/i2c-1"))
    }
}
