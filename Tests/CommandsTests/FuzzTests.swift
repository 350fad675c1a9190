import Actuators
import Configuration
import Foundation
import Platform
import Records
import TestSupport
import Testing

@testable import Commands

/// Inputs that nobody would write, from a seed: 50,000, or as many as KEDGE_FUZZ_INPUTS says.
@Suite struct FuzzTests {
    private static let words = [
        "id", "actuator", "value", "for", "expires", "priority", "safe", "query", "group", "pump", "valve", "dimmer",
        "*", "true", "false", "null", "0", "1", "-1", "1e309", "30s", "1ms", "25h", "9223372036854775808", "",
        "\u{0}", "\u{FFFD}", "\\ud800", "\\u0000", "é", "😀",
    ]

    private struct Source {
        var generator: SeededGenerator
        var now: Int64

        mutating func word() -> String { FuzzTests.words.randomElement(using: &generator) ?? "" }

        mutating func pick(_ count: Int) -> Int { Int.random(in: 0..<count, using: &generator) }

        mutating func json(_ depth: Int) -> String {
            switch pick(depth > 4 ? 6 : 9) {
            case 0: "\"\(word())\""
            case 1: word()
            case 2: "\(Int64.random(in: .min ... .max, using: &generator))"
            case 3: "\(Double.random(in: -1e20...1e20, using: &generator))"
            case 4: ["true", "false", "null"][pick(3)]
            case 5: "\(now / 1_000 + Int64(pick(20)))"
            case 6: "[" + (0..<pick(5)).map { _ in json(depth + 1) }.joined(separator: ",") + "]"
            default: object(depth)
            }
        }

        mutating func object(_ depth: Int) -> String {
            "{" + (0..<pick(6)).map { _ in "\"\(word())\":\(json(depth + 1))" }.joined(separator: ",") + "}"
        }

        /// Nearly a command.
        mutating func command(_ index: Int) -> String {
            let name = ["pump", "valve", "dimmer", "*", "nothing"][pick(5)]
            var fields = ["\"id\":\"\(pick(3) == 0 ? index / 10 : index)\"", "\"actuator\":\"\(name)\""]
            fields.append(
                [
                    "\"value\":\(json(4))", "\"value\":1", "\"value\":0", "\"safe\":true", "\"query\":true",
                    "\"safe\":\(json(3))",
                    "\"group\":[{\"actuator\":\"\(word())\",\"value\":\(json(4))},{\"actuator\":\"pump\",\"value\":1}]",
                    "\"group\":\(json(2))",
                ][pick(8)])
            if pick(3) == 0 { fields.append("\"for\":\"\(pick(30))s\"") }
            if pick(3) == 0 { fields.append("\"expires\":\(now / 1_000 + Int64(pick(60)) - 10)") }
            if pick(5) == 0 { fields.append("\"priority\":\(pick(300) - 20)") }
            if pick(5) == 0 { fields.append("\"\(word())\":\(json(3))") }
            if fields[2].hasPrefix("\"group"), pick(3) > 0 { fields.remove(at: 1) }
            return "{" + fields.shuffled(using: &generator).joined(separator: ",") + "}"
        }

        mutating func bytes(_ index: Int) -> [UInt8] {
            switch pick(10) {
            case 0: return (0..<pick(120)).map { _ in UInt8.random(in: 0...255, using: &generator) }
            case 1: return Array(json(0).utf8)
            case 2: return Array(object(0).utf8)
            default: break
            }
            var bytes = Array(command(index).utf8)
            if pick(3) > 0 { return bytes }
            for _ in 0..<(1 + pick(3)) where !bytes.isEmpty {
                let place = pick(bytes.count)
                switch pick(4) {
                case 0: bytes[place] ^= 1 << UInt8(pick(8))
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(contentsOf: word().utf8, at: place)
                default: bytes.removeLast(bytes.count - place)
                }
            }
            return bytes
        }
    }

    private var count: Int {
        ProcessInfo.processInfo.environment["KEDGE_FUZZ_INPUTS"].flatMap { Int($0) } ?? 50_000
    }

    @Test func everyInputIsAnswered() throws {
        let station = try Station()
        var source = Source(generator: SeededGenerator(seed: 11), now: station.now)
        for index in 0..<count {
            source.now = station.now
            let age = Interval.seconds(Int64(source.pick(40)) - 4)
            station.send(source.bytes(index), age: age)
            if source.pick(4) == 0 { station.loop.advance(by: .milliseconds(Int64(source.pick(2_000)))) }
            station.forget(keeping: 200)
        }
        station.loop.advance(by: .seconds(120))
        let counters = station.processor.counters
        #expect(counters.received == UInt64(count))
        #expect(counters.answered == UInt64(count))
        #expect(counters.unanswered == 0)
        #expect(station.count == count)
        // It gets everywhere.
        #expect(counters.done > UInt64(count / 50))
        #expect(counters.rejected > UInt64(count / 5))
        #expect(counters.expired > 0)
        #expect(counters.duplicate > 0)
        #expect(station.actuators[0].isSafe || station.actuators[0].deadline != nil)
    }

    /// With keys nobody knows the senders: what is not answered is counted, and nothing moves.
    @Test func nothingUnsignedMoves() throws {
        let folder = try KeyFolder()
        let path = try folder.file("keys", "ops \(String(repeating: "5a", count: 32))\n")
        let station = try Station(keys: decodeKeys(["key_file": scalar(path)]).0)
        var source = Source(generator: SeededGenerator(seed: 12), now: station.now)
        for index in 0..<(count / 5) {
            station.send(source.bytes(index))
            if source.pick(10) == 0 { station.loop.advance(by: .milliseconds(Int64(source.pick(2_000)))) }
        }
        let counters = station.processor.counters
        #expect(counters.received == counters.rejected + counters.unanswered)
        #expect(counters.unanswered > 0 && counters.rejected > 10)
        #expect(try station.levels == [false])
        #expect(station.actuators.allSatisfy { $0.isSafe })
    }
}
