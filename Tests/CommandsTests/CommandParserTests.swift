import Commands
import Platform
import Records
import Testing

@Suite struct CommandParserTests {
    private func parse(_ text: String) throws(CommandError) -> Command { try parse(bytes: Array(text.utf8)) }

    private func parse(bytes: [UInt8]) throws(CommandError) -> Command {
        var result: Result<Command, CommandError>?
        bytes.withUnsafeBytes { buffer in
            do throws(CommandError) {
                result = .success(try CommandParser.parse(buffer))
            } catch {
                result = .failure(error)
            }
        }
        guard let result else { throw CommandError.none }
        return try result.get()
    }

    private func refusal(_ text: String) -> CommandError? { refusal(bytes: Array(text.utf8)) }

    private func refusal(bytes: [UInt8]) -> CommandError? {
        do throws(CommandError) {
            _ = try parse(bytes: bytes)
            return nil
        } catch {
            return error
        }
    }

    @Test func allKeys() throws {
        let command = try parse(
            #"{"id":"a-1","actuator":"pump","value":1,"for":"30s","expires":1795217930.25}"#)
        #expect(
            command
                == Command(
                    id: "a-1", actuator: "pump", value: .integer(1), hold: .seconds(30),
                    expires: WallTime(nanoseconds: 1_795_217_930_250_000_000)))
    }

