import Platform

/// Numbers and quantities with units, from text and to text. Exact: integers only, overflow is a failure.
enum Quantity {
    private struct Unit {
        let name: StaticString
        let scale: Int64
    }

    /// From the largest to the smallest, in nanoseconds.
    private static let times: [Unit] = [
        Unit(name: "d", scale: 86_400_000_000_000), Unit(name: "h", scale: 3_600_000_000_000),
        Unit(name: "m", scale: 60_000_000_000), Unit(name: "s", scale: 1_000_000_000),
        Unit(name: "ms", scale: 1_000_000), Unit(name: "us", scale: 1_000), Unit(name: "ns", scale: 1),
    ]

    /// In bytes.
    private static let sizes: [Unit] = [
        Unit(name: "GiB", scale: 1 << 30), Unit(name: "GB", scale: 1_000_000_000),
        Unit(name: "MiB", scale: 1 << 20), Unit(name: "MB", scale: 1_000_000),
        Unit(name: "KiB", scale: 1 << 10), Unit(name: "kB", scale: 1_000), Unit(name: "KB", scale: 1_000),
        Unit(name: "B", scale: 1),
    ]

    /// `500ms`, `1.5h`, `1h30m` (units in falling order), or `0`.
    static func interval(_ text: String) -> Interval? {
        quantity(text, times, isCompound: true).map(Interval.init(nanoseconds:))
    }

    /// Bytes: `256MB`, `1.5GiB`, or `0`. `KB` means `kB`: 1,000 bytes, as `MB` means 1,000,000.
    static func size(_ text: String) -> Int64? { quantity(text, sizes, isCompound: false) }

    private static func quantity(_ text: String, _ units: [Unit], isCompound: Bool) -> Int64? {
        if text.isEqual(to: "0") { return 0 }
        if text.utf8.count > 64 { return nil }
        let bytes = Array(text.utf8)
        var index = 0
        var total: Int64 = 0
        var largest = Int64.max
        repeat {
            guard let whole = digits(bytes, &index) else { return nil }
            var fraction: Int64 = 0
            var divisor: Int64 = 1
            if index < bytes.count, bytes[index] == 46 {
                index += 1
                let start = index
                guard let value = digits(bytes, &index), index - start <= 9 else { return nil }
                fraction = value
                for _ in start..<index { divisor *= 10 }
            }
            let start = index
            while index < bytes.count, isLetter(bytes[index]) { index += 1 }
            let name = bytes[start..<index]
            guard let scale = units.first(where: { same(name, $0.name) })?.scale, scale < largest else { return nil }
            largest = scale
            // A fraction is cut off at the smallest unit.
            let (product, overflow) = whole.multipliedReportingOverflow(by: scale)
            let (part, partOverflow) = fraction.multipliedReportingOverflow(by: scale)
            if overflow || partOverflow { return nil }
            for term in [product, part / divisor] {
                let (sum, overflow) = total.addingReportingOverflow(term)
                if overflow { return nil }
                total = sum
            }
        } while isCompound && index < bytes.count
        return index == bytes.count ? total : nil
    }

    private static func same(_ name: ArraySlice<UInt8>, _ unit: StaticString) -> Bool {
        name.count == unit.utf8CodeUnitCount && unit.withUTF8Buffer { name.elementsEqual($0) }
    }

