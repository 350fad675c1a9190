import CShim
import Platform

/// One I2C bus, real or simulated. Calls block for as long as the transfer takes: they are made on the bus's
/// own worker thread. Addresses are 7-bit.
public protocol I2CBus: AnyObject {
    /// As the configuration names it, such as `i2c-1`.
    var name: String { get }

    /// A write followed by a read in one transaction (`I2C_RDWR`; repeated start); either part may be empty,
    /// not both. Up to 8,192 bytes each.
    func transfer(
        _ address: UInt8, write: UnsafeRawBufferPointer, read: UnsafeMutableRawBufferPointer
    ) throws(I2CError)

    /// What the adapter can do.
    var functions: BusFunctions { get }

    /// SMBus quick command, writing: nothing but the address. Whether a device acknowledges it.
    func quick(_ address: UInt8) throws(I2CError)
    /// SMBus receive byte.
    func readByte(_ address: UInt8) throws(I2CError) -> UInt8
    /// SMBus send byte.
    func writeByte(_ address: UInt8, _ value: UInt8) throws(I2CError)
    /// SMBus read byte from a register.
    func readByte(_ address: UInt8, register: UInt8) throws(I2CError) -> UInt8
    func writeByte(_ address: UInt8, register: UInt8, _ value: UInt8) throws(I2CError)
    /// SMBus word: low byte first.
    func readWord(_ address: UInt8, register: UInt8) throws(I2CError) -> UInt16
    func writeWord(_ address: UInt8, register: UInt8, _ value: UInt16) throws(I2CError)
    /// Fills `buffer` from consecutive registers: an I2C block read of up to 32 bytes, or, where the adapter
    /// speaks plain I2C, one transfer of any length.
    func readBlock(_ address: UInt8, register: UInt8, into buffer: UnsafeMutableRawBufferPointer) throws(I2CError)
    func writeBlock(_ address: UInt8, register: UInt8, _ bytes: UnsafeRawBufferPointer) throws(I2CError)
}

extension I2CBus {
    public var functions: BusFunctions { .all }

    public func quick(_ address: UInt8) throws(I2CError) {
        throw I2CError(bus: name, address: address, register: nil, code: EOPNOTSUPP)
    }
}

/// What an adapter can do: the `I2C_FUNC_…` bits that the kernel has for it (`I2C_FUNCS`; i2c.h).
public struct BusFunctions: Equatable, Sendable {
    public let bits: UInt32

    public init(bits: UInt32) { self.bits = bits }

    /// Messages of any length, with repeated starts (`I2C_RDWR`).
    public static let plain = BusFunctions(bits: 1 << 0)
    public static let quick = BusFunctions(bits: 1 << 16)
    public static let readByte = BusFunctions(bits: 1 << 17)
    public static let byteData = BusFunctions(bits: 1 << 19 | 1 << 20)
    public static let wordData = BusFunctions(bits: 1 << 21 | 1 << 22)
    public static let blocks = BusFunctions(bits: 1 << 26 | 1 << 27)
    /// Everything that a bus without limits does.
    public static let all = BusFunctions(bits: 1 << 0 | 0x0FFF_0000)

    public func has(_ function: BusFunctions) -> Bool { bits & function.bits == function.bits }

    /// In words, such as `plain I2C`, `quick`, `byte`.
    public var names: [String] {
        let all: [(BusFunctions, StaticString)] = [
            (.plain, "plain I2C"), (BusFunctions(bits: 1 << 1), "10-bit addresses"), (.quick, "quick"),
            (.readByte, "byte"), (.byteData, "byte data"), (.wordData, "word data"),
            (BusFunctions(bits: 1 << 24 | 1 << 25), "SMBus block"), (.blocks, "I2C block"),
            (BusFunctions(bits: 1 << 3), "PEC"),
        ]
        var names: [String] = []
        for (function, name) in all where has(function) { names.append(string(name)) }
        return names
    }
}

/// A transfer that failed, and where.
public struct I2CError: Error, Equatable, Sendable {
    public let bus: String
    public let address: UInt8
    /// The register, where the transfer named one.
    public let register: UInt8?
    /// The errno: `ENXIO`/`EREMOTEIO` no acknowledge, `ETIMEDOUT`, `EAGAIN` arbitration lost, `EIO` …
    public let code: Int32

    public init(bus: String, address: UInt8, register: UInt8?, code: Int32) {
        self.bus = bus
        self.address = address
        self.register = register
        self.code = code
    }

    /// Such as "i2c-1 0x76 register 0xd0: no acknowledge (errno 121)".
    public var description: String {
        let place = register.map { " register \(hexadecimal($0))" } ?? ""
        return "\(bus) \(hexadecimal(address))\(place): \(reason) (errno \(code))"
    }

    /// Whether the adapter itself has gone, not just a device on it.
    var isBusGone: Bool { code == ENODEV || code == ESHUTDOWN || code == EBADF }

    /// Whether a line that is held low would explain it.
    var mayBeStuck: Bool { code == ETIMEDOUT || code == EAGAIN || code == EIO }

    /// Whether the device did not answer to its address, or stopped in the middle.
    public var isNoAcknowledge: Bool { code == ENXIO || code == EREMOTEIO }

    /// What `code` means on a bus, as Documentation/i2c/fault-codes.rst of the kernel has it.
    private var reason: String {
        switch code {
        case ENXIO, EREMOTEIO: "no acknowledge"
        case ETIMEDOUT: "timed out"
        case EAGAIN: "arbitration lost"
        case EBUSY: "in use by a kernel driver"
        case ENOENT: "no such bus"
        case EACCES, EPERM: "permission denied"
        case EOPNOTSUPP: "the adapter cannot do this transfer"
        default: errorText(code)
        }
    }
}

/// A byte as `0x76`.
public func hexadecimal(_ byte: UInt8) -> String {
    let digits = String(byte, radix: 16)
    return digits.utf8.count < 2 ? "0x0" + digits : "0x" + digits
}
