import Configuration
import Platform

/// What an actuator is held to whatever a command says. No command can turn any of it off.
public struct Restraints: Equatable, Sendable {
    /// The shortest time away from the safe value: a command that would end it sooner is rejected. The stop, `max_on`, a
    /// lost broker, a failure and `all-safe` end it all the same.
    public var minOn: Interval?
    /// The shortest time at the safe value, counted at the start of the agent too, because nobody knows then for how
    /// long it has been there.
    public var minOff: Interval?
    public var rateLimit: RateLimit?
    /// Actuators that must be at their safe values while this one is not. It holds in both directions.
    public var interlock: [String]
    /// For how long they must have been.
    public var deadTime: Interval
    /// What a lost broker means; `nil` leaves it to `commands.on_disconnect`.
    public var onDisconnect: DisconnectRule?

    public init(
        minOn: Interval? = nil, minOff: Interval? = nil, rateLimit: RateLimit? = nil, interlock: [String] = [],
        deadTime: Interval = .zero, onDisconnect: DisconnectRule? = nil
    ) {
        self.minOn = minOn
        self.minOff = minOff
        self.rateLimit = rateLimit
        self.interlock = interlock
        self.deadTime = deadTime
        self.onDisconnect = onDisconnect
    }

    /// Reads `min_on`, `min_off`, `rate_limit`, `interlock`, `dead_time` and `on_disconnect`.
    static func decode(_ reader: Reader, maxOn: Interval?) -> Restraints {
        var restraints = Restraints()
        let times = Interval.milliseconds(1)...Interval.seconds(366 * 86_400)
        restraints.minOn = reader.interval("min_on", in: times)
        restraints.minOff = reader.interval("min_off", in: times)
        if let minOn = restraints.minOn, let maxOn, minOn > maxOn {
            reader.report("min_on", "is longer than max_on", expected: "at most max_on")
        }
        if let text = reader.string("rate_limit") {
            restraints.rateLimit = RateLimit(text: text)
            if restraints.rateLimit == nil {
                reader.report(
                    "rate_limit", joined("is \"", text, "\""), expected: "a count for a time, such as 10/s or 6/m")
            }
        }
        restraints.interlock = reader.strings("interlock") ?? []
        restraints.deadTime = reader.interval("dead_time", in: Interval.zero...Interval.seconds(3_600)) ?? .zero
        if reader.has("dead_time"), reader.list("interlock")?.isEmpty ?? !reader.isRefused("interlock") {
            reader.report("dead_time", "stands without interlock", expected: "interlock: [other actuators]")
        }
        restraints.onDisconnect = DisconnectRule.decode(reader)
        return restraints
    }
}

/// What becomes of an actuator when the node cannot be told anything any more.
public enum DisconnectRule: Equatable, Sendable {
    /// It goes to its safe value when the brokers have been away for so long.
    case safe(after: Interval)
    /// It stays as it is; `for` and `max_on` end all the same.
    case hold

    /// What holds where the configuration is silent.
    public static var standard: DisconnectRule { .safe(after: .seconds(60)) }

    /// Reads `on_disconnect: { after: 60s, do: safe }`; `nil` where that is absent.
    public static func decode(_ parent: Reader) -> DisconnectRule? {
        guard let reader = parent.mapping("on_disconnect") else { return nil }
        let after = reader.interval("after", in: Interval.zero...Interval.seconds(7 * 86_400))
        let choice = reader.choice("do", ["safe", "hold"]) ?? 0
        if choice == 1, reader.has("after") {
            reader.report("after", "stands beside do: hold", expected: "one of the two")
        }
        reader.finish()
        return choice == 1 ? .hold : .safe(after: after ?? .seconds(60))
    }
}
