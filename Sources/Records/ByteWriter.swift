/// Writes bytes into memory that someone else owns; never allocates, never writes past the end.
///
/// A write that does not fit is left out whole, sets `isOverflowed`, and so are all writes after it: what is
/// there stays a prefix of what was meant. The memory must outlive the writer.
public struct ByteWriter {
    private let base: UnsafeMutablePointer<UInt8>?
    /// The most bytes that fit.
    public let capacity: Int
    /// Bytes written so far.
    public private(set) var count = 0
    /// Whether something did not fit; what was written is then incomplete.
    public private(set) var isOverflowed = false

    public init(_ memory: UnsafeMutableRawBufferPointer) {
        base = memory.baseAddress?.assumingMemoryBound(to: UInt8.self)
        capacity = memory.count
    }

    /// What has been written.
    public var written: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    /// Gives the record up: it counts as not fitting.
    public mutating func fail() { isOverflowed = true }

    /// Takes the next `length` bytes, for the caller to fill; `nil` when they do not fit.
    @inline(__always)
    mutating func take(_ length: Int) -> UnsafeMutablePointer<UInt8>? {
        guard let base, length <= capacity - count, !isOverflowed else {
            if length > 0 { isOverflowed = true }
            return nil
        }
        let start = base + count
        count += length
        return start
    }

    @inline(__always)
    public mutating func write(_ byte: UInt8) {
        if let start = take(1) { start.pointee = byte }
    }

    public mutating func write(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, let start = take(bytes.count) else { return }
        UnsafeMutableRawPointer(start).copyMemory(from: source, byteCount: bytes.count)
    }

    public mutating func write(_ text: StaticString) {
        // A literal is stored as a pointer unless it is a lone scalar; both are served by the closure.
        text.withUTF8Buffer { write(UnsafeRawBufferPointer($0)) }
    }

    /// The bytes as they are, nothing escaped. The label keeps literals with the overload above, which is cheaper.
    public mutating func write(utf8 text: String) {
        let done: Void? = text.utf8.withContiguousStorageIfAvailable { write(UnsafeRawBufferPointer($0)) }
        if done == nil { for byte in text.utf8 { write(byte) } }
    }

    /// In decimal.
    public mutating func write(_ value: UInt64) {
        // Nine digits at a time: dividing 64 bits is a library call on 32-bit Arm.
        if value <= UInt64(UInt32.max) {
            write(UInt32(truncatingIfNeeded: value))
        } else {
            let high = value / 1_000_000_000
            write(high)
            write(UInt32(truncatingIfNeeded: value &- high &* 1_000_000_000), digits: 9)
        }
    }

    /// In decimal.
    public mutating func write(_ value: Int64) {
        if value < 0 { write(UInt8(ascii: "-")) }
        write(value.magnitude)
    }

    /// In decimal.
    @inline(__always)
    mutating func write(_ value: UInt32) { write(value, digits: Self.digits(of: value)) }

    /// In decimal, the last `digits` digits, with zeros in front.
    mutating func write(_ value: UInt32, digits: Int) {
        guard let start = take(digits) else { return }
        var rest = value
        var index = digits
        while index > 0 {
            index -= 1
            let quotient = rest / 10
            start[index] = UInt8(truncatingIfNeeded: rest &- quotient &* 10) &+ UInt8(ascii: "0")
            rest = quotient
        }
    }

    private static func digits(of value: UInt32) -> Int {
        var bound: UInt32 = 10
        var count = 1
        while count < 10, value >= bound {
            count += 1
            bound = bound &* 10
        }
        return count
    }
}
