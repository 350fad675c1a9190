import Platform
import Records

/// A command as it was sent, well-formed but not yet admitted.
public struct Command: Equatable, Sendable {
    /// 1 to 128 bytes; `nil` when the sender gave none.
    public var id: String?
    /// 1 to 128 bytes.
    public var actuator: String
    /// A number, a boolean or a text.
    public var value: Value
    /// `for`: how long the value is to last.
    public var hold: Interval?
    /// From then on it is not to be carried out.
    public var expires: WallTime?

    public init(id: String? = nil, actuator: String, value: Value, hold: Interval? = nil, expires: WallTime? = nil) {
        self.id = id
        self.actuator = actuator
        self.value = value
        self.hold = hold
        self.expires = expires
    }
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
