import Actuators
import Platform
import Records

/// Reads commands: one JSON object (RFC 8259) with the keys
///
///     id        string, 1 to 128 bytes; optional
///     actuator  string, 1 to 128 bytes
///     value     number, true, false or string
///     for       string, a duration with a unit: ns, us, ms, s, m, h or d; 1 ms to 24 h; optional
///     expires   number, seconds since 1970; optional
///     priority  whole number, 0 to 255; 0 where it is absent
///
/// In place of `value`, `"safe":true` sends the actuator to its safe value and `"query":true` asks for its state; both take
/// `"*"` for every actuator. In place of `actuator` and `value`, `group` is a list of 1 to 16 objects with `actuator`,
/// `value` and `for`, of which all are done or none.
///
/// Any other key is an error: a misspelt `for` must not switch a pump on for ever. `null` is not taken for absent, and
/// a duration without a unit is no duration: whoever means milliseconds must not get seconds.
public enum CommandParser {
    /// The most bytes that a command has unless the configuration says otherwise.
    public static var defaultMaximumSize: Int { 65_536 }
    /// What `for` may be. A day is longer than anybody should leave an actuator to a message that may never be followed.
    public static var holdRange: ClosedRange<Interval> { Interval.milliseconds(1)...Interval.seconds(86_400) }

    /// - Parameter maximumSize: in bytes; what is longer is not looked at.
    /// - Throws: `CommandError` with the place, what was found and what was expected.
    public static func parse(
        _ bytes: UnsafeRawBufferPointer, maximumSize: Int = defaultMaximumSize
    ) throws(CommandError) -> Command {
        if bytes.isEmpty { throw CommandError(reason: "empty message, expected a JSON object", id: nil, actuator: nil) }
        if bytes.count > maximumSize {
            throw CommandError(
                reason: joined(decimal(bytes.count), " bytes, expected at most ", decimal(maximumSize)), id: nil,
                actuator: nil)
        }
        let document: JSONDocument
        do throws(JSONError) {
            document = try JSONDocument(bytes)
        } catch {
            throw CommandError(reason: error.text, id: nil, actuator: nil)
        }
        let id = usableName(document["id"])
        let actuator = usableName(document["actuator"])
        do throws(JSONError) {
            return try command(document, id: id, actuator: actuator)
        } catch {
            throw CommandError(reason: error.text, id: id, actuator: actuator)
        }
    }

    private static func command(
        _ document: JSONDocument, id: String?, actuator: String?
    ) throws(JSONError) -> Command {
        if let key = document.unknownKey(besides: [
            "id", "actuator", "value", "for", "expires", "priority", "safe", "query", "group",
        ]) {
            throw JSONError(
                text: joined(
                    "unknown key \"", excerpt(key),
                    "\", expected id, actuator, value, for, expires, priority, safe, query or group"))
        }
        if let element = document["id"], id == nil {
            throw JSONError(text: joined("id is ", found(element), ", expected a string of 1 to 128 bytes"))
        }
        return Command(
            id: id, action: try action(document, actuator), expires: try expires(document["expires"]),
            priority: try priority(document["priority"]))
    }

    private static func action(_ document: JSONDocument, _ actuator: String?) throws(JSONError) -> Command.Action {
        // No loops over lists of names here: Embedded Swift's optimiser has taken one list of this function for another.
        var kind: StaticString?
        try take("value", document, &kind)
        try take("safe", document, &kind)
        try take("query", document, &kind)
        try take("group", document, &kind)
        if let group = document["group"] {
            try refuseBesideGroup("actuator", document)
            try refuseBesideGroup("for", document)
            return .group(try assignments(group))
        }
        guard let actuator else {
            let what = document["actuator"].map { joined("is ", found($0)) } ?? "is missing"
            throw JSONError(text: joined("actuator ", what, ", expected a string of 1 to 128 bytes"))
        }
        if try isAsked("safe", document) { return .safe(actuator: actuator) }
        if try isAsked("query", document) { return .query(actuator: actuator) }
        return .set(
            Command.Assignment(
                actuator: try single(actuator), value: try value(document["value"]), hold: try hold(document["for"])))
    }

