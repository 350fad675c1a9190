import Kafka
import Platform
import TestSupport
import Testing

/// Connections that stay, on which nothing comes any more.
@Suite struct SilenceTests {
    /// Silence counts after half a second and five.
    private func group(_ fixture: Fixture, session: String = "10000") throws -> ConsumerTests.Group {
        let group = try ConsumerTests.Group(
            fixture, topics: [try fixture.topic("commands")],
            ["session.timeout.ms": session, "heartbeat.interval.ms": "500", "statistics.interval.ms": "250"])
        #expect(try fixture.wait { group.isReady && group.consumer.isConnected == true })
        return group
    }

    /// The group's session may end before or after.
    @Test(arguments: ["4000", "30000"]) func brokersThatFallSilentAreAwayFromThenOn(session: String) throws {
        let fixture = try Fixture(mocked: true)
        let group = try group(fixture, session: session)
        var states: [Bool] = []
        group.consumer.onLink = { states.append($0) }
        let start = fixture.loop.time.now
        fixture.mock?.set(roundTrip: .seconds(600))
        #expect(try fixture.wait(for: .seconds(30)) { !states.isEmpty })
        #expect(states == [false])
        let since = try #require(group.consumer.awaySince)
        #expect((since - start).magnitude < 3)
        #expect((fixture.loop.time.now - since).seconds > 5)
        #expect(fixture.lines(containing: "waiting for the broker: no answer for").count == 1)
        fixture.mock?.set(roundTrip: .zero)
        #expect(try fixture.wait { states == [false, true] })
        #expect(group.consumer.awaySince == nil)
        group.consumer.close()
    }

    @Test func aSlowLinkIsNoSilence() throws {
        let fixture = try Fixture(mocked: true)
        let group = try group(fixture)
        var states: [Bool] = []
        group.consumer.onLink = { states.append($0) }
        fixture.mock?.set(roundTrip: .seconds(3))
        try fixture.loop.turn(for: .seconds(10))
        #expect(states.isEmpty)
        #expect(group.assigned == 1)
        fixture.mock?.set(roundTrip: .zero)
        group.consumer.close()
    }
}

extension Interval {
    fileprivate var magnitude: Double { abs(seconds) }
}
