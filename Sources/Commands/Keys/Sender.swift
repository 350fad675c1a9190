import Actuators
import Platform
import Records

/// Who signs with one or several keys, and what that permits.
public final class Sender: Sendable {
    /// What a sender may tell one actuator.
    struct Rule: Sendable {
        /// The actuator's id; `*` is every one that has no rule of its own.
        let actuator: String
        /// `nil` is any value.
        let range: ClosedRange<Double>?
    }

    /// As `senders` has it; the key's id where there are no senders.
    public let name: String
    /// `nil` permits everything.
    let rules: [Rule]?

    init(name: String, rules: [Rule]?) {
        self.name = name
        self.rules = rules
    }

    /// Whether the sender may give the actuator this value. true and false count as 1 and 0.
    public func permits(actuator: String, value: Value) -> Bool { objection(actuator: actuator, value: value) == nil }

    /// Why the sender may not, in words for the reply; `nil` when it may.
    public func objection(actuator: String, value: Value) -> String? {
        guard let rules else { return nil }
        guard
            let rule = rules.first(where: { sameBytes($0.actuator, actuator) })
                ?? rules.first(where: { $0.actuator.isEqual(to: "*") })
        else { return joined(name, " may not command ", excerpt(actuator)) }
        guard let range = rule.range else { return nil }
        if let number = value.number, range.contains(number) { return nil }
        return joined(
            name, " may give ", excerpt(actuator), " values from ", shown(.number(range.lowerBound)), " to ",
            shown(.number(range.upperBound)), ", not ", excerpt(shown(value)))
    }
}

/// Keeps answers to what nobody signed from becoming a flood of their own: a burst, then one in `every`.
public final class ReplyLimiter {
    private let burst: Int64
    private let every: Interval
    /// When the bucket would be full again.
    private var full: Instant?

    public init(burst: Int = 10, every: Interval = .seconds(1)) {
        self.burst = Int64(max(1, burst))
        self.every = every
    }

    /// Whether to answer now.
    public func admit(at now: Instant) -> Bool {
        let base = full.map { max($0, now) } ?? now
        if base - now > every * (burst - 1) { return false }
        full = base + every
        return true
    }
}
