import Actuators
import Platform
import Records

/// An actuator's state as a record: what it is, why, and until when.
public enum StateRecord {
    /// The most bytes that `encode` takes.
    public static func maximumBytes(_ actuator: Actuator, node: String) -> Int {
        let text = node.utf8.count + actuator.id.utf8.count + (actuator.cause.command?.utf8.count ?? 0)
        let unit = JSONString.maximumBytes(utf8Count: actuator.plan.unit?.utf8.count ?? 0)
        return 328 + unit + JSONString.maximumBytes(utf8Count: text) + actuator.value.maximumBytes
    }

    /// The record's key: one for each actuator of the fleet, so that the topic may be compacted.
    public static func key(_ actuator: Actuator, node: String) -> [UInt8] {
        Array(node.utf8) + [UInt8(ascii: "/")] + Array(actuator.id.utf8)
    }

    /// Writes
    ///
    ///     {"node":"pi-01","actuator":"pump","value":1,"safe":false,"cause":"command","command":"7f3a",
    ///      "since":1795193522.298,"priority":5,"until":1795193552.298,"timestamp":1795193522.298}
    ///
    /// `unit`, of an actuator that has one, stands behind the value. `cause` is start, command, lease-end, max-on, stop, failure, disconnect or rollback; `command` is the id of the one
    /// behind it. `priority` is there while a lease holds, `until` where the value ends by itself. `"confirmed":false` says
    /// that the value is only the last one known.
    public static func encode(
        _ actuator: Actuator, node: String, time: any TimeSource, into writer: inout ByteWriter
    ) {
        writer.write("{\"node\":")
        JSONString.write(node, to: &writer)
        writer.write(",\"actuator\":")
        JSONString.write(actuator.id, to: &writer)
        writer.write(",\"value\":")
        actuator.value.write(to: &writer)
        if let unit = actuator.plan.unit {
            writer.write(",\"unit\":")
            JSONString.write(unit, to: &writer)
        }
        writer.write(actuator.isSafe ? ",\"safe\":true" : ",\"safe\":false")
        if !actuator.isConfirmed { writer.write(",\"confirmed\":false") }
        writer.write(",\"cause\":\"")
        writer.write(actuator.cause.name)
        writer.write("\"")
        if let command = actuator.cause.command {
            writer.write(",\"command\":")
            JSONString.write(command, to: &writer)
        }
        writer.write(",\"since\":")
        TimestampFormat.seconds.write(time.wallTime(at: actuator.since), to: &writer)
        if let lease = actuator.lease {
            writer.write(",\"priority\":")
            writer.write(Int64(lease.priority))
        }
        if let until = actuator.deadline ?? actuator.lease?.until {
            writer.write(",\"until\":")
            TimestampFormat.seconds.write(time.wallTime(at: until), to: &writer)
        }
        writer.write(",\"timestamp\":")
        TimestampFormat.seconds.write(time.wallTime, to: &writer)
        writer.write("}")
    }
}
