import Actuators
import Platform
import Records

/// How a command ended, in the words of the wire.
public enum Status: Equatable, Sendable, CaseIterable {
    case done
    /// Malformed, unknown or impossible.
    case rejected
    /// Too old, or past its `expires`.
    case expired
    /// Its id was seen before; nothing was done again.
    case duplicate
    /// Another actuator's state forbids it.
    case interlocked
    /// Something with more right came first.
    case preempted
    /// The hardware did not do it.
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

    /// The command's id, or `topic/partition/offset`; also the key of the reply's record.
    public let id: String
    /// Who answers: to a broadcast every node does.
    public let node: String
    /// As the command named it; `nil` when that could not be read.
    public let actuator: String?
    public let status: Status
    /// Why it is not done.
    public let reason: String?
    /// As read back.
    public let value: Value?
    public let timestamp: WallTime

    public init(
        id: String, node: String, actuator: String?, status: Status, reason: String?, value: Value?,
        timestamp: WallTime
    ) {
        self.id = id
        self.node = node
        self.actuator = actuator
        self.status = status
        self.reason = reason.map { excerpt($0, limit: Self.maximumReasonSize) }
        self.value = value
        self.timestamp = timestamp
    }

    /// The most bytes that `encode` takes.
    public var maximumBytes: Int {
        var size = 160 + JSONString.maximumBytes(utf8Count: id.utf8.count + node.utf8.count)
        if let actuator { size += JSONString.maximumBytes(utf8Count: actuator.utf8.count) }
        if let reason { size += JSONString.maximumBytes(utf8Count: reason.utf8.count) }
        if let value { size += value.maximumBytes }
        return size
    }

    /// Writes the reply as JSON:
    ///
    ///     {"id":"…","node":"pi-01","actuator":"pump","status":"done","value":1,"timestamp":1795193522.298}
    ///
    /// `actuator`, `value` and `reason` are left out when there is none; `timestamp` is when it was answered, in
    /// seconds since 1970.
    public func encode(into writer: inout ByteWriter) {
        writer.write("{\"id\":")
        JSONString.write(id, to: &writer)
        writer.write(",\"node\":")
        JSONString.write(node, to: &writer)
        if let actuator {
            writer.write(",\"actuator\":")
            JSONString.write(actuator, to: &writer)
        }
        writer.write(",\"status\":\"")
        writer.write(status.name)
        writer.write("\"")
        if let value {
            writer.write(",\"value\":")
            value.write(to: &writer)
        }
        if let reason {
            writer.write(",\"reason\":")
            JSONString.write(reason, to: &writer)
        }
        writer.write(",\"timestamp\":")
        TimestampFormat.seconds.write(timestamp, to: &writer)
        writer.write("}")
    }
}
