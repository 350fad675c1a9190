import CShim
import Kafka
import Platform
import Records
import TestSupport
import Testing

@Suite struct ProducerTests {
    @Test func recordsArriveWithKeyPayloadAndID() throws {
        let fixture = try Fixture()
        let topic = try fixture.topic("sensors")
        let producer = try fixture.producer()
        let id = try producer.producer.topic(named: topic)
        for number in 0..<500 {
            let offer = producer.offer(
                id, Array("{\"value\":\(number)}".utf8), key: "k\(number % 3)", id: "pi/1/\(number)")
            #expect(offer == .taken)
        }
        #expect(try fixture.wait { producer.acknowledged.count == 500 })
        #expect(producer.producer.counters.acknowledged == 500)
        #expect(producer.producer.counters.outstanding == 0)
        #expect(producer.producer.isConnected == true)

        let watcher = try fixture.watcher(topic, from: .beginning)
        #expect(try fixture.wait { watcher.received.count == 500 })
        // Order is kept for each key, whatever the number of partitions.
        for key in 0..<3 {
            let received = watcher.received.filter { $0.key == "k\(key)" }
            let numbers = stride(from: key, to: 500, by: 3)
            #expect(received.map(\.text) == numbers.map { "{\"value\":\($0)}" })
            #expect(received.map(\.id) == numbers.map { "pi/1/\($0)" })
        }
        let age = fixture.loop.time.wallTime - (watcher.received[0].timestamp ?? WallTime(nanoseconds: 0))
        #expect(abs(age.seconds) < 120)
    }

    @Test func anyBytesPassUnchanged() throws {
        let fixture = try Fixture()
        let topic = try fixture.topic("garbage")
        let producer = try fixture.producer()
        let id = try producer.producer.topic(named: topic)
        var generator = SystemRandomNumberGenerator()
        var payloads: [[UInt8]] = [[], [0], [0, 0, 0], Array(0...255)]
        for size in [1, 7, 100, 4_096, 65_535, 65_536, 300_000] {
            payloads.append((0..<size).map { _ in UInt8.random(in: 0...255, using: &generator) })
        }
        for payload in payloads { #expect(producer.offer(id, payload, key: "", id: "") == .taken) }
        #expect(try fixture.wait { producer.acknowledged.count == payloads.count })
        let watcher = try fixture.watcher(topic, from: .beginning)
        #expect(try fixture.wait { watcher.received.count == payloads.count })
        let sorted = { (bytes: [[UInt8]]) in bytes.sorted { $0.lexicographicallyPrecedes($1) } }
        #expect(sorted(watcher.received.map(\.payload)) == sorted(payloads))
        #expect(watcher.received.allSatisfy { $0.key.isEmpty && $0.id == nil })
    }

    @Test func aCommandCarriesItsSignature() throws {
        let fixture = try Fixture()
        let topic = try fixture.topic("commands")
        let producer = try fixture.producer()
        let id = try producer.producer.topic(named: topic)
        for signature in ["ops:00ff", ""] {
            // Not one of the buffers is there any more when it is sent.
            let offer = Array("{\"id\":\"\(signature)\"}".utf8).withUnsafeBytes { payload in
                Array("key".utf8).withUnsafeBytes { key in
                    Array(signature.utf8).withUnsafeBytes { signature in
                        producer.producer.offer(
                            command: payload, topic: id, key: key, signature: signature, token: DeliveryToken(1))
                    }
                }
            }
            #expect(offer == .taken)
        }
        let watcher = try fixture.watcher(topic, from: .beginning)
        var signatures: [String?] = []
        let handler = watcher.watcher.onMessage
        watcher.watcher.onMessage = { message in
            signatures.append(message.header("sig").map { String(decoding: $0, as: UTF8.self) })
            handler?(message)
        }
        #expect(try fixture.wait { signatures.count == 2 })
        #expect(signatures == ["ops:00ff", nil])
        #expect(watcher.received.map(\.key) == ["key", "key"])
        #expect(watcher.received.map(\.text) == [#"{"id":"ops:00ff"}"#, #"{"id":""}"#])
        #expect(producer.producer.counters.outstanding == 0)
    }

    @Test func oneNameHasOneTopicAndAnIllegalOneIsRefused() throws {
        let fixture = try Fixture(mocked: true)
        let producer = try fixture.producer()
        let first = try producer.producer.topic(named: "a")
        #expect(try producer.producer.topic(named: "b") != first)
        #expect(try producer.producer.topic(named: "a") == first)
        for name in ["", ".", "..", "a b", "ä", String(repeating: "x", count: 250)] {
            let error = #expect(throws: KafkaError.self) { try producer.producer.topic(named: name) }
            #expect(error?.description.contains("249") == true)
        }
        #expect(producer.offer(TopicID(99), "x") == .refused("a topic that this producer does not have"))
    }

    @Test func fullQueueSaysSoAndCallsWhenThereIsRoom() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("full")
        let producer = try fixture.producer(["queue.buffering.max.messages": "10"])
        let id = try producer.producer.topic(named: topic)
        fixture.mock?.set(isUp: false)
        var rooms = 0
        producer.producer.onRoom = { rooms += 1 }
        for _ in 0..<10 { #expect(producer.offer(id, "x") == .taken) }
        #expect(producer.offer(id, "x") == .full)
        #expect(producer.producer.counters.full == 1)
        fixture.mock?.set(isUp: true)
        #expect(try fixture.wait { rooms > 0 && producer.acknowledged.count == 10 })
        #expect(producer.offer(id, "y") == .taken)
        #expect(try fixture.wait { producer.acknowledged.count == 11 })
        // Nobody is told of room who has not been told of fullness.
        #expect(rooms == 1)
    }

    @Test func whatNeverFitsIsRefusedWithTheProperty() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("large")
        let producer = try fixture.producer(["message.max.bytes": "2000"])
        let id = try producer.producer.topic(named: topic)
        #expect(
            producer.offer(id, [UInt8](repeating: 1, count: 5_000))
                == .refused("5000 bytes are more than message.max.bytes"))
        #expect(producer.producer.counters.refused == 1)
        #expect(producer.producer.outstanding == 0)

