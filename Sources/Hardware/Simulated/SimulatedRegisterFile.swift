/// A device with up to 256 byte registers: the first byte of a write is the register, what follows goes into it and
/// the next ones; a read goes on from there.
///
/// Subclasses give registers a meaning by overriding `load` and `store`, or `willSend` where several registers
/// must be of one moment.
open class SimulatedRegisterFile: SimulatedI2CDevice {
    public var registers = [UInt8](repeating: 0, count: 256)
    /// Where the next read begins.
    public var pointer: UInt8 = 0

    public init() {}

    /// The register's value, as a read finds it.
    open func load(_ register: UInt8) -> UInt8 { registers[Int(register)] }

    /// Takes a byte written to a register.
    open func store(_ register: UInt8, _ value: UInt8) { registers[Int(register)] = value }

    /// Called before the first byte of each read message.
    open func willSend() {}

    open func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let first = bytes.first else { return true }
        pointer = first
        for byte in bytes.dropFirst() {
            store(pointer, byte)
            pointer &+= 1
        }
        return true
    }

    open func send(into buffer: UnsafeMutableRawBufferPointer) -> Bool {
        willSend()
        for index in buffer.indices {
            buffer[index] = load(pointer)
            pointer &+= 1
        }
        return true
    }
}
