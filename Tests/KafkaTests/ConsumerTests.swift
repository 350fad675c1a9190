import Kafka
import Platform
import Records
import TestSupport
import Testing

@Suite struct ConsumerTests {
    /// A consumer and what it got.
    final class Group {
        let consumer: Consumer
        private(set) var received: [Received] = []
        private(set) var places: [MessagePlace] = []
        /// Of each message, whether it may have waited.
        private(set) var waited: [Bool] = []
        private(set) var assigned = 0
        private(set) var ready = 0
        var commits = true

        init(_ fixture: Fixture, topics: [String], _ more: KeyValuePairs<String, String> = [:]) throws {
            consumer = try Consumer(
                name: "kedge-\(fixture.unique)", topics: topics, properties: fixture.consumerProperties(more),
                loop: fixture.loop, log: fixture.log)
            consumer.onMessage = { [unowned self] message in
                received.append(Received(message))
                places.append(message.place)
                waited.append(consumer.isBacklog(at: message.place))
                if commits { consumer.commit(message) }
            }
            consumer.onAssignment = { [unowned self] in assigned = $0 }
            consumer.onReady = { [unowned self] _ in ready += 1 }
        }

        deinit {
            consumer.onAssignment = nil
            consumer.onReady = nil
            consumer.close()
        }

        /// Whether what is sent from now on will be received.
        var isReady: Bool { assigned > 0 && ready >= assigned }
        var texts: [String] { received.map(\.text) }
    }

    private func send(_ texts: [String], to topic: String, _ fixture: Fixture) throws {
        let producer = try fixture.producer()
        let id = try producer.producer.topic(named: topic)
        for text in texts { #expect(producer.offer(id, text) == .taken) }
        #expect(try fixture.wait { producer.acknowledged.count == texts.count })
    }

    @Test func aFirstStartBeginsAtTheEnd() throws {
        let fixture = try Fixture()
        let topic = try fixture.topic("commands", partitions: 2)
        try send(["old"], to: topic, fixture)
        let group = try Group(fixture, topics: [topic])
        #expect(try fixture.wait { group.isReady })
        try send(["new"], to: topic, fixture)
        #expect(try fixture.wait { !group.received.isEmpty })
        #expect(group.texts == ["new"])
        #expect(group.received[0].key == "key")
        #expect(group.received[0].id == "pi/1/1")
        #expect(try fixture.wait { group.consumer.counters.commits > group.assigned })
        #expect(group.consumer.counters.failedCommits == 0)
        group.consumer.close()
    }

    @Test func whatIsSentDuringARestartIsReceivedThoughNothingCameBefore() throws {
        let fixture = try Fixture()
        let topic = try fixture.topic("commands")
        do {
            let group = try Group(fixture, topics: [topic])
            #expect(try fixture.wait { group.isReady && group.consumer.counters.commits >= group.assigned })
            group.consumer.close()
        }
        try send(["meanwhile"], to: topic, fixture)
        let group = try Group(fixture, topics: [topic])
        #expect(try fixture.wait { !group.received.isEmpty })
        #expect(group.texts == ["meanwhile"])
        group.consumer.close()
    }

    @Test func whatWasNotCommittedComesAgainAndWhatWasDoesNot() throws {
        let fixture = try Fixture()
        let topic = try fixture.topic("commands")
        do {
            let group = try Group(fixture, topics: [topic])
            group.commits = false
            #expect(try fixture.wait { group.isReady })
            try send(["a", "b", "c"], to: topic, fixture)
            #expect(try fixture.wait { group.received.count == 3 })
            let before = group.consumer.counters.commits
            group.consumer.commit(group.places[0])
            #expect(try fixture.wait { group.consumer.counters.commits > before })
            group.consumer.close()
        }
        let group = try Group(fixture, topics: [topic])
        #expect(try fixture.wait { group.received.count == 2 })
        #expect(group.texts == ["b", "c"])
        group.consumer.close()
    }

    /// After a start, and after the brokers were away.
    @Test func whatMayHaveWaitedIsKnown() throws {
        let fixture = try Fixture()
        let topic = try fixture.topic("commands")
        do {
            let group = try Group(fixture, topics: [topic])
            #expect(try fixture.wait { group.isReady && group.consumer.counters.commits >= group.assigned })
            group.consumer.close()
        }
        try send(["a", "b"], to: topic, fixture)
        let group = try Group(fixture, topics: [topic])
        #expect(try fixture.wait { group.received.count == 2 })
        #expect(group.waited == [true, true])
        // The end follows the last message.
        var count = 2
        while count < 20, group.waited.last == true {
            try send(["live"], to: topic, fixture)
            count += 1
            #expect(try fixture.wait { group.received.count == count })
        }
        #expect(group.waited.last == false)
        let place = try #require(group.places.last)
        fixture.mock?.set(isUp: false)
        #expect(try fixture.wait { group.consumer.isConnected == false })
        #expect(group.consumer.isBacklog(at: place))
        fixture.mock?.set(isUp: true)
        #expect(try fixture.wait { !group.consumer.isBacklog(at: place) })
        group.consumer.close()
    }

    @Test func aQuietConsumerStaysInItsGroup() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("commands")
        let group = try Group(
            fixture, topics: [topic],
            [
                "session.timeout.ms": "4000", "heartbeat.interval.ms": "500", "max.poll.interval.ms": "4000",
                // Nothing but the consumer's own timer polls.
                "fetch.wait.max.ms": "10000", "statistics.interval.ms": "0",
            ])
        #expect(try fixture.wait { group.assigned == 1 })
        try fixture.loop.turn(for: .milliseconds(7_000))
        #expect(group.assigned == 1)
        #expect(fixture.lines(containing: "MAX_POLL").isEmpty)
        #expect(fixture.lines(containing: "max.poll.interval").isEmpty)
        group.consumer.close()
    }

