import Commands
import Foundation
import Platform
import Records
import Testing

@Suite struct ReplyTests {
    private func reply(
        id: String = "a", actuator: String? = "pump", reason: String? = nil, value: Value? = .integer(1),
        nanoseconds: Int64 = 1_795_217_922_298_999_999
    ) -> Reply {
        Reply(
            id: id, node: "pi-01", actuator: actuator, status: reason == nil ? .done : .failed, reason: reason,
            value: value, timestamp: WallTime(nanoseconds: nanoseconds))
    }

    @Test func exactBytes() {
        #expect(
            text(reply())
                == #"{"id":"a","node":"pi-01","actuator":"pump","status":"done","value":1,"timestamp":1795217922.298}"#)
        #expect(
            text(reply(actuator: nil, reason: "x", value: nil))
                == #"{"id":"a","node":"pi-01","status":"failed","reason":"x","timestamp":1795217922.298}"#)
    }

    @Test(arguments: [
        (0, "0.000"), (1_000_000, "0.001"), (999_999, "0.000"), (-1, "-0.001"), (-1_000_000, "-0.001"),
        (-1_500_000_000, "-1.500"), (12_034_000_000, "12.034"),
    ]) func timestamps(nanoseconds: Int64, shown: String) {
        #expect(text(reply(nanoseconds: nanoseconds)).hasSuffix("\"timestamp\":\(shown)}"))
    }

    @Test(arguments: [
        (Value.number(21.5), "21.5"), (.number(100), "100"), (.number(-0.1), "-0.1"), (.number(1e300), "1e+300"),
        (.number(.nan), "null"), (.boolean(true), "true"), (.text("on"), "\"on\""),
        (.integer(.min), "-9223372036854775808"),
    ]) func values(value: Value, shown: String) {
        #expect(text(reply(value: value)).contains("\"value\":\(shown),"))
    }

    @Test func whateverTheTextItStaysJSON() throws {
        var hostile = "\"\\/{}"
        for code in UInt8(0)..<32 { hostile.unicodeScalars.append(Unicode.Scalar(code)) }
        hostile += "\u{7f}\u{2028}é😀"
        let object = try decoded(reply(id: hostile, actuator: hostile, reason: hostile))
        #expect(object["id"] as? String == hostile)
        #expect(object["actuator"] as? String == hostile)
        #expect(object["reason"] as? String == hostile)
    }

    @Test func reasonsAreCutBetweenCharacters() throws {
        let whole = String(repeating: "é", count: 128)
        #expect(reply(reason: whole).reason == whole)
        let cut = try #require(reply(reason: whole + "é").reason)
        #expect(cut.utf8.count <= 256)
        #expect(cut == String(repeating: "é", count: 126) + "…")
    }

    @Test func theWorstTextFitsIntoTheMemoryAskedFor() throws {
        let worst = String(repeating: "\u{1}\"", count: 128)
        let reply = Reply(
            id: worst, node: "pi-01", actuator: worst, status: .interlocked, reason: worst, value: .text(worst),
            timestamp: WallTime(nanoseconds: .min))
        #expect(try decoded(reply)["id"] as? String == worst)
    }
}
