import Platform
import Records

/// The values that an actuator takes.
public enum ValueDomain: Equatable, Sendable {
    /// Off or on: 0, 1, false or true.
    case level
    /// Any number from the one to the other, both included.
    case number(ClosedRange<Double>)

    /// The value in the form that drivers get and replies show: `.integer` 0 or 1 for a level, `.number` otherwise.
    /// - Returns: `nil` when the actuator does not take it.
    public func admit(_ value: Value) -> Value? {
        switch self {
        case .level:
            if case .text = value { return nil }
            if value.number == 0 { return .integer(0) }
            return value.number == 1 ? .integer(1) : nil
        case .number(let range):
            // true is not 1 here: who sends a switch's value to a dimmer has the wrong actuator in mind.
            if case .boolean = value { return nil }
            guard let number = value.number, range.contains(number) else { return nil }
            // Minus zero is zero.
            return .number(number == 0 ? 0 : number)
        }
    }

    /// Such as "0, 1, true or false", for errors.
    public var description: String {
        switch self {
        case .level: "0, 1, true or false"
        case .number(let range):
            joined("a number from ", shown(.number(range.lowerBound)), " to ", shown(.number(range.upperBound)))
        }
    }
}

/// A value for people: numbers without a needless fraction, text in quotes.
@inline(never)
public func shown(_ value: Value) -> String {
    switch value {
    case .number(let number):
        if number.magnitude < 9_007_199_254_740_992 {
            let whole = Int64(number)
            if Double(whole) == number { return decimal(whole) }
        }
        return number.description
    case .integer(let integer): return decimal(integer)
    case .boolean(let boolean): return boolean ? "true" : "false"
    case .text(let text): return joined("\"", text, "\"")
    }
}
