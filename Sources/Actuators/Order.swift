import Platform
import Records

/// What an actuator is told to do.
public struct Order: Equatable, Sendable {
    /// As the actuator's `ValueDomain` admitted it.
    public let value: Value
    /// The value's lease: after this the actuator goes back to its safe value. `nil` is until the next order.
    public let hold: Interval?
    /// The id of the command behind it.
    public let command: String

    public init(value: Value, hold: Interval?, command: String) {
        self.value = value
        self.hold = hold
        self.command = command
    }
}

/// What became of an order.
public enum Outcome: Equatable, Sendable {
    /// The value as read back.
    case done(Value)
    /// The hardware did not do it; the value is what could be read back afterwards.
    case failed(reason: String, value: Value?)
    /// Something with more right came first: the end of a lease, `max_on`, the stop.
    case preempted(reason: String, value: Value?)
    /// Not begun: too many orders wait already.
    case refused(reason: String)
}

/// Why an actuator's value changed.
public enum ChangeCause: Equatable, Sendable {
    case command(id: String)
    /// The `for` of a command is over.
    case leaseEnd
    case maxOn
    case stop
    /// The hardware failed, or showed another value than it was driven to.
    case failure

    /// In words, for replies and the log.
    public var description: String {
        switch self {
        case .command(let id): joined("command ", id)
        case .leaseEnd: "its time (for) was over"
        case .maxOn: "max_on was reached"
        case .stop: "the node is stopping"
        case .failure: "the hardware failed"
        }
    }
}