    /// The digits from `index` on, which then stands behind them. `nil` without any, or when the value is too large.
    private static func digits(_ bytes: [UInt8], _ index: inout Int) -> Int64? {
        let start = index
        var value: Int64 = 0
        while index < bytes.count, isDigit(bytes[index]) {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, sumOverflow) = product.addingReportingOverflow(Int64(bytes[index] - 48))
            if overflow || sumOverflow { return nil }
            value = sum
            index += 1
        }
        return index > start ? value : nil
    }

    /// Decimal without leading zeros (YAML 1.1 reads `010` as eight, people as ten), or hexadecimal with `0x`; `-` and
    /// `+` may stand before it.
    static func integer(_ text: String) -> Int64? {
        if text.utf8.count > 32 { return nil }
        var bytes = Array(text.utf8)
        let isNegative = bytes.first == 45
        if isNegative || bytes.first == 43 { bytes.removeFirst() }
        let isHexadecimal = bytes.count > 2 && bytes[0] == 48 && lowercased(bytes[1]) == 120
        if isHexadecimal { bytes.removeFirst(2) } else if bytes.count > 1, bytes[0] == 48 { return nil }
        if bytes.isEmpty { return nil }
        var value: Int64 = 0
        for byte in bytes {
            let digit: Int64
            let letter = lowercased(byte)
            if isDigit(byte) {
                digit = Int64(byte - 48)
            } else if isHexadecimal, letter >= 97, letter <= 102 {
                digit = Int64(letter - 87)
            } else {
                return nil
            }
            let (product, overflow) = value.multipliedReportingOverflow(by: isHexadecimal ? 16 : 10)
            // Downwards for negative numbers, which reach one farther.
            let (sum, sumOverflow) =
                isNegative ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
            if overflow || sumOverflow { return nil }
            value = sum
        }
        return value
    }

    static func isHexadecimal(_ text: String) -> Bool { text.utf8.contains(120) && integer(text) != nil }

    /// Decimal, with a fraction and an exponent if need be: `-1.5e3`. Finite; no `inf`, `nan` or hexadecimal.
    static func number(_ text: String) -> Double? {
        if text.utf8.count > 64 { return nil }
        var digits = 0
        var dots = 0
        var exponentDigits = -1
        var previous: UInt8 = 0
        for byte in text.utf8 {
            switch byte {
            case 48...57: if exponentDigits < 0 { digits += 1 } else { exponentDigits += 1 }
            case 43, 45: if previous != 0 && lowercased(previous) != 101 { return nil }
            case 46:
                dots += 1
                if dots > 1 || exponentDigits >= 0 { return nil }
            case 69, 101:
                if digits == 0 || exponentDigits >= 0 { return nil }
                exponentDigits = 0
            default: return nil
            }
            previous = byte
        }
        if digits == 0 || exponentDigits == 0 { return nil }
        guard let value = Double(text), value.isFinite else { return nil }
        return value
    }

    static func boolean(_ text: String) -> Bool? {
        let word = String(decoding: text.utf8.prefix(6).map { lowercased($0) }, as: UTF8.self)
        if word.isOneOf(["true", "yes", "on"]) { return true }
        if word.isOneOf(["false", "no", "off"]) { return false }
        return nil
    }

    /// As the user would write it, such as `24h`, `90s`, `2d`.
    static func text(_ interval: Interval) -> String {
        // One day reads better as 24 hours.
        let count = interval.nanoseconds
        let unit = times.first { count % $0.scale == 0 && count != $0.scale * ($0.scale == times[0].scale ? 1 : 0) }
        return count == 0 ? "0" : text(count, unit)
    }

    /// As the user would write it, such as `256MB`, `64KiB`.
    static func text(size: Int64) -> String {
        size == 0 ? "0" : text(size, sizes.first { size % $0.scale == 0 })
    }

    private static func text(_ count: Int64, _ unit: Unit?) -> String {
        guard let unit else { return "\(count)" }
        return "\(count / unit.scale)" + String(unit.name)
    }

    /// Without the `.0` of whole numbers.
    static func text(_ number: Double) -> String {
        if let whole = Int64(exactly: number), whole.magnitude < 1 << 53 { return "\(whole)" }
        return "\(number)"
    }
}

/// A number of bytes as people write it, such as `64KiB` or `256MB`; `nil` when it is none.
public func byteCount(_ text: String) -> Int64? { Quantity.size(text) }

extension Interval {
    /// As people write it, such as `24h`, `90s`, `500ms`.
    public var asWritten: String { Quantity.text(self) }

    /// A duration as people write it, such as `500ms`, `5s`, `1.5h` or `1h30m`; `nil` when it is none.
    public init?(text: String) {
        guard let interval = Quantity.interval(text) else { return nil }
        self = interval
    }
}
