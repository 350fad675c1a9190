/// Prints a JSON string (RFC 8259, section 7) with its quotation marks.
///
/// Escaped is what must be: the quotation mark, the reverse solidus and the control characters below U+0020.
public enum JSONString {
    /// The most bytes that `write` takes for `count` bytes of UTF-8: six each (`\u0001`), and the quotation marks.
    public static func maximumBytes(utf8Count count: Int) -> Int { count * 6 + 2 }

    public static func write(_ text: String, to writer: inout ByteWriter) {
        let done: Void? = text.utf8.withContiguousStorageIfAvailable {
            write(UnsafeRawBufferPointer($0), to: &writer)
        }
        // Strings on Linux are contiguous; another would be copied once.
        if done == nil { Array(text.utf8).withUnsafeBytes { write($0, to: &writer) } }
    }

    /// - Parameter bytes: meant as UTF-8. Each maximal part that is not becomes U+FFFD, as the Unicode Standard
    ///   recommends (section 3.9) and `String(decoding:as:)` does.
    public static func write(_ bytes: UnsafeRawBufferPointer, to writer: inout ByteWriter) {
        writer.write(UInt8(ascii: "\""))
        var index = 0
        // Start of the bytes that can be copied as they are.
        var run = 0
        while index < bytes.count {
            let byte = bytes[index]
            if byte < 0x80 {
                if byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
                    index += 1
                    continue
                }
                writer.write(UnsafeRawBufferPointer(rebasing: bytes[run..<index]))
                escape(byte, to: &writer)
                index += 1
                run = index
            } else {
                let sequence = UTF8Sequence(in: bytes, at: index)
                if !sequence.isValid {
                    writer.write(UnsafeRawBufferPointer(rebasing: bytes[run..<index]))
                    writer.write("\u{FFFD}")
                    run = index + sequence.length
                }
                index += sequence.length
            }
        }
        writer.write(UnsafeRawBufferPointer(rebasing: bytes[run..<index]))
        writer.write(UInt8(ascii: "\""))
    }

    private static func escape(_ byte: UInt8, to writer: inout ByteWriter) {
        switch byte {
        case UInt8(ascii: "\""): writer.write("\\\"")
        case UInt8(ascii: "\\"): writer.write("\\\\")
        case UInt8(ascii: "\n"): writer.write("\\n")
        case UInt8(ascii: "\r"): writer.write("\\r")
        case UInt8(ascii: "\t"): writer.write("\\t")
        default:
            writer.write("\\u00")
            writer.write(hexadecimal(byte >> 4))
            writer.write(hexadecimal(byte & 15))
        }
    }

    private static func hexadecimal(_ digit: UInt8) -> UInt8 {
        digit < 10 ? digit + UInt8(ascii: "0") : digit - 10 + UInt8(ascii: "a")
    }
}

/// The bytes of one character beyond ASCII, or of the longest beginning of one (Unicode Standard, table 3-7).
private struct UTF8Sequence {
    let length: Int
    let isValid: Bool

    init(in bytes: UnsafeRawBufferPointer, at start: Int) {
        // What the second byte may be depends on the first: no overlong forms, no surrogates, nothing above U+10FFFF.
        let expected: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch bytes[start] {
        case 0xC2...0xDF: expected = 2
        case 0xE0:
            expected = 3
            second = 0xA0...0xBF
        case 0xED:
            expected = 3
            second = 0x80...0x9F
        case 0xE1...0xEF: expected = 3
        case 0xF0:
            expected = 4
            second = 0x90...0xBF
        case 0xF1...0xF3: expected = 4
        case 0xF4:
            expected = 4
            second = 0x80...0x8F
        default:
            length = 1
            isValid = false
            return
        }
        var found = 1
        while found < expected, start + found < bytes.count {
            let byte = bytes[start + found]
            if !(found == 1 ? second.contains(byte) : (0x80...0xBF).contains(byte)) { break }
            found += 1
        }
        length = found
        isValid = found == expected
    }
}
