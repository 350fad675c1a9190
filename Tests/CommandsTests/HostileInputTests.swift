import Commands
import Foundation
import Platform
import Records
import TestSupport
import Testing

@Suite struct HostileInputTests {
    /// Exactly one reply, which is JSON, of bounded size, and has a status and a reason unless it was done.
    private func expectOneReply(_ station: Station, to bytes: [UInt8], _ index: Int) throws {
        let before = station.replies.count
        station.send(bytes)
        // A command for the slow actuator takes its time.
        station.loop.advance(by: .seconds(3))
        #expect(station.replies.count == before + 1, "message \(index): \(bytes)")
        let reply = station.last
        #expect(text(reply).utf8.count < 4_096, "message \(index): \(bytes)")
        let object = try decoded(reply)
        #expect(object["id"] as? String == reply.id, "message \(index): \(bytes)")
        #expect((object["reason"] as? String == nil) == (reply.status == .done), "message \(index): \(bytes)")
        #expect((reply.reason?.utf8.count ?? 0) <= 256)
    }

    @Test func randomBytes() throws {
        let station = try Station()
        var random = SeededGenerator(seed: 1)
        for index in 0..<10_000 {
            let count = Int.random(in: 0...200, using: &random)
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            try expectOneReply(station, to: bytes, index)
        }
        #expect(station.processor.counters.rejected == 10_000)
        #expect(try station.levels == [false])
    }

    @Test func mutationsOfACommand() throws {
        let station = try Station()
        var random = SeededGenerator(seed: 2)
        let fragments = [
            "\"", "{", "}", ",", ":", "null", "1e9", "\\u0000", "\\ud83d", "pump", "valve", "-", "0", "\u{0}",
        ]
        for index in 0..<10_000 {
            let name = ["pump", "dimmer", "valve"][index % 3]
            var bytes = Array(
                #"{"id":"\#(index)","actuator":"\#(name)","value":1,"for":"30s","expires":\#(station.seconds + 10)}"#
                    .utf8)
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(UInt8.random(in: 32...126, using: &random), at: place)
                case 3: bytes.insert(contentsOf: fragments.randomElement(using: &random)?.utf8 ?? "".utf8, at: place)
                default: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &random)
                }
            }
            try expectOneReply(station, to: bytes, index)
        }
        let counters = station.processor.counters
        #expect(counters.received == 10_000)
        #expect(counters.answered == 10_000)
        // The mutations reach past the parser, too.
        #expect(counters.done > 100)
        #expect(counters.rejected > 5_000)
    }

    @Test func truncationsOfACommand() throws {
        let station = try Station()
        let command = Array(#"{"id":"a","actuator":"pump","value":1,"for":"30s"}"#.utf8)
        for count in 0..<command.count { try expectOneReply(station, to: Array(command[..<count]), count) }
        #expect(station.processor.counters.rejected == UInt64(command.count))
    }

    @Test func largeAndDeepMessages() throws {
        let station = try Station()
        let messages: [[UInt8]] = [
            [UInt8](repeating: UInt8(ascii: "["), count: 100_000),
            [UInt8](repeating: UInt8(ascii: "["), count: 65_536),
            [UInt8](repeating: UInt8(ascii: "\""), count: 65_536),
            [UInt8](repeating: 0xFF, count: 65_536),
            [UInt8](repeating: 32, count: 1_000_000),
            Array(("{\"actuator\":\"" + String(repeating: "p", count: 60_000) + "\",\"value\":1}").utf8),
            Array(("{\"id\":\"" + String(repeating: "\\n", count: 30_000) + "\",\"value\":1}").utf8),
            Array(("{\"" + String(repeating: "k", count: 60_000) + "\":1}").utf8),
            Array(("{\"actuator\":\"pump\",\"value\":\"" + String(repeating: "\\u0001", count: 10_000) + "\"}").utf8),
            Array(
                ("{\"actuator\":\"pump\",\"value\":1,\"for\":\"" + String(repeating: "é", count: 30_000) + "\"}").utf8),
            Array(("{\"actuator\":\"pump\",\"value\":" + String(repeating: "9", count: 60_000) + "}").utf8),
            Array(("{\"a\":[" + String(repeating: "[],", count: 20_000) + "[]]}").utf8),
        ]
        for index in 0..<messages.count { try expectOneReply(station, to: messages[index], index) }
        #expect(station.processor.counters.rejected == UInt64(messages.count))
    }

    @Test func aLongTopicIsCut() throws {
        let station = try Station()
        let topic = String(repeating: "t", count: 10_000)
        station.processor.handle(
            payload: UnsafeRawBufferPointer(start: nil, count: 0), topic: topic, partition: .min, offset: .min,
            timestampMilliseconds: .min)
        #expect(station.last.id.utf8.count < 300)
        #expect(station.last.reason == "empty message, expected a JSON object")
    }
}
