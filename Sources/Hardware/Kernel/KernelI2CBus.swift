import CI2C
import CShim
import Platform

/// A bus of the kernel, `/dev/i2c-…`.
///
/// Opening it sets the adapter's bound to 200 ms a transfer and one more try after a lost arbitration. These
/// belong to the adapter, not to us: they hold for its other users too. 200 ms is more than the longest known clock
/// stretching (SCD30, 150 ms) and five times less than the kernel's usual second.
public final class KernelI2CBus: I2CBus {
    public let name: String
    private let descriptor: Descriptor
    public let functions: BusFunctions
    /// Whether the adapter does plain I2C; otherwise only what SMBus has.
    private let plain: Bool
    private var selected: UInt8?

    /// In units of 10 ms.
    private static let timeout: UInt = 20
    private static let retries: UInt = 1
    /// `i2c-dev` refuses longer messages.
    private static let longest = 8_192

    private init(name: String, descriptor: Descriptor, functions: BusFunctions) {
        self.name = name
        self.descriptor = descriptor
        self.functions = functions
        plain = functions.has(.plain)
    }

    // Not an initializer: Embedded Swift 6.3 leaks the object of a class whose initializer throws before all is set,
    // and a bus that is missing is asked for again and again.

    /// Opens `path`.
    /// - Throws: `SystemError` with `path`; `busRemedy` says what may help.
    public static func open(name: String, path: String) throws(SystemError) -> KernelI2CBus {
        let descriptor = try Descriptor.open(path, flags: O_RDWR)
        var functions: UInt = 0
        try systemCall("ioctl I2C_FUNCS", on: path) { kedge_i2c_functions(descriptor.number, &functions) }
        try systemCall("ioctl I2C_TIMEOUT", on: path) { kedge_i2c_bound(descriptor.number, timeout, retries) }
        return KernelI2CBus(
            name: name, descriptor: descriptor, functions: BusFunctions(bits: UInt32(truncatingIfNeeded: functions)))
    }

    /// Makes a call to the device at `address`; what it returns is never negative.
    @discardableResult
    private func call(
        _ address: UInt8, register: UInt8? = nil, _ body: (Int32) -> Int32
    ) throws(I2CError) -> Int32 {
        do throws(SystemError) {
            if selected != address {
                selected = nil
                // For plain I2C as well: the kernel then refuses a device that one of its drivers has.
                try systemCall("ioctl I2C_SLAVE") { kedge_i2c_select(descriptor.number, address) }
                selected = address
            }
            return try systemCall("i2c") { body(descriptor.number) }
        } catch {
            throw I2CError(bus: name, address: address, register: register, code: error.code)
        }
    }

    private func refuse(_ address: UInt8, register: UInt8? = nil, _ code: Int32) -> I2CError {
        I2CError(bus: name, address: address, register: register, code: code)
    }

    public func transfer(
        _ address: UInt8, write: UnsafeRawBufferPointer, read: UnsafeMutableRawBufferPointer
    ) throws(I2CError) {
        guard write.count + read.count > 0, write.count <= Self.longest, read.count <= Self.longest else {
            throw refuse(address, EINVAL)
        }
        guard plain else { return try transferBySMBus(address, write, read) }
        try call(address) { bus in
            kedge_i2c_transfer(
                bus, address, write.baseAddress, UInt16(write.count), read.baseAddress, UInt16(read.count))
        }
    }

    /// The transfers that SMBus knows under names of its own: they look the same on the wire.
    private func transferBySMBus(
        _ address: UInt8, _ write: UnsafeRawBufferPointer, _ read: UnsafeMutableRawBufferPointer
    ) throws(I2CError) {
        switch (write.count, read.count) {
        case (0, 1): read[0] = try readByte(address)
        case (1, 0): try writeByte(address, write[0])
        case (1, _): try readBlock(address, register: write[0], into: read)
        case (_, 0): try writeBlock(address, register: write[0], UnsafeRawBufferPointer(rebasing: write[1...]))
        default: throw refuse(address, EOPNOTSUPP)
        }
    }

    public func quick(_ address: UInt8) throws(I2CError) { try call(address) { kedge_i2c_quick($0) } }

    public func readByte(_ address: UInt8) throws(I2CError) -> UInt8 {
        UInt8(truncatingIfNeeded: try call(address) { i2c_smbus_read_byte($0) })
    }

    public func writeByte(_ address: UInt8, _ value: UInt8) throws(I2CError) {
        try call(address) { i2c_smbus_write_byte($0, value) }
    }

    public func readByte(_ address: UInt8, register: UInt8) throws(I2CError) -> UInt8 {
        UInt8(truncatingIfNeeded: try call(address, register: register) { i2c_smbus_read_byte_data($0, register) })
    }

    public func writeByte(_ address: UInt8, register: UInt8, _ value: UInt8) throws(I2CError) {
        try call(address, register: register) { i2c_smbus_write_byte_data($0, register, value) }
    }

    public func readWord(_ address: UInt8, register: UInt8) throws(I2CError) -> UInt16 {
        UInt16(truncatingIfNeeded: try call(address, register: register) { i2c_smbus_read_word_data($0, register) })
    }

    public func writeWord(_ address: UInt8, register: UInt8, _ value: UInt16) throws(I2CError) {
        try call(address, register: register) { i2c_smbus_write_word_data($0, register, value) }
    }

    public func readBlock(
        _ address: UInt8, register: UInt8, into buffer: UnsafeMutableRawBufferPointer
    ) throws(I2CError) {
        guard buffer.count > 0, buffer.count <= (plain ? Self.longest : Int(I2C_SMBUS_BLOCK_MAX)) else {
            throw refuse(address, register: register, EINVAL)
        }
        var first = register
        try call(address, register: register) { bus in
            plain
                ? kedge_i2c_transfer(bus, address, &first, 1, buffer.baseAddress, UInt16(buffer.count))
                : kedge_i2c_read_block(bus, register, UInt8(buffer.count), buffer.baseAddress)
        }
    }

    public func writeBlock(
        _ address: UInt8, register: UInt8, _ bytes: UnsafeRawBufferPointer
    ) throws(I2CError) {
        guard bytes.count > 0, bytes.count < (plain ? Self.longest : Int(I2C_SMBUS_BLOCK_MAX) + 1) else {
            throw refuse(address, register: register, EINVAL)
        }
        guard plain else {
            try call(address, register: register) { bus in
                i2c_smbus_write_i2c_block_data(
                    bus, register, UInt8(bytes.count), bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
            }
            return
        }
        // One message: a repeated start between register and data would end the write for many devices.
        try withUnsafeTemporaryBytes(bytes.count + 1) { (message) throws(I2CError) in
            message[0] = register
            UnsafeMutableRawBufferPointer(rebasing: message[1...]).copyMemory(from: bytes)
            try call(address, register: register) { bus in
                kedge_i2c_transfer(bus, address, message.baseAddress, UInt16(message.count), nil, 0)
            }
        }
    }
}

/// Room for a message of `count` bytes.
func withUnsafeTemporaryBytes(
    _ count: Int, _ body: (UnsafeMutableRawBufferPointer) throws(I2CError) -> Void
) throws(I2CError) {
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 1)
    defer { bytes.deallocate() }
    try body(bytes)
}