    @Test(arguments: [
        ("1", Value.integer(1)), ("-7", .integer(-7)), ("1.5", .number(1.5)), ("1e3", .number(1_000)),
        ("true", .boolean(true)), ("false", .boolean(false)), (#""on""#, .text("on")), (#""\u00e4""#, .text("ä")),
        ("9223372036854775807", .integer(.max)),
    ]) func values(text: String, value: Value) throws {
        #expect(try parse(#"{"actuator":"pump","value":\#(text)}"#) == Command(actuator: "pump", value: value))
    }

    @Test(arguments: [
        ("30s", Interval.seconds(30)), ("1.5h", .seconds(5_400)), ("250ms", .milliseconds(250)),
        ("24h", .seconds(86_400)),
        ("1d", .seconds(86_400)), ("2m", .seconds(120)), ("1000us", .milliseconds(1)), ("1000000ns", .milliseconds(1)),
        ("0.001s", .milliseconds(1)),
    ]) func durations(text: String, interval: Interval) throws {
        #expect(try parse(#"{"actuator":"a","value":0,"for":"\#(text)"}"#).assignments[0].hold == interval)
    }

    @Test(arguments: [
        #""0s""#, #""-5s""#, #""24.001h""#, #""25h""#, #""2d""#, #""999us""#, #""30""#, #""s""#, #""30 s""#,
        #""30sec""#,
        #""1h30m""#, #""99999999999999999999s""#, #""9223372036854775807d""#, #""1.s""#, #"".5s""#, #""1.2.3s""#,
        #""""#,
        "30", "0", "null", "true", "[]", "{}",
    ]) func noDurations(text: String) {
        let error = refusal(#"{"id":"x","actuator":"a","value":0,"for":\#(text)}"#)
        #expect(error?.reason.hasPrefix("for is ") == true, "\(String(describing: error))")
        #expect(error?.reason.contains("expected") == true)
        #expect(error?.id == "x")
        #expect(error?.actuator == "a")
    }

    @Test(arguments: [
        ("", "empty message, expected a JSON object"),
        ("{", "line 1, column 1 (byte 1): string or '}' expected near end of file"),
        ("1", "line 1, column 1 (byte 1): '[' or '{' expected near '1'"),
        ("[]", "found an array, expected an object"),
        ("{}{}", "line 1, column 3 (byte 3): end of file expected near '{'"),
        ("{\n \"value\":1,\n \"value\":2}", "line 3, column 8 (byte 22): duplicate object key near '\"value\"'"),
        ("{\"value\":1e999}", "line 1, column 14 (byte 14): real number overflow near '1e999'"),
        ("{\"value\":-1e999}", "line 1, column 15 (byte 15): real number overflow near '-1e999'"),
        ("{\"value\":NaN}", "line 1, column 12 (byte 12): invalid token near 'NaN'"),
        ("{\"value\":01}", "line 1, column 10 (byte 10): invalid token near '0'"),
        (
            "{\"value\":99999999999999999999}",
            "line 1, column 29 (byte 29): too big integer near '99999999999999999999'"
        ),
        ("{'value':1}", "line 1, column 2 (byte 2): string or '}' expected near '''"),
        ("{\"a\":\"\\u0000\"}", "line 1, column 13 (byte 13): \\u0000 is not allowed without JSON_ALLOW_NUL near"),
        ("{\"a\":\"\\ud800\"}", "line 1, column 13 (byte 13): invalid Unicode '\\uD800'"),
        ("{\"actuator\":\"a\",\"value\":1}\0", "NUL byte at byte 27"),
        ("{\"actuator\":\"a\",\"value\":1\0}", "NUL byte at byte 26"),
        ("\0", "NUL byte at byte 1"),
        ("\u{FEFF}{}", "line 1, column 1 (byte 3): '[' or '{' expected"),
    ]) func notJSON(text: String, reason: String) {
        let error = refusal(text)
        #expect(error?.reason.hasPrefix(reason) == true, "\(String(describing: error))")
        #expect(error?.id == nil)
    }

    @Test(arguments: [
        ("{}", "actuator is missing, expected a string of 1 to 128 bytes"),
        (#"{"value":1}"#, "actuator is missing, expected a string of 1 to 128 bytes"),
        (#"{"actuator":7,"value":1}"#, "actuator is 7, expected a string of 1 to 128 bytes"),
        (#"{"actuator":null,"value":1}"#, "actuator is null, expected a string of 1 to 128 bytes"),
        (#"{"actuator":"","value":1}"#, "actuator is \"\", expected a string of 1 to 128 bytes"),
        (#"{"actuator":"a"}"#, "value is missing, expected a number, true, false or a string"),
        (#"{"actuator":"a","value":null}"#, "value is null, expected a number, true, false or a string"),
        (#"{"actuator":"a","value":[1]}"#, "value is an array, expected a number, true, false or a string"),
        (#"{"actuator":"a","value":{}}"#, "value is an object, expected a number, true, false or a string"),
        (#"{"actuator":"a","value":1,"id":7}"#, "id is 7, expected a string of 1 to 128 bytes"),
        (#"{"actuator":"a","value":1,"id":""}"#, "id is \"\", expected a string of 1 to 128 bytes"),
        (#"{"actuator":"a","value":1,"id":null}"#, "id is null, expected a string of 1 to 128 bytes"),
        (
            #"{"actuator":"a","value":1,"expires":"soon"}"#,
            "expires is \"soon\", expected a number of seconds since 1970"
        ),
        (#"{"actuator":"a","value":1,"expires":null}"#, "expires is null, expected a number of seconds since 1970"),
        (#"{"actuator":"a","value":1,"expires":-1}"#, "expires is -1, expected seconds (not milliseconds) since 1970"),
        (
            #"{"actuator":"a","value":1,"expires":1795217930000}"#,
            "expires is 1795217930000, expected seconds (not milliseconds) since 1970"
        ),
        (
            #"{"actuator":"a","valeu":1}"#,
            "unknown key \"valeu\", expected id, actuator, value, for, expires, priority, safe, query or group"
        ),
        (
            #"{"actuator":"a","value":1,"For":"1s"}"#,
            "unknown key \"For\", expected id, actuator, value, for, expires, priority, safe, query or group"
        ),
        (
            #"{"actuator":"a","value":1,"":1}"#,
            "unknown key \"\", expected id, actuator, value, for, expires, priority, safe, query or group"
        ),
    ]) func noCommand(text: String, reason: String) {
        #expect(refusal(text)?.reason == reason)
    }

    @Test func whatCanBeReadComesWithTheError() {
        #expect(
            refusal(#"{"id":"x","actuator":"pump","value":null}"#)
                == CommandError(
                    reason: "value is null, expected a number, true, false or a string", id: "x", actuator: "pump"))
    }

    @Test func namesHaveAtMost128Bytes() throws {
        let longest = String(repeating: "é", count: 64)
        #expect(try parse(#"{"id":"\#(longest)","actuator":"\#(longest)","value":1}"#).id == longest)
        let tooLong = longest + "e"
        #expect(
            refusal(#"{"id":"\#(tooLong)","actuator":"a","value":1}"#)
                == CommandError(
                    reason: "id is a string of 129 bytes, expected a string of 1 to 128 bytes", id: nil, actuator: "a"))
        #expect(refusal(#"{"id":"x","actuator":"\#(tooLong)","value":1}"#)?.actuator == nil)
    }

    @Test func invalidUTF8IsRefused() {
        for bad: [UInt8] in [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xE2, 0x82], [0xF5, 0x80, 0x80, 0x80]] {
            let bytes = Array(#"{"actuator":"a"#.utf8) + bad + Array(#"","value":1}"#.utf8)
            #expect(refusal(bytes: bytes)?.reason.contains("unable to decode byte") == true)
        }
    }

    @Test func nestingIsBounded() {
        let open = String(repeating: "[", count: 60_000)
        #expect(
            refusal(open)?.reason.hasPrefix("line 1, column 2049 (byte 2049): maximum parsing depth reached") == true)
        let objects = String(repeating: #"{"a":"#, count: 10_000)
        #expect(refusal(objects)?.reason.contains("maximum parsing depth reached") == true)
        #expect(refusal(String(repeating: "[", count: 100_000))?.reason == "100000 bytes, expected at most 65536")
    }

    @Test func theSizeIsBounded() throws {
        let command = #"{"actuator":"a","value":1}"#
        let padding = String(repeating: " ", count: 65_536 - command.utf8.count)
        #expect(try parse(padding + command).actuator == "a")
        #expect(refusal(" " + padding + command)?.reason == "65537 bytes, expected at most 65536")
        #expect(
            refusal(bytes: [UInt8](repeating: 32, count: 1_000_000))?.reason == "1000000 bytes, expected at most 65536")
    }
}

extension CommandError {
    /// Never thrown by the parser.
    fileprivate static var none: CommandError { CommandError(reason: "no result", id: nil, actuator: nil) }
}