        let small = try fixture.producer(["queue.buffering.max.kbytes": "1"])
        let other = try small.producer.topic(named: topic)
        #expect(
            small.offer(other, [UInt8](repeating: 1, count: 5_000))
                == .refused("5000 bytes are more than queue.buffering.max.kbytes"))
    }

    @Test func outageIsSaidOnceAndNothingIsLost() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("outage")
        let producer = try fixture.producer()
        var states: [Bool] = []
        producer.producer.onLink = { states.append($0) }
        let id = try producer.producer.topic(named: topic)
        #expect(producer.offer(id, "before") == .taken)
        #expect(try fixture.wait { producer.acknowledged.count == 1 })
        fixture.mock?.set(isUp: false)
        #expect(try fixture.wait { producer.producer.isConnected == false })
        for _ in 0..<50 { #expect(producer.offer(id, "during") == .taken) }
        // Several attempts to connect fail meanwhile.
        try fixture.loop.turn(for: .milliseconds(800))
        #expect(producer.acknowledged.count == 1)
        fixture.mock?.set(isUp: true)
        #expect(try fixture.wait { producer.acknowledged.count == 51 })
        #expect(producer.failures.isEmpty)
        #expect(states == [true, false, true])
        #expect(fixture.lines(containing: "producer: waiting for the broker").count == 1)
        #expect(fixture.lines(containing: "producer: connected again after").count == 1)
        #expect(producer.reports.values.allSatisfy { $0 == 1 })
    }

    @Test func passingErrorsAreRetriedWithoutARepetition() throws {
        let fixture = try Fixture(mocked: true, brokers: 3)
        let topic = try fixture.topic("retried")
        let producer = try fixture.producer()
        let id = try producer.producer.topic(named: topic)
        // NOT_ENOUGH_REPLICAS, REQUEST_TIMED_OUT, NOT_LEADER_FOR_PARTITION
        fixture.mock?.answer(.produce, with: [19, 7, 6])
        for number in 0..<20 { #expect(producer.offer(id, "\(number)") == .taken) }
        #expect(try fixture.wait { producer.acknowledged.count == 20 })
        #expect(producer.failures.isEmpty)
        let watcher = try fixture.watcher(topic, from: .beginning)
        #expect(try fixture.wait { watcher.ends > 0 })
        #expect(watcher.texts == (0..<20).map { "\($0)" })
    }

    @Test(arguments: [
        (Int32(10), "MSG_SIZE_TOO_LARGE", false), (29, "TOPIC_AUTHORIZATION_FAILED", true), (2, "INVALID_MSG", true),
    ])
    func permanentErrorIsReportedByName(_ code: Int32, _ name: String, _ isRetriable: Bool) throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("failing")
        let producer = try fixture.producer()
        let id = try producer.producer.topic(named: topic)
        #expect(producer.offer(id, "good") == .taken)
        #expect(try fixture.wait { producer.acknowledged.count == 1 })
        fixture.mock?.answer(.produce, with: [code])
        #expect(producer.offer(id, "bad") == .taken)
        #expect(try fixture.wait { producer.failures.count == 1 })
        let failure = try #require(producer.failures[1])
        #expect(failure.name == name)
        #expect(failure.isRetriable == isRetriable)
        #expect(!failure.reason.isEmpty)
        #expect(producer.producer.counters.failed.map(\.name) == [name])
        #expect(producer.producer.counters.failed.map(\.count) == [1])
    }

    @Test func missingTopicHoldsRecordsUntilItIsThere() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("missing")
        fixture.mock?.setError(3, ofTopic: topic)
        let producer = try fixture.producer(["topic.metadata.propagation.max.ms": "1"])
        let id = try producer.producer.topic(named: topic)
        var answer = producer.offer(id, "early")
        // What was taken before the absence was known fails, and can be sent again.
        #expect(
            try fixture.wait {
                if answer == .taken, producer.failures.count == producer.reports.count {
                    answer = producer.offer(id, "x")
                }
                return answer == .full
            })
        #expect(producer.failures.values.allSatisfy { $0.isRetriable })
        #expect(fixture.lines(containing: "create it").count == 1)
        fixture.mock?.setError(0, ofTopic: topic)
        producer.producer.onRoom = { answer = producer.offer(id, "late") }
        #expect(try fixture.wait { !producer.acknowledged.isEmpty })
        producer.producer.onRoom = nil
    }

    @Test func linesOfTheLibraryAreLimited() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("noisy")
        let producer = try fixture.producer(["debug": "all"])
        let id = try producer.producer.topic(named: topic)
        for _ in 0..<100 { #expect(producer.offer(id, "x") == .taken) }
        #expect(try fixture.wait { producer.acknowledged.count == 100 })
        producer.producer.close()
        #expect(fixture.lines.filter { $0.contains("kafka producer") && $0.contains("[thrd:") }.count == 30)
        #expect(fixture.lines(containing: "more lines of librdkafka left out").count == 1)
    }

    @Test func flushDoesNotWaitForLinger() throws {
        let fixture = try Fixture()
        let topic = try fixture.topic("flush")
        let producer = try fixture.producer(["linger.ms": "60000"])
        let id = try producer.producer.topic(named: topic)
        for _ in 0..<100 { #expect(producer.offer(id, "x") == .taken) }
        try fixture.loop.turn(for: .milliseconds(500))
        #expect(producer.acknowledged.isEmpty, "linger.ms holds them")
        var left: Int?
        let start = fixture.loop.time.now
        producer.producer.flush(within: .seconds(20)) { left = $0 }
        #expect(try fixture.wait { left != nil })
        #expect(left == 0)
        #expect(producer.acknowledged.count == 100)
        #expect((fixture.loop.time.now - start).seconds < 20)
    }

    @Test func flushWithoutABrokerEndsInTime() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("flush")
        fixture.mock?.set(isUp: false)
        let producer = try fixture.producer()
        let id = try producer.producer.topic(named: topic)
        for _ in 0..<3 { #expect(producer.offer(id, "x") == .taken) }
        var left: Int?
        producer.producer.flush(within: .milliseconds(300)) { left = $0 }
        #expect(try fixture.wait { left != nil })
        #expect(left == 3)
    }

    @Test(arguments: [false, true]) func closeReportsWhatIsOutstanding(_ wasConnected: Bool) throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("closing")
        let producer = try fixture.producer()
        let id = try producer.producer.topic(named: topic)
        if wasConnected {
            #expect(producer.offer(id, "x") == .taken)
            #expect(try fixture.wait { producer.acknowledged.count == 1 })
        }
        fixture.mock?.set(isUp: false)
        if wasConnected { #expect(try fixture.wait { producer.producer.isConnected == false }) }
        for _ in 0..<1_000 { #expect(producer.offer(id, "y") == .taken) }
        let start = fixture.loop.time.now
        #expect(producer.producer.close() == 0)
        #expect((fixture.loop.time.now - start).seconds < 5)
        #expect(producer.failures.count == 1_000)
        #expect(producer.reports.values.allSatisfy { $0 == 1 })
        #expect(producer.failures.values.allSatisfy { $0.isRetriable && $0.name.hasPrefix("_PURGE") })
        #expect(producer.producer.outstanding == 0)
        #expect(producer.offer(id, "z") != .taken)
        #expect(producer.producer.close() == 0, "again is no harm")
    }

    @Test func closeFromADeliveryReportIsPutOff() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("closing")
        var producer: Producer? = try Producer(
            name: "kedge-test", properties: fixture.properties(["linger.ms": "0"]), loop: fixture.loop, log: fixture.log
        )
        let id = try #require(try producer?.topic(named: topic))
        var reports = 0
        producer?.onDelivery = { _, _ in
            reports += 1
            producer?.close()
            producer = nil
        }
        let empty = UnsafeRawBufferPointer(start: nil, count: 0)
        for number in UInt(0)..<10 {
            _ = producer?.offer(
                topic: id, key: empty, payload: empty, id: empty, position: 0, token: DeliveryToken(number))
        }
        #expect(try fixture.wait { reports == 10 && producer == nil })
    }

    @Test func contradictoryPropertiesAreExplained() throws {
        let fixture = try Fixture(mocked: true)
        let error = #expect(throws: KafkaError.self) {
            try fixture.producer(["enable.idempotence": "true", "acks": "1"])
        }
        #expect(error?.description.contains("acks") == true)
        #expect(error?.place == "creating the producer")
        // Chosen by the user alone, acks: 1 rules the default of idempotence out.
        _ = try fixture.producer(["acks": "1"])
        _ = try fixture.producer(["retries": "0"])
        _ = try fixture.producer(["max.in.flight": "20"])
    }

    @Test func fatalErrorIsReportedOnceAndStopsOffers() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("fatal")
        // CLUSTER_AUTHORIZATION_FAILED: an idempotent producer cannot begin without an identifier.
        fixture.mock?.answer(.initProducerID, with: [31])
        let producer = try fixture.producer()
        var fatal: [KafkaError] = []
        producer.producer.onFatal = { fatal.append($0) }
        let id = try producer.producer.topic(named: topic)
        #expect(producer.offer(id, "x") == .taken)
        #expect(try fixture.wait { !fatal.isEmpty })
        #expect(fatal.count == 1)
        #expect(fatal[0].isFatal && !fatal[0].isRetriable)
        #expect(fatal[0].name == "CLUSTER_AUTHORIZATION_FAILED")
        #expect(producer.offer(id, "y") == .full)
        producer.producer.close()
        // Another producer sends it again.
        #expect(producer.failures[0]?.isRetriable == true)
    }

    /// librdkafka's own threads know of it first: what is offered meanwhile is the next producer's, not lost.
    @Test func anOfferAfterAFatalErrorThatIsNotReportedYetIsNotRefused() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("fatal")
        fixture.mock?.answer(.initProducerID, with: [31])
        let limit = 5_000_000
        let producer = try fixture.producer([
            "queue.buffering.max.messages": "\(limit)", "queue.buffering.max.kbytes": "2000000",
        ])
        let id = try producer.producer.topic(named: topic)
        // The loop does not turn, so nothing is reported.
        var answer = Offer.taken
        var offered = 0
        while answer == .taken, offered < limit {
            answer = producer.offer(id, "x")
            offered += 1
            sched_yield()
        }
        #expect(offered < limit)
        #expect(answer == .full)
    }
}