    @Test func aMissingTopicIsSaidOnceWithTheRemedy() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("commands")
        fixture.mock?.setError(3, ofTopic: topic)
        let group = try Group(fixture, topics: [topic], ["topic.metadata.refresh.interval.ms": "100"])
        #expect(try fixture.wait { !fixture.lines(containing: "create it").isEmpty })
        try fixture.loop.turn(for: .milliseconds(500))
        #expect(fixture.lines(containing: "create it").count == 1)
        #expect(fixture.lines(containing: topic).isEmpty == false)
        fixture.mock?.setError(0, ofTopic: topic)
        #expect(try fixture.wait { group.isReady })
        group.consumer.close()
    }

    @Test func anOutageIsSaidOnceAndCommandsGoOn() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("commands")
        let group = try Group(fixture, topics: [topic])
        var states: [Bool] = []
        group.consumer.onLink = { states.append($0) }
        #expect(try fixture.wait { group.isReady })
        fixture.mock?.set(isUp: false)
        #expect(try fixture.wait { group.consumer.isConnected == false })
        try fixture.loop.turn(for: .milliseconds(500))
        fixture.mock?.set(isUp: true)
        // Known without a command coming.
        #expect(try fixture.wait { group.consumer.isConnected == true })
        try send(["after"], to: topic, fixture)
        #expect(try fixture.wait { group.texts == ["after"] })
        #expect(states == [true, false, true])
        #expect(fixture.lines(containing: "consumer: waiting for the broker").count == 1)
        group.consumer.close()
    }

    @Test func closingWithoutABrokerEndsInTime() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("commands")
        let group = try Group(fixture, topics: [topic])
        #expect(try fixture.wait { group.isReady })
        fixture.mock?.set(isUp: false)
        #expect(try fixture.wait { group.consumer.isConnected == false })
        let start = fixture.loop.time.now
        group.consumer.close()
        #expect((fixture.loop.time.now - start).seconds < 6)
    }

    @Test func theTopicOfEachMessageIsKnown() throws {
        let fixture = try Fixture()
        let first = try fixture.topic("commands")
        let second = try fixture.topic("commands.pi-01")
        let group = try Group(fixture, topics: [first, second])
        #expect(try fixture.wait { group.isReady })
        try send(["1"], to: first, fixture)
        #expect(try fixture.wait { group.received.count == 1 })
        try send(["2"], to: second, fixture)
        #expect(try fixture.wait { group.received.count == 2 })
        #expect(group.places.map(\.topic) == [first, second])
        group.consumer.close()
    }
}
