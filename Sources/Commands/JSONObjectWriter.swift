import Actuators
import Platform
import Records

/// Writes one flat JSON object (RFC 8259) behind what is there already.
struct JSONObjectWriter {
    private var bytes: [UInt8]
    private var isFirst = true

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        self.bytes.append(UInt8(ascii: "{"))
    }

    mutating func string(_ key: StaticString, _ text: String) {
        name(key)
        write(quoted: text)
    }

    mutating func value(_ key: StaticString, _ value: Value) {
        name(key)
        switch value {
        case .text(let text): write(quoted: text)
        case .number(let number) where !number.isFinite: write("null")
        default: write(shown(value))
        }
    }

    /// Seconds since 1970 with three decimals, rounded down.
    mutating func seconds(_ key: StaticString, _ time: WallTime) {
        name(key)
        // Of the magnitude: -0.5 s is "-0.500", not a second before plus a half.
        let milliseconds = time.nanoseconds >= 0 ? time.nanoseconds / 1_000_000 : (time.nanoseconds + 1) / 1_000_000 - 1
        if milliseconds < 0 { write("-") }
        let decimals = decimal(abs(milliseconds % 1_000))
        write(decimal(abs(milliseconds / 1_000)))
        write(".")
        for _ in decimals.utf8.count..<3 { write("0") }
        write(decimals)
    }

    mutating func finish() -> [UInt8] {
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }

    private mutating func name(_ key: StaticString) {
        if !isFirst { write(",") }
        isFirst = false
        write("\"")
        key.withUTF8Buffer { bytes.append(contentsOf: $0) }
        write("\":")
    }

    @inline(never)
    private mutating func write(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private mutating func write(quoted text: String) {
        write("\"")
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0..<0x20:
                write("\\u00")
                bytes.append(hexadecimal(byte >> 4))
                bytes.append(hexadecimal(byte & 15))
            default: bytes.append(byte)
            }
        }
        write("\"")
    }

    private func hexadecimal(_ digit: UInt8) -> UInt8 {
        digit < 10 ? digit + UInt8(ascii: "0") : digit - 10 + UInt8(ascii: "a")
    }
}
