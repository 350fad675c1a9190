import Actuators
import Platform
import Records

/// How a command ended, in the words of the wire.
public enum Status: Equatable, Sendable, CaseIterable {
    case done
    /// Malformed, unknown, unsigned, impossible, too often or too soon.
    case rejected
    /// Too old, or past its `expires`.
    case expired
    /// Its id was seen before; nothing was done again.
    case duplicate
    /// Another actuator's state forbids it.
    case interlocked
    /// Something with more right came first, or has the actuator.
    case preempted
    /// The hardware did not do it, or nobody knows whether it did.
    case failed

    public var name: StaticString {
        switch self {
        case .done: "done"
        case .rejected: "rejected"
        case .expired: "expired"
        case .duplicate: "duplicate"
        case .interlocked: "interlocked"
        case .preempted: "preempted"
        case .failed: "failed"
        }
    }
}

/// The answer to one message; every message gets exactly one.
public struct Reply: Equatable, Sendable {
    /// The most bytes of a reason; a longer one is cut.
    public static var maximumReasonSize: Int { 256 }

    /// What became of one actuator of several.
    public struct Member: Equatable, Sendable {
        public let actuator: String
        public let status: Status
        public let reason: String?
        public let value: Value?
        /// The value's.
        public let unit: String?

        public init(
            actuator: String, status: Status, reason: String? = nil, value: Value? = nil, unit: String? = nil
        ) {
            self.actuator = actuator
            self.status = status
            self.reason = reason.map { excerpt($0, limit: Reply.maximumReasonSize) }
            self.value = value
            self.unit = unit
        }
    }

    /// The command's id, or `topic/partition/offset`; also the key of the reply's record.
    public let id: String
    /// Who answers: to a broadcast every node does.
    public let node: String
    /// As the command named it; `nil` when that could not be read, and for a group.
    public let actuator: String?
    public let status: Status
    /// Why it is not done.
    public let reason: String?
    /// As read back.
    public let value: Value?
    /// The value's, for an actuator that has one.
    public let unit: String?
    /// A group's, in its order, or all actuators' where that was meant by `*`; empty otherwise.
    public let members: [Member]
    /// A duplicate's: the first reply, as it was sent.
    public let first: [UInt8]
    public let timestamp: WallTime

    public init(
        id: String, node: String, actuator: String?, status: Status, reason: String?, value: Value?,
        unit: String? = nil, members: [Member] = [], first: [UInt8] = [], timestamp: WallTime
    ) {
        self.id = id
        self.node = node
        self.actuator = actuator
        self.status = status
        self.reason = reason.map { excerpt($0, limit: Self.maximumReasonSize) }
        self.value = value
        self.unit = unit
        self.members = members
        self.first = first
        self.timestamp = timestamp
    }

    /// The same, for where it would be too large.
    public var withoutMembers: Reply {
        Reply(
            id: id, node: node, actuator: actuator, status: status, reason: reason, value: value, unit: unit,
            first: first,
            timestamp: timestamp)
    }

    /// The most bytes that `encode` takes.
    public var maximumBytes: Int {
        var size = 184 + JSONString.maximumBytes(utf8Count: id.utf8.count + node.utf8.count) + first.count
        size += Self.maximumBytes(actuator, reason, value, unit)
        for member in members {
            size += 72 + Self.maximumBytes(member.actuator, member.reason, member.value, member.unit)
        }
        return size
    }

    private static func maximumBytes(_ actuator: String?, _ reason: String?, _ value: Value?, _ unit: String?) -> Int {
        var size = 0
        if let unit { size += JSONString.maximumBytes(utf8Count: unit.utf8.count) }
        if let actuator { size += JSONString.maximumBytes(utf8Count: actuator.utf8.count) }
        if let reason { size += JSONString.maximumBytes(utf8Count: reason.utf8.count) }
        if let value { size += value.maximumBytes }
        return size
    }

    /// Writes the reply as JSON:
    ///
    ///     {"id":"…","node":"pi-01","actuator":"pump","status":"done","value":1,"timestamp":1795193522.298}
    ///
    /// `actuator`, `value`, its `unit` (behind it) and `reason` are left out when there is none; `group` has what became of each actuator of a
    /// group or of `*`, `first` the first reply to a command of the same id. `timestamp` is when it was answered, in seconds
    /// since 1970.
    public func encode(into writer: inout ByteWriter) {
        writer.write("{\"id\":")
        JSONString.write(id, to: &writer)
        writer.write(",\"node\":")
        JSONString.write(node, to: &writer)
        if let actuator {
            writer.write(",\"actuator\":")
            JSONString.write(actuator, to: &writer)
        }
        Self.write(status, value, unit, reason, to: &writer)
        if !members.isEmpty {
            var start: StaticString = ",\"group\":["
            for member in members {
                writer.write(start)
                start = ","
                writer.write("{\"actuator\":")
                JSONString.write(member.actuator, to: &writer)
                Self.write(member.status, member.value, member.unit, member.reason, to: &writer)
                writer.write("}")
            }
            writer.write("]")
        }
        if !first.isEmpty {
            writer.write(",\"first\":")
            first.withUnsafeBytes { writer.write($0) }
        }
        writer.write(",\"timestamp\":")
        TimestampFormat.seconds.write(timestamp, to: &writer)
        writer.write("}")
    }

    private static func write(
        _ status: Status, _ value: Value?, _ unit: String?, _ reason: String?, to writer: inout ByteWriter
    ) {
        writer.write(",\"status\":\"")
        writer.write(status.name)
        writer.write("\"")
        if let value {
            writer.write(",\"value\":")
            value.write(to: &writer)
        }
        if value != nil, let unit {
            writer.write(",\"unit\":")
            JSONString.write(unit, to: &writer)
        }
        if let reason {
            writer.write(",\"reason\":")
            JSONString.write(reason, to: &writer)
        }
    }

    /// The bytes that `encode` writes.
    public var encoded: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: maximumBytes) { memory, count in
            var writer = ByteWriter(UnsafeMutableRawBufferPointer(memory))
            encode(into: &writer)
            count = writer.count
        }
    }
}
