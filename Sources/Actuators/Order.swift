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
    /// The higher one has more right.
    public let priority: Int

    public init(value: Value, hold: Interval?, command: String, priority: Int = 0) {
        self.value = value
        self.hold = hold
        self.command = command
        self.priority = priority
    }
}

/// What became of an order.
public enum Outcome: Equatable, Sendable {
    /// The value as read back.
    case done(Value)
    /// The hardware did not do it; the value is what could be read back afterwards.
    case failed(reason: String, value: Value?)
    /// Something with more right came first: a lease, its end, `max_on`, the stop.
    case preempted(reason: String, value: Value?)
    /// Not begun: too many orders wait already, or the rate limit, `min_on` or `min_off` forbids it.
    case refused(reason: String)
    /// Not begun: another actuator's state forbids it.
    case interlocked(reason: String)
    /// Not begun: it waited for too long.
    case expired(reason: String)
}

/// Why an actuator's value changed.
public enum ChangeCause: Equatable, Sendable {
    /// The agent has started: nothing has changed yet.
    case start
    case command(id: String)
    /// The `for` of a command is over.
    case leaseEnd
    case maxOn
    case stop
    /// The hardware failed, or showed another value than it was driven to.
    case failure
    /// The brokers have been away for too long.
    case disconnect
    /// Of a group of commands one could not be carried out.
    case rollback(id: String)

    /// In words, for replies and the log.
    public var description: String {
        switch self {
        case .start: "the node has started"
        case .command(let id): joined("command ", id)
        case .leaseEnd: "its time (for) was over"
        case .maxOn: "max_on was reached"
        case .stop: "the node is stopping"
        case .failure: "the hardware failed"
        case .disconnect: "the brokers are away (on_disconnect)"
        case .rollback(let id): joined("the group ", id, " could not be done")
        }
    }

    /// In one word, for the state's record.
    public var name: StaticString {
        switch self {
        case .start: "start"
        case .command: "command"
        case .leaseEnd: "lease-end"
        case .maxOn: "max-on"
        case .stop: "stop"
        case .failure: "failure"
        case .disconnect: "disconnect"
        case .rollback: "rollback"
        }
    }

    /// The id of the command behind it.
    public var command: String? {
        switch self {
        case .command(let id), .rollback(let id): id
        default: nil
        }
    }
}
