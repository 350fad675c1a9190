import Platform
import Records

/// A command as it was sent, well-formed but not yet admitted.
public struct Command: Equatable, Sendable {
    /// What one actuator is to do.
    public struct Assignment: Equatable, Sendable {
        /// 1 to 128 bytes.
        public var actuator: String
        /// A number, a boolean or a text.
        public var value: Value
        /// `for`: how long the value is to last.
        public var hold: Interval?

        public init(actuator: String, value: Value, hold: Interval? = nil) {
            self.actuator = actuator
            self.value = value
            self.hold = hold
        }
    }

    public enum Action: Equatable, Sendable {
        case set(Assignment)
        /// All of them or none; at least one, and no actuator twice.
        case group([Assignment])
        /// To the safe value at once, whatever leases say; `*` is every actuator.
        case safe(actuator: String)
        /// Tells the state; `*` of every actuator.
        case query(actuator: String)
    }

    /// 1 to 128 bytes; `nil` when the sender gave none.
    public var id: String?
    public var action: Action
    /// From then on it is not to be carried out.
    public var expires: WallTime?
    /// 0 to 255; the higher one has more right.
    public var priority: Int

    public init(id: String? = nil, action: Action, expires: WallTime? = nil, priority: Int = 0) {
        self.id = id
        self.action = action
        self.expires = expires
        self.priority = priority
    }

    /// A command for one actuator.
    public init(
        id: String? = nil, actuator: String, value: Value, hold: Interval? = nil, expires: WallTime? = nil,
        priority: Int = 0
    ) {
        self.init(
            id: id, action: .set(Assignment(actuator: actuator, value: value, hold: hold)), expires: expires,
            priority: priority)
    }

    /// As a reply names it; `nil` for a group.
    public var actuator: String? {
        switch action {
        case .set(let assignment): assignment.actuator
        case .safe(let actuator), .query(let actuator): actuator
        case .group: nil
        }
    }

    /// What it sets; empty for a command that sets nothing.
    public var assignments: [Assignment] {
        switch action {
        case .set(let assignment): [assignment]
        case .group(let assignments): assignments
        case .safe, .query: []
        }
    }

    /// Stands for every actuator.
    static var everyActuator: StaticString { "*" }
    /// The most assignments of a group.
    public static var largestGroup: Int { 16 }
    public static var priorities: ClosedRange<Int> { 0...255 }
}

/// Why bytes are no command, with what of it could be read.
public struct CommandError: Error, Equatable, Sendable {
    /// What was found, where, and what was expected.
    public let reason: String
    public let id: String?
    public let actuator: String?

    public init(reason: String, id: String?, actuator: String?) {
        self.reason = reason
        self.id = id
        self.actuator = actuator
    }
}
