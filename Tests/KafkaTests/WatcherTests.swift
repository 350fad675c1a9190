import Kafka
import Platform
import Records
import TestSupport
import Testing

@Suite struct WatcherTests {
    private func send(_ texts: [String], to topic: String, _ fixture: Fixture) throws {
        let producer = try fixture.producer()
        let id = try producer.producer.topic(named: topic)
        for text in texts { #expect(producer.offer(id, text) == .taken) }
        #expect(try fixture.wait { producer.acknowledged.count == texts.count })
    }

    @Test(arguments: [
        (Watcher.Start.beginning, ["a", "b", "c"]), (.last(2), ["b", "c"]), (.last(100), ["a", "b", "c"]),
        (.last(0), []), (.end, []),
    ])
    func beginsWhereItIsTold(_ start: Watcher.Start, _ expected: [String]) throws {
        let fixture = try Fixture()
        let topic = try fixture.topic("watched")
        try send(["a", "b", "c"], to: topic, fixture)
        let watcher = try fixture.watcher(topic, from: start)
        #expect(try fixture.wait { watcher.ends > 0 })
        #expect(watcher.isReady)
        #expect(watcher.texts == expected)
        try send(["d"], to: topic, fixture)
        #expect(try fixture.wait { watcher.received.count == expected.count + 1 })
        #expect(watcher.texts == expected + ["d"])
    }

    @Test func onceReadyNothingIsMissed() throws {
        let fixture = try Fixture()
        let topic = try fixture.topic("replies", partitions: 4)
        let watcher = try fixture.watcher(topic, from: .end)
        #expect(try fixture.wait { watcher.isReady })
        // Before the first fetch can have been answered.
        try send((0..<40).map { "\($0)" }, to: topic, fixture)
        #expect(try fixture.wait { watcher.received.count == 40 })
        #expect(Set(watcher.texts) == Set((0..<40).map { "\($0)" }))
    }

    @Test func endIsCalledWhenAllPartitionsAreRead() throws {
        let fixture = try Fixture()
        let topic = try fixture.topic("watched", partitions: 3)
        try send((0..<30).map { "\($0)" }, to: topic, fixture)
        let watcher = try fixture.watcher(topic, from: .beginning)
        #expect(try fixture.wait { watcher.ends > 0 })
        #expect(watcher.received.count == 30)
    }

    @Test func waitsForATopicAndSaysSoOnce() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("later")
        fixture.mock?.setError(3, ofTopic: topic)
        let watcher = try fixture.watcher(topic, from: .beginning)
        #expect(try fixture.wait { !fixture.lines(containing: "waiting for topic \(topic)").isEmpty })
        try fixture.loop.turn(for: .milliseconds(1_200))
        #expect(fixture.lines(containing: "waiting for topic").count == 1)
        #expect(!watcher.isReady)
        fixture.mock?.setError(0, ofTopic: topic)
        try send(["first"], to: topic, fixture)
        #expect(try fixture.wait { watcher.texts == ["first"] })
        #expect(fixture.lines(containing: "topic \(topic) is there").count == 1)
    }

    @Test func waitsForABrokerAndSaysSoOnce() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("watched")
        fixture.mock?.set(isUp: false)
        let watcher = try fixture.watcher(topic, from: .end)
        #expect(try fixture.wait { !fixture.lines(containing: "waiting for the broker").isEmpty })
        try fixture.loop.turn(for: .milliseconds(500))
        fixture.mock?.set(isUp: true)
        #expect(try fixture.wait { watcher.isReady })
        #expect(fixture.lines(containing: "waiting for the broker").count == 1)
        #expect(fixture.lines(containing: "connected after").count == 1)
    }

    @Test func closesWhileALookUpIsUnderWay() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("watched")
        fixture.mock?.set(isUp: false)
        weak var watcher: Watcher?
        do {
            let watched = try fixture.bareWatcher(topic)
            watcher = watched
            watched.close()
        }
        #expect(try fixture.wait { watcher == nil })
    }

    @Test func anIllegalNameIsRefused() throws {
        let fixture = try Fixture(mocked: true)
        #expect(throws: KafkaError.self) { try fixture.watcher("no such name", from: .end) }
    }
}
