import Actuators
import Configuration
import Foundation
import Platform
import Records
import TestSupport
import Testing

@testable import Commands

/// Groups, safe values, queries, priorities and signatures, on the way through the processor.
@Suite struct CommandShapeTests {
    @Test func aGroupIsAnsweredOnce() throws {
        let station = try Station()
        station.send(
            #"{"id":"g","group":[{"actuator":"pump","value":1},{"actuator":"dimmer","value":40,"for":"5s"}]}"#)
        #expect(
            text(station.last) == #"{"id":"g","node":"pi-01","status":"done","group":["#
                + #"{"actuator":"pump","status":"done","value":1},{"actuator":"dimmer","status":"done","value":40}],"#
                + #""timestamp":1795193522.000}"#)
        #expect(station.replies.count == 1)
        station.loop.advance(by: .seconds(5))
        #expect(station.actuators[1].isSafe)
        #expect(!station.actuators[0].isSafe)
    }

    @Test func aGroupWithAnImpossibleValueDoesNothing() throws {
        let station = try Station()
        station.send(#"{"id":"g","group":[{"actuator":"pump","value":1},{"actuator":"dimmer","value":400}]}"#)
        #expect(station.last.status == .rejected)
        #expect(station.last.reason == "value is 400, expected a number from 0 to 100")
        #expect(try station.levels == [false])
    }

    @Test func aGroupWithAStrangerDoesNothing() throws {
        let station = try Station()
        station.send(#"{"id":"g","group":[{"actuator":"pump","value":1},{"actuator":"pomp","value":1}]}"#)
        #expect(station.last.reason == "unknown actuator \"pomp\"")
        #expect(try station.levels == [false])
    }

    @Test func aGroupThatFailsSaysWhatBecameOfEach() throws {
        let station = try Station()
        station.breakLine()
        station.send(#"{"id":"g","group":[{"actuator":"dimmer","value":4},{"actuator":"pump","value":1}]}"#)
        #expect(station.last.status == .failed)
        #expect(station.last.reason?.hasPrefix("\"pump\": GPIO gpiochip0 27: ") == true)
        #expect(station.last.members.map { $0.status } == [.failed, .failed])
        #expect(station.last.members[0].reason == "rolled back to its safe value")
        #expect(station.last.members[0].value == .number(0))
        #expect(station.actuators[1].isSafe)
    }

    @Test func allSafe() throws {
        let station = try Station()
        station.send(#"{"id":"a","actuator":"pump","value":1,"for":"60s","priority":255}"#)
        station.send(#"{"id":"b","actuator":"valve","value":1}"#)
        station.send(#"{"id":"c","actuator":"*","safe":true}"#)
        station.loop.advance(by: .seconds(2))
        #expect(station.actuators.allSatisfy { $0.isSafe })
        #expect(station.actuators[0].lease == nil)
        #expect(Set(station.replies.map { "\($0.id) \($0.status)" }) == ["a done", "b preempted", "c done"])
        #expect(station.actuators[0].cause == .command(id: "c"))
    }

    @Test func whatBecameOfEach() throws {
        let station = try Station()
        station.send(#"{"id":"a","actuator":"dimmer","value":40}"#)
        station.send(#"{"id":"q","actuator":"*","query":true}"#)
        #expect(
            text(station.last) == #"{"id":"q","node":"pi-01","actuator":"*","status":"done","group":["#
                + #"{"actuator":"pump","status":"done","value":0},{"actuator":"dimmer","status":"done","value":40},"#
                + #"{"actuator":"valve","status":"done","value":0}],"timestamp":1795193522.000}"#)
        // None of them stands for all.
        station.send(#"{"id":"t","actuator":"*","safe":true}"#)
        station.loop.advance(by: .seconds(2))
        #expect(station.last.status == .done)
        #expect(station.last.value == nil)
        #expect(station.last.members.map { $0.value } == [.integer(0), .number(0), .number(0)])
        station.breakLine()
        station.send(#"{"id":"s","actuator":"*","safe":true}"#)
        station.loop.advance(by: .seconds(2))
        #expect(station.last.status == .failed)
        #expect(station.last.value == nil)
        #expect(station.last.reason?.hasPrefix("\"pump\": GPIO gpiochip0 27: ") == true)
        #expect(station.last.members.map { $0.status } == [.failed, .done, .done])
        #expect(station.last.members.map { $0.value } == [nil, .number(0), .number(0)])
        #expect(station.last.members[0].reason?.hasPrefix("GPIO gpiochip0 27: ") == true)
    }

    /// A wrong clock is no reason to leave something on, but an old message is.
    @Test func safeIsFreshOrNot() throws {
        let station = try Station()
        station.processor.isClockSynchronised = { false }
        station.send(#"{"id":"a","actuator":"pump","value":1}"#)
        station.send(#"{"id":"b","actuator":"pump","safe":true,"expires":1}"#)
        #expect(station.last.status == .done)
        #expect(try station.levels == [false, true, false])
        station.send(#"{"id":"c","actuator":"pump","value":1}"#)
        station.send(#"{"id":"d","actuator":"pump","safe":true}"#, age: .seconds(60))
        #expect(station.last.status == .expired)
        #expect(try station.levels.last == true)
    }

    @Test func aQueryChangesNothing() throws {
        let station = try Station()
        station.send(#"{"id":"a","actuator":"dimmer","value":7}"#)
        station.send(#"{"id":"q","actuator":"dimmer","query":true}"#)
        #expect(station.last.status == .done)
        #expect(station.last.value == .number(7))
        #expect(station.queried == ["dimmer"])
        // It may be asked as often as one likes.
        station.send(#"{"id":"q","actuator":"*","query":true}"#)
        #expect(station.last.status == .done)
        #expect(station.last.value == nil)
        #expect(station.queried == ["pump", "dimmer", "valve"])
    }

    @Test func aLeaseIsAnsweredPreempted() throws {
        let station = try Station()
        station.send(#"{"id":"a","actuator":"pump","value":1,"for":"60s","priority":5}"#)
        station.send(#"{"id":"b","actuator":"pump","value":0}"#)
        #expect(station.last.status == .preempted)
        #expect(station.last.reason == "command a of priority 5 has it for another 60000 ms")
        #expect(station.last.value == .integer(1))
        #expect(station.processor.counters.preempted == 1)
    }

    @Test func aCommandThatWaitsTooLongExpires() throws {
        let station = try Station()
        station.send(#"{"id":"a","actuator":"valve","value":1}"#)
        station.send(#"{"id":"b","actuator":"valve","value":0,"expires":\#(station.seconds + 1)}"#)
        station.loop.advance(by: .seconds(2))
        #expect(station.replies.map { $0.status } == [.done, .expired])
        #expect(!station.actuators[2].isSafe)
    }

    @Test func onlyWhatIsSignedIsDone() throws {
        let folder = try KeyFolder()
        let path = try folder.file("keys", "ops \(String(repeating: "5a", count: 32))\n")
        let station = try Station(keys: decodeKeys(["key_file": scalar(path)]).0)
        let key = try SigningKey.load(path, id: nil)
        station.send(#"{"id":"a","actuator":"pump","value":1}"#)
        #expect(station.last.reason == "the command is not signed: this node wants a header sig")
        station.send(signed: #"{"id":"b","actuator":"pump","value":1}"#, by: key)
        #expect(station.last.reason == "a signed command needs an id and an expires, or it could be played again")
        #expect(try station.levels == [false])
        station.send(signed: #"{"id":"c","actuator":"pump","value":1,"expires":\#(station.seconds + 30)}"#, by: key)
        #expect(station.last.status == .done)
        #expect(try station.levels == [false, true])
        // A question can be played again without harm.
        station.send(signed: #"{"actuator":"*","query":true}"#, by: key)
        #expect(station.last.status == .done)
    }

    @Test func strangersAreNotAnsweredWithoutEnd() throws {
        let folder = try KeyFolder()
        let path = try folder.file("keys", "ops \(String(repeating: "5a", count: 32))\n")
        let station = try Station(keys: decodeKeys(["key_file": scalar(path)]).0)
        for index in 0..<100 { station.send(index % 2 == 0 ? "x" : #"{"actuator":"pump","value":1}"#) }
        #expect(station.replies.count == 10)
        #expect(station.processor.counters.unanswered == 90)
        #expect(station.processor.counters.words == ", 100 commands: 10 rejected, 90 not answered")
        station.loop.advance(by: .seconds(1))
        station.send("x")
        #expect(station.replies.count == 11)
    }

    /// The first at once, then the number in a minute; and what somebody else wrote cannot begin a line of its own.
    @Test func theLogTellsOfStrangers() throws {
        let folder = try KeyFolder()
        let path = try folder.file("keys", "ops \(String(repeating: "5a", count: 32))\n")
        let station = try Station(keys: decodeKeys(["key_file": scalar(path)]).0)
        func lines() -> [String] { station.recorder.lines.filter { $0.hasPrefix("warning: commands: ") } }
        let unsigned = #"{"actuator":"pump","value":1}"#
        station.send(unsigned)
        let first =
            "warning: commands: 1 of nobody known refused, the first on commands: the command is not signed: "
            + "this node wants a header sig"
        #expect(lines() == [first])
        station.send(#"{"actuator":"a\nerror: b","value":1}"#)
        for _ in 0..<38 { station.send(unsigned) }
        station.loop.advance(by: .milliseconds(59_999))
        #expect(lines().count == 1)
        station.loop.advance(by: .milliseconds(1))
        #expect(
            lines().last
                == #"warning: commands: 39 of nobody known refused, the first on commands: unknown actuator "a\nerror: b""#
        )
        // Nobody comes for a minute: the next one is told at once.
        station.loop.advance(by: .seconds(600))
        #expect(lines().count == 2)
        for _ in 0..<3 { station.send(unsigned) }
        #expect(lines().count == 3)
        station.processor.stop()
        #expect(lines().count == 4)
        #expect(lines().last?.hasPrefix("warning: commands: 2 of nobody") == true)
    }

    @Test func whoIsKnownIsNoNews() throws {
        let station = try Station()
        station.send("x")
        station.processor.stop()
        #expect(station.recorder.lines.allSatisfy { !$0.contains("nobody known") })
        #expect(station.processor.counters.words == ", 1 commands: 1 rejected")
        #expect(CommandCounters().words == "")
    }

    @Test(arguments: [
        (#"{"actuator":"*","value":1}"#, "actuator is \"*\", expected safe or query with it"),
        (#"{"actuator":"a","value":1,"safe":true}"#, "both value and safe, expected one of them"),
        (#"{"actuator":"a","safe":false}"#, "safe is false, expected true"),
        (#"{"actuator":"a","query":1}"#, "query is 1, expected true"),
        (#"{"actuator":"a","safe":true,"for":"1s"}"#, "for stands beside safe, expected it with a value"),
        (#"{"actuator":"a","value":1,"priority":256}"#, "priority is 256, expected a whole number from 0 to 255"),
        (#"{"actuator":"a","value":1,"priority":1.0}"#, "priority is 1, expected a whole number from 0 to 255"),
        (#"{"group":[]}"#, "group is an array, expected a list of 1 to 16 objects"),
        (#"{"group":1}"#, "group is 1, expected a list of 1 to 16 objects"),
        (
            #"{"actuator":"a","group":[{"actuator":"a","value":1}]}"#,
            "actuator stands beside group, expected it in the group's elements"
        ),
        (#"{"group":[1]}"#, "group[0] is no object"),
        (#"{"group":[{"actuator":"a"}]}"#, "group[0]: value is missing, expected a number, true, false or a string"),
        (
            #"{"group":[{"actuator":"a","value":1},{"actuator":"a","value":0}]}"#,
            "group[1]: \"a\" is there twice"
        ),
        (
            #"{"group":[{"actuator":"a","value":1,"priority":1}]}"#,
            "group[0]: unknown key \"priority\", expected actuator, value or for"
        ),
    ]) func noCommands(text: String, reason: String) throws {
        let station = try Station()
        station.send(text)
        #expect(station.last.status == .rejected)
        #expect(station.last.reason == reason)
    }

    /// Wherever there is a value of it.
    @Test func aUnitIsTold() throws {
        let station = try Station(unit: "V")
        station.send(#"{"id":"a","actuator":"dimmer","value":4}"#)
        #expect(text(station.last).contains(#""status":"done","value":4,"unit":"V","timestamp""#))
        station.send(#"{"id":"g","group":[{"actuator":"dimmer","value":4.5},{"actuator":"pump","value":1}]}"#)
        let group = #""group":[{"actuator":"dimmer","status":"done","value":4.5,"unit":"V"},"#
        #expect(text(station.last).contains(group + #"{"actuator":"pump","status":"done","value":1}]"#))
        station.send(#"{"actuator":"dimmer","query":true}"#)
        #expect(text(station.last).contains(#""value":4.5,"unit":"V""#))
        station.send(#"{"actuator":"dimmer","value":400}"#)
        #expect(!text(station.last).contains("unit"))
        #expect(state(station, 1).contains(#""value":4.5,"unit":"V","safe":false"#))
    }

    private func state(_ station: Station, _ index: Int) -> String {
        let actuator = station.actuators[index]
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: StateRecord.maximumBytes(actuator, node: "pi-01"), alignment: 1)
        defer { memory.deallocate() }
        var writer = ByteWriter(memory)
        StateRecord.encode(actuator, node: "pi-01", time: station.loop, into: &writer)
        #expect(!writer.isOverflowed)
        return String(decoding: writer.written, as: UTF8.self)
    }

    @Test func stateRecords() throws {
        let station = try Station()
        func state(_ index: Int) -> String { self.state(station, index) }
        #expect(
            state(0) == #"{"node":"pi-01","actuator":"pump","value":0,"safe":true,"cause":"start","#
                + #""since":1795193522.000,"timestamp":1795193522.000}"#)
        station.send(#"{"id":"a","actuator":"pump","value":1,"for":"30s","priority":5}"#)
        station.loop.advance(by: .seconds(1))
        #expect(
            state(0) == #"{"node":"pi-01","actuator":"pump","value":1,"safe":false,"cause":"command","command":"a","#
                + #""since":1795193522.000,"priority":5,"until":1795193552.000,"timestamp":1795193523.000}"#)
        station.loop.advance(by: .seconds(29))
        #expect(state(0).contains(#""value":0,"safe":true,"cause":"lease-end","since":1795193552.000,"#))
        station.breakLine()
        station.send(#"{"id":"b","actuator":"pump","value":1}"#)
        #expect(state(0).contains(#""safe":false,"confirmed":false,"cause":"failure""#))
        #expect(StateRecord.key(station.actuators[0], node: "pi-01") == Array("pi-01/pump".utf8))
    }
}
