import Actuators
import Commands
import Foundation
import Hardware
import Platform
import Records
import TestSupport
import Testing

@Suite struct CommandProcessorTests {
    @Test func done() throws {
        let station = try Station()
        station.send(#"{"id":"a","actuator":"pump","value":true}"#)
        #expect(try station.levels == [false, true])
        #expect(
            text(station.last)
                == #"{"id":"a","node":"pi-01","actuator":"pump","status":"done","value":1,"timestamp":1795193522.000}"#)
        #expect(station.replies.count == 1)
    }

    @Test func withoutAnIDItsPlaceServes() throws {
        let station = try Station()
        station.send(#"{"actuator":"pump","value":1}"#)
        station.send("garbage")
        #expect(station.replies.map { $0.id } == ["commands/0/0", "commands/0/1"])
        #expect(station.replies.map { $0.status } == [.done, .rejected])
        #expect(station.last.actuator == nil)
    }

    @Test func aRefusedCommandKeepsItsIDAndActuator() throws {
        let station = try Station()
        station.send(#"{"id":"x","actuator":"pump","value":1,"for":"1"}"#)
        #expect(station.last.id == "x")
        #expect(station.last.actuator == "pump")
        #expect(station.last.status == .rejected)
        #expect(try station.levels == [false])
    }

    @Test func anUnknownActuatorIsRejected() throws {
        let station = try Station()
        station.send(#"{"id":"x","actuator":"pomp","value":1}"#)
        #expect(station.last.status == .rejected)
        #expect(station.last.reason == "unknown actuator \"pomp\"")
        #expect(station.last.actuator == "pomp")
        #expect(station.last.value == nil)
    }

    @Test(arguments: [
        ("pump", "2", "value is 2, expected 0, 1, true or false"),
        ("pump", "0.5", "value is 0.5, expected 0, 1, true or false"),
        ("pump", "\"on\"", "value is \"on\", expected 0, 1, true or false"),
        ("dimmer", "100.5", "value is 100.5, expected a number from 0 to 100"),
        ("dimmer", "-1", "value is -1, expected a number from 0 to 100"),
        ("dimmer", "true", "value is true, expected a number from 0 to 100"),
    ]) func anImpossibleValueIsRejected(actuator: String, value: String, reason: String) throws {
        let station = try Station()
        station.send(#"{"id":"x","actuator":"\#(actuator)","value":\#(value)}"#)
        #expect(station.last.status == .rejected)
        #expect(station.last.reason == reason)
        #expect(try station.levels == [false])
    }

    @Test func expiredByItsExpires() throws {
        let station = try Station()
        station.send(#"{"id":"x","actuator":"pump","value":1,"expires":\#(station.seconds)}"#)
        #expect(station.last.status == .expired)
        #expect(station.last.reason == "past its expires by 0.0 s")
        station.send(#"{"id":"y","actuator":"pump","value":1,"expires":\#(station.seconds - 5)}"#)
        #expect(station.last.reason == "past its expires by 5.0 s")
        #expect(try station.levels == [false])
        station.send(#"{"id":"z","actuator":"pump","value":1,"expires":\#(station.seconds).5}"#)
        #expect(station.last.status == .done)
    }

    @Test func expiredByMaxAge() throws {
        let station = try Station()
        station.send(#"{"id":"x","actuator":"pump","value":1}"#, age: .milliseconds(30_001))
        #expect(station.last.status == .expired)
        #expect(station.last.reason == "30.0 s old, max_age is 30.0 s")
        station.send(#"{"id":"y","actuator":"pump","value":1,"expires":9000000000}"#, age: .seconds(86_400))
        #expect(station.last.status == .expired)
        #expect(try station.levels == [false])
        station.send(#"{"id":"z","actuator":"pump","value":1}"#, age: .seconds(30))
        #expect(station.last.status == .done)
    }

    @Test func aTimestampFromTheFutureIsRejected() throws {
        let station = try Station()
        station.send(#"{"id":"x","actuator":"pump","value":1}"#, age: .milliseconds(-30_001))
        #expect(station.last.status == .rejected)
        #expect(station.last.reason?.contains("is ahead of this node's clock") == true)
        #expect(try station.levels == [false])
        station.send(#"{"id":"y","actuator":"pump","value":1}"#, age: .milliseconds(-30_000))
        #expect(station.last.status == .done)
    }

    @Test func extremeTimestampsAreRefused() throws {
        let station = try Station()
        let bytes = Array(#"{"actuator":"pump","value":1}"#.utf8)
        station.send(bytes, offset: 0, timestamp: .max)
        station.send(bytes, offset: 1, timestamp: 0)
        station.send(bytes, offset: 2, timestamp: .min)
        #expect(station.replies.map { $0.status } == [.rejected, .expired, .rejected])
        station.loop.wallTime = WallTime(nanoseconds: .min)
        station.send(bytes, offset: 3, timestamp: .max)
        #expect(station.last.status == .rejected)
    }

    @Test func withoutATimestampOnlyExpiresTells() throws {
        let station = try Station()
        for (offset, timestamp) in [(Int64(0), Int64?.none), (1, -1)] {
            station.send(Array(#"{"actuator":"pump","value":1}"#.utf8), offset: offset, timestamp: timestamp)
            #expect(station.last.status == .rejected)
            #expect(station.last.reason?.hasPrefix("the message has no timestamp") == true)
        }
        let command = #"{"actuator":"pump","value":1,"expires":\#(station.seconds + 5)}"#
        station.send(Array(command.utf8), offset: 2, timestamp: nil)
        #expect(station.last.status == .done)
    }

    @Test func untilTheClockIsSynchronisedExpiresIsRejected() throws {
        let station = try Station()
        station.processor.isClockSynchronised = { false }
        station.send(#"{"id":"x","actuator":"pump","value":1,"expires":\#(station.seconds + 5)}"#)
        #expect(station.last.status == .rejected)
        #expect(station.last.reason?.contains("clock is not synchronised") == true)
        station.send(#"{"id":"y","actuator":"pump","value":1}"#)
        #expect(station.last.status == .done)
    }

    @Test func aLeaseEndsAndTheNextCommandReplacesIt() throws {
        let station = try Station()
        station.send(#"{"id":"a","actuator":"pump","value":1,"for":"10s"}"#)
        station.loop.advance(by: .seconds(6))
        station.send(#"{"id":"b","actuator":"pump","value":1,"for":"10s"}"#)
        station.loop.advance(by: .seconds(9))
        #expect(try station.levels.last == true)
        station.loop.advance(by: .seconds(1))
        #expect(try station.levels.last == false)
        #expect(station.replies.count == 2)
        station.send(#"{"id":"c","actuator":"pump","value":1}"#)
        station.loop.advance(by: .seconds(599))
        #expect(try station.levels.last == true)
        station.loop.advance(by: .seconds(1))
        #expect(try station.levels.last == false)
    }

    @Test func aFailedWriteIsAnsweredFailed() throws {
        let station = try Station()
        station.breakLine()
        station.send(#"{"id":"a","actuator":"pump","value":1}"#)
        #expect(station.last.status == .failed)
        #expect(station.last.reason?.hasPrefix("GPIO gpiochip0 27: ") == true)
        #expect(station.last.value == nil)
    }

    @Test func aShortCircuitIsAnsweredFailedWithWhatIsThere() throws {
        let station = try Station()
        try station.hardware.simulatedGPIO.drive(station.line, high: false)
        station.send(#"{"id":"a","actuator":"pump","value":1}"#)
        #expect(station.last.status == .failed)
        #expect(station.last.reason != nil)
        #expect(station.last.value == .integer(0))
    }

    @Test func severalCommandsCanBeUnderWay() throws {
        let station = try Station()
        station.send(#"{"id":"slow","actuator":"valve","value":1}"#)
        station.send(#"{"id":"slower","actuator":"valve","value":0}"#)
        station.send(#"{"id":"quick","actuator":"pump","value":1}"#)
        #expect(station.replies.map { $0.id } == ["quick"])
        #expect(station.processor.counters.answered == 1)
        station.loop.advance(by: .seconds(4))
        #expect(station.replies.map { $0.id } == ["quick", "slow", "slower"])
        #expect(station.replies.map { $0.value } == [.integer(1), .number(1), .number(0)])
        #expect(station.replies[1].timestamp == station.replies[0].timestamp + .seconds(2))
    }

    @Test func whatAStopInterruptsIsPreempted() throws {
        let station = try Station()
        station.send(#"{"id":"a","actuator":"valve","value":1}"#)
        station.send(#"{"id":"b","actuator":"valve","value":1}"#)
        for actuator in station.actuators { actuator.stop() }
        station.loop.advance(by: .seconds(2))
        station.send(#"{"id":"c","actuator":"pump","value":1}"#)
        #expect(Set(station.replies.map { $0.id }) == ["a", "b", "c"])
        #expect(station.replies.allSatisfy { $0.status == .preempted && $0.reason == "the node is stopping" })
        #expect(station.replies.count == 3)
        #expect(station.actuators.allSatisfy { $0.isSafe })
    }

    @Test func tooManyWaitingCommandsAreRejected() throws {
        let station = try Station()
        for index in 0..<18 { station.send(#"{"id":"\#(index)","actuator":"valve","value":1}"#) }
        #expect(station.replies.map { $0.id } == ["17"])
        #expect(station.last.status == .rejected)
        #expect(station.last.reason == "16 commands wait for this actuator already")
        station.loop.advance(by: .seconds(60))
        #expect(station.replies.count == 18)
    }

    @Test func countersCountEachStatus() throws {
        let station = try Station()
        station.send(#"{"id":"a","actuator":"pump","value":1}"#)
        station.send(#"{"id":"a","actuator":"pump","value":1}"#)
        station.send("x")
        station.send("x")
        station.send(#"{"id":"b","actuator":"pump","value":1}"#, age: .seconds(60))
        station.breakLine()
        station.send(#"{"id":"c","actuator":"pump","value":1}"#)
        station.send(#"{"id":"d","actuator":"valve","value":1}"#)
        for actuator in station.actuators { actuator.stop() }
        station.loop.advance(by: .seconds(2))
        let counters = station.processor.counters
        #expect(counters.received == 7)
        #expect(counters.answered == 7)
        #expect(counters.done == 1)
        #expect(counters.duplicate == 1)
        #expect(counters.rejected == 2)
        #expect(counters.expired == 1)
        #expect(counters.failed == 1)
        #expect(counters.preempted == 1)
        #expect(counters.interlocked == 0)
    }
}

@Suite struct DuplicateTests {
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
        #expect(
            station.last.reason
                == "3 commands are remembered (commands.remember), and each of them could still be repeated")
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

    /// One that has no end in sight is sure of an hour.
    @Test func whatNeverExpiresIsRememberedForAnHour() throws {
        let station = try Station(recentCapacity: 1)
        station.send(#"{"id":"a","actuator":"dimmer","value":1,"expires":9000000000}"#)
        station.loop.advance(by: .seconds(3_600))
        station.send(#"{"id":"b","actuator":"dimmer","value":1}"#)
        #expect(station.last.status == .rejected)
        station.loop.advance(by: .milliseconds(1))
        station.send(#"{"id":"c","actuator":"dimmer","value":1}"#)
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
