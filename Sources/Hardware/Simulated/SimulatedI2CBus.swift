import CShim
import Platform

/// A device on a `SimulatedI2CBus`, as the wire sees it.
public protocol SimulatedI2CDevice: AnyObject {
    /// Takes the bytes of one write message. Returns whether it acknowledged them.
    func receive(_ bytes: UnsafeRawBufferPointer) -> Bool
    /// Fills one read message. Returns whether it acknowledged its address.
    func send(into buffer: UnsafeMutableRawBufferPointer) -> Bool
}

/// What can go wrong in a simulated transfer.
public enum SimulatedI2CFault: Sendable {
    /// `EREMOTEIO`; the device does not see the transfer.
    case noAcknowledge
    /// `ETIMEDOUT`, after `SimulatedI2CBus.timeout`; the device does not see the transfer.
    case timeout
    /// `EAGAIN`; the device does not see the transfer.
    case arbitrationLost
    /// The transfer succeeds, but what was read is inverted.
    case garbage
    /// The transfer succeeds, but what was read is random.
    case noise
    /// SDA is low: whatever is sent is acknowledged, and all that is read is zero. The device does not see the transfer.
    case stuckLow
    /// The device gets what was written inverted, but for the first byte, and answers as ever.
    case garbledWrite
}

/// A bus whose devices are objects. SMBus calls and plain transfers are the same bytes to a device.
///
/// As a real bus it belongs to one thread at a time; attach devices before it is in use.
public final class SimulatedI2CBus: I2CBus {
    public let name: String
    /// How long a transfer takes and how long one that times out.
    public var latency: Interval = .zero
    public var timeout: Interval = .milliseconds(200)
    /// Lets that time pass, on the calling thread; without it a transfer takes none. A test that wants a bus to hang
    /// does not return.
    public var wait: ((Interval) -> Void)?
    /// Asked before each transfer to an address: what goes wrong with it, if anything.
    public var fault: ((UInt8) -> SimulatedI2CFault?)?
    /// Transfers made, those that failed included.
    public private(set) var transfers: UInt64 = 0
    public var functions = BusFunctions.all
    private var devices: [(address: UInt8, device: any SimulatedI2CDevice)] = []
    private var holders: [(address: UInt8, driver: String)] = []
    private var noise: UInt64 = 0

    public init(name: String) { self.name = name }

    /// Puts a device on the bus, instead of the one that had the address.
    public func attach(_ device: any SimulatedI2CDevice, at address: UInt8) {
        detach(address)
        devices.append((address, device))
    }

    /// Takes the device away: the address does not answer any more (`ENXIO`).
    public func detach(_ address: UInt8) { devices.removeAll { $0.address == address } }

    /// Lets a driver of the kernel have the address: transfers to it fail with `EBUSY`.
    public func hold(_ address: UInt8, by driver: String) { holders.append((address, driver)) }

    /// The driver that has the address.
    func holder(of address: UInt8) -> String? { holders.first { $0.address == address }?.driver }

    /// Lets about one transfer in `count` go wrong, the same ones for the same seed.
    public func injectFaults(
        oneIn count: UInt64, seed: UInt64, _ kinds: [SimulatedI2CFault] = [.noAcknowledge, .timeout, .garbage]
    ) {
        var state = seed
        fault = { _ in
            guard count > 0, !kinds.isEmpty, nextRandom(&state) % count == 0 else { return nil }
            return kinds[Int(nextRandom(&state) % UInt64(kinds.count))]
        }
    }

    /// Lets the transfer's time pass.
    /// - Returns: what else goes wrong with it.
    private func begin(_ address: UInt8, _ register: UInt8?) throws(I2CError) -> SimulatedI2CFault? {
        func failure(_ code: Int32) -> I2CError {
            I2CError(bus: name, address: address, register: register, code: code)
        }
        guard address < 0x80 else { throw failure(EINVAL) }
        if holder(of: address) != nil { throw failure(EBUSY) }
        transfers += 1
        let fault = fault?(address)
        wait?(fault == .timeout ? timeout : latency)
        switch fault {
        case .noAcknowledge: throw failure(EREMOTEIO)
        case .timeout: throw failure(ETIMEDOUT)
        case .arbitrationLost: throw failure(EAGAIN)
        default: return fault
        }
    }

    private func device(_ address: UInt8, _ register: UInt8?) throws(I2CError) -> any SimulatedI2CDevice {
        if let entry = devices.first(where: { $0.address == address }) { return entry.device }
        throw I2CError(bus: name, address: address, register: register, code: ENXIO)
    }

