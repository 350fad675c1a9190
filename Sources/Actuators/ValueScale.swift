import Configuration
import Platform
import Records

/// How an actuator's values, in the user's unit, become an output's level: linear between two points.
public struct ValueScale: Equatable, Sendable {
    /// The values that commands may have.
    public var range: ClosedRange<Double>
    /// The share of the full output at the lowest and at the highest value, 0 to 1; the lowest may have the larger.
    public var lowest: Double
    public var highest: Double

    public init(range: ClosedRange<Double> = 0...100, lowest: Double = 0, highest: Double = 1) {
        self.range = range
        self.lowest = lowest
        self.highest = highest
    }

    /// The share of the full output for a value in `range`.
    func share(_ value: Double) -> Double {
        lowest + (value - range.lowerBound) / (range.upperBound - range.lowerBound) * (highest - lowest)
    }

    /// The value at a step of so many, which may lie outside `range`.
    func value(step: Int64, of steps: Int64) -> Double {
        if highest == lowest { return range.lowerBound }
        let all = Double(steps)
        // Divided once, at the end: 333 of 1000 steps are 33.3 %, and not 33.300000000000004.
        return range.lowerBound
            + (Double(step) - lowest * all) * (range.upperBound - range.lowerBound) / ((highest - lowest) * all)
    }

    /// Reads `min`, `max` (the values; 0 and 100), `output_min` and `output_max` (the shares at them in percent; 0 and 100).
    static func decode(_ reader: Reader) -> ValueScale? {
        let range = numberRange(reader, 0...100)
        let lowest = reader.number("output_min", in: 0...100) ?? 0
        let highest = reader.number("output_max", in: 0...100) ?? 100
        if reader.isRefused("output_min") || reader.isRefused("output_max") { return nil }
        if lowest == highest {
            reader.report("output_max", "is the same as output_min", expected: "two points of a line")
            return nil
        }
        return range.map { ValueScale(range: $0, lowest: lowest / 100, highest: highest / 100) }
    }
}

/// Reads `min` and `max`, the range of an actuator's values.
/// - Returns: `nil` when one is wrong, or `min` not below `max`; that was reported.
func numberRange(_ reader: Reader, _ standard: ClosedRange<Double>) -> ClosedRange<Double>? {
    let limits = -1e15...1e15
    let least = reader.number("min", in: limits)
    let most = reader.number("max", in: limits)
    // Without the range nobody knows whether `safe` is right.
    _ = reader.node("safe")
    if reader.isRefused("min") || reader.isRefused("max") { return nil }
    let (lowest, highest) = (least ?? standard.lowerBound, most ?? standard.upperBound)
    if lowest < highest { return lowest...highest }
    reader.diagnostics.report(
        reader.mark(of: reader.has("max") ? "max" : "min"),
        joined(reader.path, ": min is ", shown(.number(lowest)), " and max is ", shown(.number(highest))),
        expected: "min below max")
    return nil
}

/// Reads `safe`, a number in `range`; without it 0.
/// - Returns: `nil` when it is absent and 0 is not in the range; that was reported.
func safeNumber(_ reader: Reader, _ range: ClosedRange<Double>) -> Double? {
    let safe = reader.number("safe", in: range)
    if safe == nil, !reader.has("safe"), !range.contains(0) {
        reader.diagnostics.report(
            reader.mark, joined(reader.path, ".safe is missing, and 0 is not within min and max"),
            expected: ValueDomain.number(range).description)
        return nil
    }
    return safe ?? (range.contains(0) ? 0 : range.lowerBound)
}

/// Reads `safe`, a level: 0, 1 or a boolean; off where it is absent.
func safeLevel(_ reader: Reader) -> Bool {
    if case .scalar(let scalar) = reader.node("safe"), !scalar.isQuoted {
        if sameBytes(scalar.text, "0") { return false }
        if sameBytes(scalar.text, "1") { return true }
    }
    return reader.boolean("safe") ?? false
}
