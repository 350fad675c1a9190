import CShim
import Configuration
import Platform
import Records

/// A number in a file: thermal zones, hwmon, IIO and 1-wire attributes under `/sys`.
///
/// `w1_slave` of a DS18B20 (`key: t=`, `scale: 0.001`) is known by its first line: a checksum that the kernel found
/// wrong, or a scratchpad of zeros (a bus shorted to ground, whose checksum is right), is no measurement.
final class SysfsNumber: SensorDriver {
    struct Settings: Equatable {
        var path: String
        /// The number follows the last occurrence of this text, behind blanks or not; `nil` takes the whole content.
        var key: String?
        var scale: Double = 1
        var offset: Double = 0
    }

    private let settings: Settings
    private let key: [UInt8]
    private let factor: Factor
    /// An attribute is at most a page; whatever follows cannot belong to a number.
    private var buffer = [UInt8](repeating: 0, count: 4_096)

    init(settings: Settings) {
        self.settings = settings
        key = Array((settings.key ?? "").utf8)
        factor = Factor(settings.scale)
    }

    func collect(into values: inout [Value]) throws(SensorError) {
        let count = try readContent()
        let content = buffer[..<count]
        try checkOneWire(content)
        var text = content
        var shown = content
        if !key.isEmpty {
            guard let start = Self.lastIndex(after: key, in: content) else {
                throw .invalidData(joined("no \"", settings.key ?? "", "\" in ", settings.path, ": ", escaped(content)))
            }
            shown = content[start...]
            // Not into the next line, whose number is another's.
            text = shown.drop { $0 == 32 || $0 == 9 }
            if let end = text.firstIndex(where: { isSpace($0) }) { text = text[..<end] }
        }
        guard let number = decimalNumber(text) else {
            throw .invalidData(joined("not a number in ", settings.path, ": ", escaped(shown)))
        }
        if settings.scale == 1, settings.offset == 0, let integer = Int64(exactly: number), abs(number) < 1e15 {
            values.append(.integer(integer))
        } else {
            values.append(.number(factor.times(number) + settings.offset))
        }
    }

    private func readContent() throws(SensorError) -> Int {
        do throws(SystemError) {
            // Not blocking: a FIFO given by mistake would hold up every other file.
            let descriptor = try Descriptor.open(settings.path, flags: O_RDONLY | O_NONBLOCK)
            var count = 0
            while count < buffer.count {
                let start = count
                var failure: SystemError?
                count += buffer.withUnsafeMutableBytes { bytes -> Int in
                    do throws(SystemError) {
                        return try systemCall("read", on: settings.path) {
                            read(descriptor.number, bytes.baseAddress.map { $0 + start }, bytes.count - start)
                        }
                    } catch {
                        failure = error
                        return 0
                    }
                }
                if let failure { throw failure }
                if count == start { break }
            }
            return count
        } catch {
            throw .system(error)
        }
    }

    /// Nine bytes in hexadecimal, `: crc=xx YES` or `NO` (w1_therm of the kernel).
    private func checkOneWire(_ content: ArraySlice<UInt8>) throws(SensorError) {
        let end = content.firstIndex(of: UInt8(ascii: "\n")) ?? content.endIndex
        let line = content[..<end]
        guard Self.lastIndex(after: Self.checksum, in: line) != nil else { return }
        if Self.lastIndex(after: Self.wrong, in: line) == end {
            throw .invalidData(joined("wrong checksum in ", settings.path))
        }
        if Self.lastIndex(after: Self.zeros, in: line) == Self.zeros.count {
            throw .invalidData(joined("only zeros from the 1-wire bus (shorted?) in ", settings.path))
        }
    }

    private static let checksum = Array(": crc=".utf8)
    private static let wrong = Array(" NO".utf8)
    private static let zeros = Array("00 00 00 00 00 00 00 00 00 ".utf8)

    private static func lastIndex(after key: [UInt8], in text: ArraySlice<UInt8>) -> Int? {
        var start = text.endIndex - key.count
        while start >= text.startIndex {
            var matched = 0
            while matched < key.count, text[start + matched] == key[matched] { matched += 1 }
            if matched == key.count { return start + key.count }
            start -= 1
        }
        return nil
    }
}

/// A finite decimal number with nothing but blanks around it.
func decimalNumber(_ text: ArraySlice<UInt8>) -> Double? {
    var start = text.startIndex
    var end = text.endIndex
    while start < end, isSpace(text[start]) { start += 1 }
    while start < end, isSpace(text[end - 1]) { end -= 1 }
    let slice = text[start..<end]
    // Longer than any number; `Double` would also take hexadecimal, "inf" and "nan".
    guard !slice.isEmpty, slice.count <= 64 else { return nil }
    for byte in slice {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "e"), UInt8(ascii: "E"):
            continue
        default: return nil
        }
    }
    guard let number = Double(String(decoding: slice, as: UTF8.self)), number.isFinite else { return nil }
    return number
}

private func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (byte >= 9 && byte <= 13) }

/// Up to 32 bytes for an error, in quotes; what does not print as `\xNN`.
func escaped(_ bytes: ArraySlice<UInt8>) -> String {
    if bytes.isEmpty { return "nothing" }
    var text: [UInt8] = [UInt8(ascii: "\"")]
    let digits = Array("0123456789abcdef".utf8)
    for byte in bytes.prefix(32) {
        if byte >= 32, byte < 127, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
            text.append(byte)
        } else if byte == 10 {
            text.append(contentsOf: "\\n".utf8)
        } else {
            text.append(contentsOf: "\\x".utf8)
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
    }
    text.append(contentsOf: bytes.count > 32 ? "\"…".utf8 : "\"".utf8)
    return String(decoding: text, as: UTF8.self)
}

extension SysfsNumber {
    static func decode(_ reader: Reader, every: Interval?) -> DriverPlan? {
        let path = reader.requiredNonEmpty("path")
        var settings = Settings(path: path ?? "", key: reader.nonEmpty("key"))
        settings.scale = reader.number("scale", in: -1e12...1e12) ?? 1
        settings.offset = reader.number("offset", in: -1e12...1e12) ?? 0
        let unit = reader.nonEmpty("unit")
        guard path != nil else { return nil }
        return DriverPlan(channels: [Channel("", unit: unit)], make: .onFiles { SysfsNumber(settings: settings) })
    }
}
