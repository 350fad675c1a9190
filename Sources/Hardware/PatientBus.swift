import Platform

/// A bus that need not be there yet: it is opened by the first transfer, and again after it went away, so that an
/// agent starts before its bus does and outlives a removed adapter. A transfer that finds no bus fails with the
/// errno of the opening.
public final class PatientBus: I2CBus {
    public let name: String
    private let settings: BusSettings
    private let hardware: any Hardware
    private var bus: (any I2CBus)?

    public init(_ settings: BusSettings, hardware: any Hardware) {
        name = settings.name
        self.settings = settings
        self.hardware = hardware
    }

    private func opened(_ address: UInt8) throws(I2CError) -> any I2CBus {
        if let bus { return bus }
        do throws(SystemError) {
            let opened = try hardware.openBus(settings)
            bus = opened
            return opened
        } catch {
            throw I2CError(bus: name, address: address, register: nil, code: error.code)
        }
    }

    /// Does one transfer; a bus whose adapter is gone is opened anew by the next.
    private func on<Result>(
        _ address: UInt8, _ transfer: (any I2CBus) throws(I2CError) -> Result
    ) throws(I2CError) -> Result {
        let bus = try opened(address)
        do throws(I2CError) {
            return try transfer(bus)
        } catch {
            if error.isBusGone { self.bus = nil }
            throw error
        }
    }

    public func transfer(
        _ address: UInt8, write: UnsafeRawBufferPointer, read: UnsafeMutableRawBufferPointer
    ) throws(I2CError) {
        try on(address) { (bus) throws(I2CError) in try bus.transfer(address, write: write, read: read) }
    }

    public func readByte(_ address: UInt8) throws(I2CError) -> UInt8 {
        try on(address) { (bus) throws(I2CError) in try bus.readByte(address) }
    }

    public func writeByte(_ address: UInt8, _ value: UInt8) throws(I2CError) {
        try on(address) { (bus) throws(I2CError) in try bus.writeByte(address, value) }
    }

    public func readByte(_ address: UInt8, register: UInt8) throws(I2CError) -> UInt8 {
        try on(address) { (bus) throws(I2CError) in try bus.readByte(address, register: register) }
    }

    public func writeByte(_ address: UInt8, register: UInt8, _ value: UInt8) throws(I2CError) {
        try on(address) { (bus) throws(I2CError) in try bus.writeByte(address, register: register, value) }
    }

    public func readWord(_ address: UInt8, register: UInt8) throws(I2CError) -> UInt16 {
        try on(address) { (bus) throws(I2CError) in try bus.readWord(address, register: register) }
    }

    public func writeWord(_ address: UInt8, register: UInt8, _ value: UInt16) throws(I2CError) {
        try on(address) { (bus) throws(I2CError) in try bus.writeWord(address, register: register, value) }
    }

    public func readBlock(
        _ address: UInt8, register: UInt8, into buffer: UnsafeMutableRawBufferPointer
    ) throws(I2CError) {
        try on(address) { (bus) throws(I2CError) in try bus.readBlock(address, register: register, into: buffer) }
    }

    public func writeBlock(_ address: UInt8, register: UInt8, _ bytes: UnsafeRawBufferPointer) throws(I2CError) {
        try on(address) { (bus) throws(I2CError) in try bus.writeBlock(address, register: register, bytes) }
    }
}