    /// Remembers which of the keys that exclude each other is there.
    private static func take(
        _ name: StaticString, _ document: JSONDocument, _ kind: inout StaticString?
    ) throws(JSONError) {
        if document[name] == nil { return }
        if let kind {
            throw JSONError(text: joined("both ", string(kind), " and ", string(name), ", expected one of them"))
        }
        kind = name
    }

    private static func refuseBesideGroup(_ name: StaticString, _ document: JSONDocument) throws(JSONError) {
        if document[name] == nil { return }
        throw JSONError(text: joined(string(name), " stands beside group, expected it in the group's elements"))
    }

    /// Whether a key is there that only `true` makes sense of.
    private static func isAsked(_ name: StaticString, _ document: JSONDocument) throws(JSONError) -> Bool {
        guard let element = document[name] else { return false }
        guard case .boolean(true) = element.kind else {
            throw JSONError(text: joined(string(name), " is ", element.shown, ", expected true"))
        }
        if document["for"] != nil {
            throw JSONError(text: joined("for stands beside ", string(name), ", expected it with a value"))
        }
        return true
    }

    /// One actuator: nobody means the same value for all of them.
    private static func single(_ actuator: String) throws(JSONError) -> String {
        if actuator.isEqual(to: Command.everyActuator) {
            throw JSONError(text: "actuator is \"*\", expected safe or query with it")
        }
        return actuator
    }

    private static func assignments(_ group: JSONElement) throws(JSONError) -> [Command.Assignment] {
        guard case .array = group.kind, (1...Command.largestGroup).contains(group.count) else {
            throw JSONError(
                text: joined(
                    "group is ", group.count > 0 ? joined(decimal(group.count), " elements") : group.shown,
                    ", expected a list of 1 to ", decimal(Command.largestGroup), " objects"))
        }
        var assignments: [Command.Assignment] = []
        for index in 0..<group.count {
            let place = joined("group[", decimal(index), "]")
            guard let element = group.element(at: index), case .object = element.kind else {
                throw JSONError(text: joined(place, " is no object"))
            }
            if let key = element.unknownKey(besides: ["actuator", "value", "for"]) {
                throw JSONError(
                    text: joined(place, ": unknown key \"", excerpt(key), "\", expected actuator, value or for"))
            }
            guard let actuator = usableName(element["actuator"]) else {
                throw JSONError(text: joined(place, ": actuator is no string of 1 to 128 bytes"))
            }
            if assignments.contains(where: { sameBytes($0.actuator, actuator) }) {
                throw JSONError(text: joined(place, ": \"", excerpt(actuator), "\" is there twice"))
            }
            do throws(JSONError) {
                assignments.append(
                    Command.Assignment(
                        actuator: try single(actuator), value: try value(element["value"]),
                        hold: try hold(element["for"])))
            } catch {
                throw JSONError(text: joined(place, ": ", error.text))
            }
        }
        return assignments
    }

    private static func priority(_ element: JSONElement?) throws(JSONError) -> Int {
        guard let element else { return 0 }
        guard case .integer(let integer) = element.kind, let priority = Int(exactly: integer),
            Command.priorities.contains(priority)
        else { throw JSONError(text: joined("priority is ", element.shown, ", expected a whole number from 0 to 255")) }
        return priority
    }

    /// A name that can be repeated in a reply.
    private static func usableName(_ element: JSONElement?) -> String? {
        guard let element, case .string(let text) = element.kind, (1...128).contains(text.utf8.count) else {
            return nil
        }
        return text
    }

    private static func found(_ element: JSONElement) -> String {
        if case .string(let text) = element.kind, text.utf8.count != 0 {
            return joined("a string of ", decimal(text.utf8.count), " bytes")
        }
        return element.shown
    }

