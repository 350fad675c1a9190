import Actuators
import Commands
import Foundation
import Hardware
import Platform
import Records
import TestSupport
import Testing

/// Repeated commands, and for how long they are known.
@Suite struct DuplicateTests {
    private static let ending =
        " (commands.remember), and each could still be repeated, or its reply has not arrived"

    @Test func aRepetitionIsAnsweredWithTheFirstReplyAndNotDone() throws {
        let station = try Station()
        station.send(#"{"id":"a","actuator":"pump","value":1}"#)
        station.send(#"{"id":"b","actuator":"pump","value":0}"#)
        station.send(#"{"id":"a","actuator":"pump","value":1}"#)
        #expect(try station.levels == [false, true, false])
        #expect(station.last.status == .duplicate)
        #expect(station.last.id == "a")
        #expect(station.last.reason == "a command of this id was answered before, and nothing was done again")
        #expect(station.last.first == encoded(station.replies[0]))
        #expect(text(station.last).contains(#","first":{"id":"a","node":"pi-01","actuator":"pump","status":"done","#))
    }

    @Test func aMessageThatIsDeliveredAgainIsADuplicate() throws {
        let station = try Station()
        let bytes = Array(#"{"actuator":"pump","value":1}"#.utf8)
        station.send(bytes, offset: 7, timestamp: station.now)
        station.send(bytes, offset: 7, timestamp: station.now)
        station.send(bytes, offset: 8, timestamp: station.now)
        #expect(station.replies.map { $0.status } == [.done, .duplicate, .done])
    }

    @Test func repetitionsOfWhatIsUnderWayWaitForTheFirstReply() throws {
        let station = try Station()
        let command = #"{"id":"a","actuator":"valve","value":1}"#
        station.send(command)
        station.send(command)
        station.send(command)
        #expect(station.replies.isEmpty)
        station.loop.advance(by: .seconds(2))
        #expect(station.replies.map { $0.status } == [.done, .duplicate, .duplicate])
        station.send(command)
        #expect(station.last.status == .duplicate)
        #expect(station.last.first == encoded(station.replies[0]))
    }

    @Test func aRejectedOrFailedCommandIsADuplicateToo() throws {
        let station = try Station()
        station.send(#"{"id":"a","actuator":"pump","value":5}"#)
        station.send(#"{"id":"a","actuator":"pump","value":1}"#)
        #expect(station.last.first == encoded(station.replies[0]))
        station.breakLine()
        station.send(#"{"id":"b","actuator":"pump","value":1}"#)
        station.send(#"{"id":"b","actuator":"pump","value":1}"#)
        #expect(station.last.first == encoded(station.replies[2]))
        station.hardware.simulatedGPIO.returnChip("gpiochip0")
        #expect(try station.levels == [false])
    }

    @Test func whatIsRefusedBeforeItsIDIsSeenLeavesNoTrace() throws {
        let station = try Station()
        station.send(#"{"id":"a","actuator":"pump","value":1}"#)
        station.send(#"{"id":"a","actuator":"nothing","value":1}"#)
        #expect(station.last.status == .rejected)
        station.send(#"{"id":"a","actuator":"pump","value":1}"#)
        #expect(station.last.first == encoded(station.replies[0]))
        station.send(#"{"id":"b","actuator":"pump","value":0}"#, age: .seconds(60))
        station.send(#"{"id":"b","actuator":"pump","value":0}"#)
        #expect(station.last.status == .done)
    }

    @Test func onlySoManyIDsAreRemembered() throws {
        let station = try Station(recentCapacity: 3)
        for id in ["a", "b", "c"] { station.send(#"{"id":"\#(id)","actuator":"dimmer","value":1}"#) }
        station.loop.advance(by: .milliseconds(30_001))
        station.send(#"{"id":"a","actuator":"dimmer","value":1}"#)
        #expect(station.last.status == .duplicate)
        station.send(#"{"id":"d","actuator":"dimmer","value":1}"#)
        station.send(#"{"id":"b","actuator":"dimmer","value":1}"#)
        #expect(station.last.status == .duplicate)
        station.send(#"{"id":"a","actuator":"dimmer","value":1}"#)
        #expect(station.last.status == .done)
        // That took the place of b, the oldest.
        for (id, status) in [("c", Status.duplicate), ("d", .duplicate), ("b", .done), ("a", .duplicate)] {
            station.send(#"{"id":"\#(id)","actuator":"dimmer","value":1}"#)
            #expect(station.last.status == status, "\(id)")
        }
    }

    /// A list that is full of what could be repeated takes nothing new, but the safe value is not withheld.
    @Test func whatCouldBeRepeatedIsNotForgotten() throws {
        let station = try Station(recentCapacity: 3)
        let end = station.seconds + 600
        for id in ["a", "b"] {
            station.send(#"{"id":"\#(id)","actuator":"pump","value":1,"expires":\#(end)}"#)
        }
        station.send(#"{"id":"c","actuator":"dimmer","value":1}"#)
        station.send(#"{"id":"d","actuator":"dimmer","value":1}"#)
        #expect(station.last.status == .rejected)
        #expect(station.last.reason == "3 commands are remembered" + Self.ending)
        for _ in 0..<2 {
            station.send(#"{"id":"s","actuator":"pump","safe":true}"#)
            #expect(station.last.status == .done)
        }
        #expect(try station.levels.last == false)
        // The third may be forgotten when it is older than max_age, the others only when they expire.
        station.loop.advance(by: .milliseconds(30_001))
        station.send(#"{"id":"d","actuator":"dimmer","value":1}"#)
        #expect(station.last.status == .done)
        station.loop.advance(by: .milliseconds(30_001))
        station.send(#"{"id":"e","actuator":"dimmer","value":1}"#)
        #expect(station.last.status == .done)
        for id in ["a", "b"] {
            station.send(#"{"id":"\#(id)","actuator":"pump","value":1,"expires":\#(end)}"#)
            #expect(station.last.status == .duplicate)
        }
        #expect(try station.levels.last == false)
        station.loop.advance(by: .seconds(600))
        for id in ["f", "g"] {
            station.send(#"{"id":"\#(id)","actuator":"dimmer","value":1}"#)
            #expect(station.last.status == .done)
        }
    }

    /// 700 others come in between, within its validity.
    @Test func aCommandIsRememberedUntilItExpires() throws {
        let station = try Station(recentCapacity: 512)
        let command = #"{"id":"a","actuator":"dimmer","value":7,"expires":\#(station.seconds + 600)}"#
        station.send(command)
        #expect(station.last.status == .done)
        for index in 0..<701 {
            station.send(#"{"id":"o\#(index)","actuator":"dimmer","value":1}"#)
            #expect(station.last.status == .done)
            station.loop.advance(by: .milliseconds(100))
        }
        station.send(command)
        #expect(station.last.status == .duplicate)
        #expect(station.actuators[1].value == .number(1))
    }

    /// What has no end in sight is never forgotten, and does not take the room of all others.
    @Test func whatNeverExpiresIsNeverForgotten() throws {
        let station = try Station(recentCapacity: 4)
        func send(_ id: String, _ end: Int64) -> Status {
            station.send(#"{"id":"\#(id)","actuator":"dimmer","value":1,"expires":\#(end)}"#)
            return station.last.status
        }
        #expect(send("a", 9_000_000_000) == .done)
        #expect(send("b", station.seconds + 30 * 3_601) == .done)
        #expect(send("c", 9_000_000_000) == .rejected)
        #expect(
            station.last.reason
                == "its expires is more than an hour off, and half of what can be remembered is commands of that kind"
                + Self.ending)
        // At once, and much later.
        for round in 0..<20 {
            for index in 0..<2 { #expect(send("o\(round).\(index)", station.seconds + 3_600) == .done) }
            #expect(send("o", station.seconds + 3_600) == .rejected)
            #expect(send("a", 9_000_000_000) == .duplicate)
            station.loop.advance(by: .seconds(3_601))
        }
        station.loop.advance(by: .seconds(11 * 3_601))
        #expect(send("c", 9_000_000_000) == .done)
        #expect(send("d", 9_000_000_000) == .rejected)
    }

    /// A clock that is ahead for a while makes nothing new.
    @Test func aClockThatStepsForgetsNothing() throws {
        let station = try Station(recentCapacity: 1)
        let command = #"{"id":"a","actuator":"pump","value":1,"expires":\#(station.seconds + 600)}"#
        station.send(command)
        station.send(#"{"id":"s","actuator":"pump","safe":true}"#)
        station.loop.wallTime = station.loop.wallTime + .seconds(700)
        station.send(#"{"id":"b","actuator":"dimmer","value":1}"#)
        #expect(station.last.status == .rejected)
        station.loop.wallTime = station.loop.wallTime + .seconds(-700)
        station.send(command)
        #expect(station.last.status == .duplicate)
        #expect(try station.levels == [false, true, false])
        station.loop.advance(by: .milliseconds(600_001))
        station.send(#"{"id":"c","actuator":"dimmer","value":1}"#)
        #expect(station.last.status == .done)
    }

    /// A few long ones are as much as many short ones.
    @Test func theBoundIsOneOfBytesToo() throws {
        let station = try Station(recentCapacity: 100)
        let end = station.seconds + 600
        // In JSON each of these ids takes six times its 128 bytes.
        func send(_ index: Int) {
            let id = String(repeating: #"\u0001"#, count: 124) + "\(1_000 + index)"
            station.send(#"{"id":"\#(id)","actuator":"dimmer","value":1,"expires":\#(end)}"#)
        }
        var count = 0
        while count < 100 {
            send(count)
            if station.last.reason?.contains("are remembered") == true { break }
            count += 1
        }
        #expect((40...70).contains(count), "\(count)")
        #expect(station.last.status == .rejected)
        let reason = try #require(station.last.reason)
        let bytes = try #require(Int(reason.prefix { $0 != " " }))
        #expect((76_800..<78_400).contains(bytes))
        #expect(reason.hasSuffix(" bytes of commands are remembered" + Self.ending))
        // Those who were taken are known all the same, and make room in the end.
        send(0)
        #expect(station.last.status == .duplicate)
        station.loop.advance(by: .milliseconds(600_001))
        station.send(#"{"id":"b","actuator":"dimmer","value":1}"#)
        #expect(station.last.status == .done)
    }

    @Test func whatIsUnderWayIsNotForgotten() throws {
        let station = try Station(maxAge: .seconds(1), recentCapacity: 1)
        station.send(#"{"id":"a","actuator":"valve","value":1}"#)
        station.loop.advance(by: .milliseconds(1_500))
        station.send(#"{"id":"b","actuator":"pump","value":1}"#)
        station.loop.advance(by: .milliseconds(500))
        station.send(#"{"id":"c","actuator":"pump","value":1}"#)
        #expect(station.replies.map { $0.id } == ["b", "a", "c"])
        #expect(station.replies.map { $0.status } == [.rejected, .done, .done])
    }

    /// Only its clock keeps the node from it, and clocks change: the answer must not.
    @Test func whatTheClockForbidsIsRemembered() throws {
        let station = try Station()
        station.processor.isClockSynchronised = { false }
        let command = #"{"id":"a","actuator":"pump","value":1,"expires":\#(station.seconds + 20)}"#
        station.send(command)
        #expect(station.last.status == .rejected)
        station.processor.isClockSynchronised = { true }
        station.send(command)
        #expect(station.last.status == .duplicate)
        #expect(try station.levels == [false])
    }

    @Test func onlySoManyRepetitionsWait() throws {
        let station = try Station()
        for _ in 0..<100 { station.send(#"{"id":"a","actuator":"valve","value":1}"#) }
        #expect(station.replies.count == 35)
        #expect(station.last.reason == "a command of this id is being carried out")
        station.loop.advance(by: .seconds(2))
        #expect(station.replies.count == 100)
        #expect(station.replies.filter { $0.status == .done }.count == 1)
    }
}