    private func exchange(
        _ address: UInt8, _ register: UInt8?, _ write: UnsafeRawBufferPointer,
        _ read: UnsafeMutableRawBufferPointer
    ) throws(I2CError) {
        guard write.count + read.count > 0 else {
            throw I2CError(bus: name, address: address, register: register, code: EINVAL)
        }
        let fault = try begin(address, register)
        if fault == .stuckLow {
            for index in read.indices { read[index] = 0 }
            return
        }
        let device = try device(address, register)
        let silent = I2CError(bus: name, address: address, register: register, code: EREMOTEIO)
        if write.count > 0 && !receive(write, device, garbled: fault == .garbledWrite) { throw silent }
        if read.count > 0 && !device.send(into: read) { throw silent }
        switch fault {
        case .garbage: for index in read.indices { read[index] = ~read[index] }
        case .noise: for index in read.indices { read[index] = UInt8(truncatingIfNeeded: nextRandom(&noise)) }
        default: break
        }
    }

    private func receive(
        _ bytes: UnsafeRawBufferPointer, _ device: any SimulatedI2CDevice, garbled: Bool
    ) -> Bool {
        guard garbled else { return device.receive(bytes) }
        var inverted = Array(bytes)
        for index in inverted.indices.dropFirst() { inverted[index] = ~inverted[index] }
        return inverted.withUnsafeBytes { device.receive($0) }
    }

    public func quick(_ address: UInt8) throws(I2CError) {
        guard functions.has(.quick) else {
            throw I2CError(bus: name, address: address, register: nil, code: EOPNOTSUPP)
        }
        if try begin(address, nil) == .stuckLow { return }
        _ = try device(address, nil)
    }

    /// Writes up to three bytes, then reads up to two.
    private func exchange(
        _ address: UInt8, register: UInt8?, _ bytes: (UInt8, UInt8, UInt8), count: Int, read: Int
    ) throws(I2CError) -> UInt16 {
        var answer: UInt16 = 0
        try withUnsafeTemporaryBytes(5) { (room) throws(I2CError) in
            room[0] = bytes.0
            room[1] = bytes.1
            room[2] = bytes.2
            room[3] = 0
            room[4] = 0
            try exchange(
                address, register, UnsafeRawBufferPointer(rebasing: room[..<count]),
                UnsafeMutableRawBufferPointer(rebasing: room[3..<3 + read]))
            answer = UInt16(room[3]) | UInt16(room[4]) << 8
        }
        return answer
    }

    public func transfer(
        _ address: UInt8, write: UnsafeRawBufferPointer, read: UnsafeMutableRawBufferPointer
    ) throws(I2CError) {
        try exchange(address, nil, write, read)
    }

    public func readByte(_ address: UInt8) throws(I2CError) -> UInt8 {
        UInt8(truncatingIfNeeded: try exchange(address, register: nil, (0, 0, 0), count: 0, read: 1))
    }

    public func writeByte(_ address: UInt8, _ value: UInt8) throws(I2CError) {
        _ = try exchange(address, register: nil, (value, 0, 0), count: 1, read: 0)
    }

    public func readByte(_ address: UInt8, register: UInt8) throws(I2CError) -> UInt8 {
        UInt8(truncatingIfNeeded: try exchange(address, register: register, (register, 0, 0), count: 1, read: 1))
    }

    public func writeByte(_ address: UInt8, register: UInt8, _ value: UInt8) throws(I2CError) {
        _ = try exchange(address, register: register, (register, value, 0), count: 2, read: 0)
    }

    public func readWord(_ address: UInt8, register: UInt8) throws(I2CError) -> UInt16 {
        try exchange(address, register: register, (register, 0, 0), count: 1, read: 2)
    }

    public func writeWord(_ address: UInt8, register: UInt8, _ value: UInt16) throws(I2CError) {
        let low = UInt8(truncatingIfNeeded: value)
        _ = try exchange(
            address, register: register, (register, low, UInt8(value >> 8)), count: 3, read: 0)
    }

    public func readBlock(
        _ address: UInt8, register: UInt8, into buffer: UnsafeMutableRawBufferPointer
    ) throws(I2CError) {
        guard buffer.count > 0 else { throw I2CError(bus: name, address: address, register: register, code: EINVAL) }
        try withUnsafeTemporaryBytes(1) { (message) throws(I2CError) in
            message[0] = register
            try exchange(address, register, UnsafeRawBufferPointer(message), buffer)
        }
    }

    public func writeBlock(
        _ address: UInt8, register: UInt8, _ bytes: UnsafeRawBufferPointer
    ) throws(I2CError) {
        guard bytes.count > 0 else { throw I2CError(bus: name, address: address, register: register, code: EINVAL) }
        try withUnsafeTemporaryBytes(bytes.count + 1) { (message) throws(I2CError) in
            message[0] = register
            UnsafeMutableRawBufferPointer(rebasing: message[1...]).copyMemory(from: bytes)
            try exchange(
                address, register, UnsafeRawBufferPointer(message),
                UnsafeMutableRawBufferPointer(rebasing: message[..<0]))
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to scatter faults.
private func nextRandom(_ state: inout UInt64) -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
}
