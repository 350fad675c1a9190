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
