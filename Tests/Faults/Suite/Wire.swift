/// Kafka's primitive types, big-endian ("Protocol Primitive Types"), from a request.
struct WireReader {
    struct Torn: Error {}

    private let source: [UInt8]
    private var position: Int
    private let end: Int

    init(_ bytes: [UInt8], from start: Int = 0) {
        source = bytes
        position = start
        end = bytes.count
    }

    mutating func integer<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(Torn) -> T {
        let size = T.bitWidth / 8
        guard position + size <= end else { throw Torn() }
        var value: T = 0
        for index in 0..<size { value = value << 8 | T(truncatingIfNeeded: source[position + index]) }
        position += size
        return value
    }

    /// A nullable string; null is "".
    mutating func string() throws(Torn) -> String {
        let length = Int(try integer(Int16.self))
        guard length > 0 else { return "" }
        guard position + length <= end else { throw Torn() }
        defer { position += length }
        return String(decoding: source[position..<position + length], as: UTF8.self)
    }

    mutating func bytes() throws(Torn) -> [UInt8] {
        let length = Int(try integer(Int32.self))
        guard length > 0 else { return [] }
        guard position + length <= end else { throw Torn() }
        defer { position += length }
        return Array(source[position..<position + length])
    }

    /// - Returns: `nil` for a null array.
    mutating func array<T>(_ element: (inout WireReader) throws(Torn) -> T) throws(Torn) -> [T]? {
        let count = Int(try integer(Int32.self))
        guard count >= 0 else { return nil }
        var elements: [T] = []
        for _ in 0..<count { elements.append(try element(&self)) }
        return elements
    }
}

/// The same, for an answer.
struct WireWriter {
    private(set) var bytes: [UInt8] = []

    mutating func write<T: FixedWidthInteger>(_ value: T) {
        for shift in stride(from: T.bitWidth - 8, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> T(shift)))
        }
    }

    mutating func write(_ text: String?) {
        guard let text else { return write(Int16(-1)) }
        write(Int16(text.utf8.count))
        bytes += text.utf8
    }

    mutating func write(_ data: [UInt8]) {
        write(Int32(data.count))
        bytes += data
    }

    mutating func write<T>(array: [T], _ element: (inout WireWriter, T) -> Void) {
        write(Int32(array.count))
        for item in array { element(&self, item) }
    }

    mutating func append(_ raw: [UInt8]) { bytes += raw }
}

/// CRC-32C (Castagnoli), as record batches carry it.
func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    var sum = ~UInt32(0)
    for byte in bytes {
        sum ^= UInt32(byte)
        for _ in 0..<8 { sum = sum & 1 == 1 ? sum >> 1 ^ 0x82F6_3B78 : sum >> 1 }
    }
    return ~sum
}
