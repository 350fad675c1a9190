import Platform

/// What an accessor would have liked to find; its words are made only when it did not.
enum Expectation {
    case text
    case integer(ClosedRange<Int64>)
    case address(ClosedRange<UInt8>)
    case number(ClosedRange<Double>)
    case boolean
    case interval(ClosedRange<Interval>)
    case size(ClosedRange<Int64>)
    case choice([StaticString])
    case mapping
    case list
    case value
    case name(NameRule)

    /// Whether YAML's quotes make a value something else than this.
    var needsPlainText: Bool {
        switch self {
        case .integer, .address, .number, .boolean: true
        default: false
        }
    }

    /// - Parameter found: the text that was found; a range follows its notation.
    func words(found: String = "") -> String {
        switch self {
        case .text: "text"
        case .integer(let range): Self.integer(range, isHexadecimal: Quantity.isHexadecimal(found))
        case .address(let range): Self.address(range, found)
        case .number(let range) where range.lowerBound == .leastNormalMagnitude:
            "a number of more than 0"
                + (range.upperBound >= Double.greatestFiniteMagnitude
                    ? "" : " and at most " + Quantity.text(range.upperBound))
        case .number(let range):
            "a number"
                + Self.range(
                    Quantity.text(range.lowerBound), Quantity.text(range.upperBound),
                    isOpenBelow: range.lowerBound <= -Double.greatestFiniteMagnitude,
                    isOpenAbove: range.upperBound >= Double.greatestFiniteMagnitude, brackets: false)
        case .boolean: "true or false"
        case .interval(let range):
            "a duration such as 500ms, 5s or 10m"
                + (Quantity.number(found) == nil ? "" : ", with its unit (ns, us, ms, s, m, h, d)")
                + Self.range(
                    Quantity.text(range.lowerBound), Quantity.text(range.upperBound),
                    isOpenBelow: range.lowerBound.nanoseconds == .min,
                    isOpenAbove: range.upperBound.nanoseconds == .max, brackets: true)
        case .size(let range):
            "a size such as 64KiB, 256MB or 1GB"
                + (Quantity.number(found) == nil ? "" : ", with its unit (B, kB, MB, GB, KiB, MiB, GiB)")
                + Self.range(
                    Quantity.text(size: range.lowerBound), Quantity.text(size: range.upperBound),
                    isOpenBelow: range.lowerBound == .min, isOpenAbove: range.upperBound == .max, brackets: true)
        case .choice(let words): alternatives(words)
        case .mapping: "a mapping (key: value)"
        case .list: "a list"
        case .value: "a value"
        case .name(let rule): rule.words
        }
    }

    private static func integer(_ range: ClosedRange<Int64>, isHexadecimal: Bool) -> String {
        func text(_ value: Int64) -> String {
            isHexadecimal && value >= 0 ? "0x" + String(value, radix: 16) : "\(value)"
        }
        return "an integer"
            + Self.range(
                text(range.lowerBound), text(range.upperBound), isOpenBelow: range.lowerBound == .min,
                isOpenAbove: range.upperBound == .max, brackets: false)
    }

    /// Data sheets have addresses in hexadecimal, and so have people: whose `0x` is missing gets a hint.
    private static func address(_ range: ClosedRange<UInt8>, _ found: String) -> String {
        func text(_ address: UInt8) -> String { (address < 16 ? "0x0" : "0x") + String(address, radix: 16) }
        var words = "an address from \(text(range.lowerBound)) to \(text(range.upperBound))"
        if let meant = Quantity.integer("0x" + found).flatMap({ UInt8(exactly: $0) }), range.contains(meant) {
            words += "; did you mean \(text(meant))?"
        }
        return words
    }

    private static func range(
        _ lowest: String, _ highest: String, isOpenBelow: Bool, isOpenAbove: Bool, brackets: Bool
    ) -> String {
        if isOpenBelow, isOpenAbove { return "" }
        if isOpenAbove { return brackets ? " (at least \(lowest))" : " of at least \(lowest)" }
        if isOpenBelow { return brackets ? " (at most \(highest))" : " of at most \(highest)" }
        return brackets ? " (\(lowest) to \(highest))" : " from \(lowest) to \(highest)"
    }
}
