import Configuration
import Platform

/// The numbers that a property takes. librdkafka reads as much of a value as looks like a number and overlooks the rest:
/// `64kB` is 64, `010` is 8, `99999999999` is whatever its low 32 bits are. So kedge looks at the whole of it before.
struct PropertyNumber {
    private let range: ClosedRange<Int64>
    private let isFractional: Bool

    /// - Returns: `nil` for a property that is no number.
    init?(_ entry: PropertyCatalog.Entry?) {
        guard let entry else { return nil }
        // Such as `0 .. 900000`.
        let bytes = Array(entry.range.utf8)
        guard let dots = bytes.firstIndex(of: UInt8(ascii: ".")), dots > 1, dots + 3 < bytes.count,
            let least = wholeNumber(String(decoding: bytes[0..<(dots - 1)], as: UTF8.self)),
            let most = wholeNumber(String(decoding: bytes[(dots + 3)..<bytes.count], as: UTF8.self)),
            least <= most, least.magnitude < 1 << 48, most.magnitude < 1 << 48
        else { return nil }
        range = least...most
        isFractional = entry.isFractional
    }

    private init(_ range: ClosedRange<Int64>) {
        self.range = range
        isFractional = false
    }

    /// The same counted in bytes, of what counts KiB and is rounded up.
    var inBytes: PropertyNumber { PropertyNumber((range.lowerBound - 1) * 1_024 + 1...range.upperBound * 1_024) }

    /// Whether `text` is one of them, or a word such as the `all` of `acks`, which librdkafka knows.
    func allows(_ text: String) -> Bool {
        if isFractional {
            guard let number = Double(text) else { return false }
            return number >= Double(range.lowerBound) && number <= Double(range.upperBound)
        }
        if let first = text.utf8.first, first >= 65 { return true }
        guard let number = wholeNumber(text) else { return false }
        return range.contains(number) && sameBytes(decimal(number), text)
    }

    /// What is expected of the property `name` in place of `text`, and what was probably meant where that has a unit.
    /// - Parameter text: empty where it must not be shown.
    func words(_ name: String, _ text: String) -> String {
        var unit = ""
        var meant: Int64?
        if name.hasEnding(".ms") {
            unit = " (ms)"
            meant = Interval(text: text)?.millisecondsRoundedUp
        } else if name.hasEnding("kbytes") {
            unit = " (KiB)"
            meant = byteCount(text).map { ($0 - 1) / 1_024 + 1 }
        } else if name.hasEnding("bytes") || name.hasEnding("size") || name.hasEnding("memory") {
            unit = " (bytes)"
            meant = byteCount(text)
        }
        return joined(
            isFractional ? "a number from " : "a whole number from ", decimal(range.lowerBound), " to ",
            decimal(range.upperBound), unit,
            meant.map { range.contains($0) ? joined(", such as ", decimal($0)) : "" } ?? "")
    }
}