    private static func value(_ element: JSONElement?) throws(JSONError) -> Value {
        let expected = "expected a number, true, false or a string"
        guard let element else { throw JSONError(text: joined("value is missing, ", expected)) }
        switch element.kind {
        case .integer(let integer): return .integer(integer)
        case .real(let real): return .number(real)
        case .boolean(let boolean): return .boolean(boolean)
        case .string(let text): return .text(text)
        case .null, .array, .object: throw JSONError(text: joined("value is ", element.shown, ", ", expected))
        }
    }

    private static func hold(_ element: JSONElement?) throws(JSONError) -> Interval? {
        guard let element else { return nil }
        guard case .string(let text) = element.kind, let interval = duration(text) else {
            throw JSONError(text: joined("for is ", element.shown, ", expected a duration in quotes such as \"30s\""))
        }
        guard holdRange.contains(interval) else {
            throw JSONError(text: joined("for is ", element.shown, ", expected 1ms to 24h"))
        }
        return interval
    }

    private static func expires(_ element: JSONElement?) throws(JSONError) -> WallTime? {
        guard let element else { return nil }
        let seconds: Double
        switch element.kind {
        case .integer(let integer): seconds = Double(integer)
        case .real(let real): seconds = real
        default:
            throw JSONError(text: joined("expires is ", element.shown, ", expected a number of seconds since 1970"))
        }
        // What a WallTime holds, up to the year 2262. Milliseconds, a common mistake, are far beyond it.
        guard seconds >= 0, seconds < 9.2e9 else {
            throw JSONError(
                text: joined("expires is ", element.shown, ", expected seconds (not milliseconds) since 1970"))
        }
        // In two parts: the product of both would have more digits than a Double.
        let whole = Int64(seconds)
        return WallTime(nanoseconds: whole * 1_000_000_000 + Int64((seconds - Double(whole)) * 1e9))
    }

    /// A number (a fraction is allowed) and a unit, as in the configuration; `nil` for anything else.
    static func duration(_ text: String) -> Interval? {
        if text.utf8.count > 32 { return nil }
        let bytes = Array(text.utf8)
        var index = 0
        var digits = 0
        var fraction = 0
        var number: Int64 = 0
        var isBehindPoint = false
        while index < bytes.count {
            let byte = bytes[index]
            if byte == UInt8(ascii: "."), !isBehindPoint, digits > 0 {
                isBehindPoint = true
            } else if (48...57).contains(byte) {
                let (product, overflow) = number.multipliedReportingOverflow(by: 10)
                if overflow || product > Int64.max - 9 { return nil }
                number = product + Int64(byte - 48)
                digits += 1
                if isBehindPoint { fraction += 1 }
            } else {
                break
            }
            index += 1
        }
        if digits == 0 || isBehindPoint && fraction == 0 { return nil }
        guard let scale = nanoseconds(inUnit: bytes[index...]) else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: scale)
        if overflow { return nil }
        var divisor: Int64 = 1
        for _ in 0..<fraction { divisor *= 10 }
        return Interval(nanoseconds: product / divisor)
    }

    private static func nanoseconds(inUnit unit: ArraySlice<UInt8>) -> Int64? {
        let last = unit.last
        if unit.count == 1 {
            switch last {
            case UInt8(ascii: "s"): return 1_000_000_000
            case UInt8(ascii: "m"): return 60_000_000_000
            case UInt8(ascii: "h"): return 3_600_000_000_000
            case UInt8(ascii: "d"): return 86_400_000_000_000
            default: return nil
            }
        }
        guard unit.count == 2, last == UInt8(ascii: "s") else { return nil }
        switch unit.first {
        case UInt8(ascii: "n"): return 1
        case UInt8(ascii: "u"): return 1_000
        case UInt8(ascii: "m"): return 1_000_000
        default: return nil
        }
    }
}
