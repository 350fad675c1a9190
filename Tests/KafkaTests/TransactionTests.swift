import Platform
import Records
import TestSupport
import Testing

@testable import Kafka

@Suite struct TransactionTests {
    @Test func reportsComeWithTheCommit() throws {
        let fixture = try Fixture()
        let topic = try fixture.topic("exact")
        let sender = try Sender(
            fixture, topic: topic, settings: DeliverySettings(mode: .exactlyOnce, commitEvery: .seconds(30)))
        #expect(sender.offer("early") == .full)
        #expect(try fixture.wait { sender.rooms == 1 })
        #expect(sender.positions == [nil])
        for number in 0..<10 { sender.send("\(number)") }
        // The brokers have them, but nothing is committed.
        #expect(try fixture.wait { sender.producer.counters.acknowledged == 10 })
        try fixture.loop.turn(for: .milliseconds(100))
        #expect(sender.reports.isEmpty)
        var left: Int?
        sender.producer.flush(within: .seconds(20)) { left = $0 }
        #expect(try fixture.wait { left != nil })
        #expect(left == 0)
        #expect(sender.acknowledged == Array(0..<10))
        #expect(sender.producer.committed == 1)
        let watcher = try fixture.watcher(topic, from: .beginning)
        #expect(try fixture.wait { watcher.received.count == 10 })
        #expect(watcher.texts == (0..<10).map { "\($0)" })
    }

    @Test func aWindowIsBoundedInTimeAndCount() throws {
        let fixture = try Fixture()
        let topic = try fixture.topic("windows")
        let sender = try Sender(
            fixture, topic: topic,
            settings: DeliverySettings(mode: .exactlyOnce, commitEvery: .milliseconds(50), commitRecords: 10))
        for number in 0..<95 { sender.send("\(number)") }
        #expect(try fixture.wait { sender.acknowledged.count == 95 })
        #expect(sender.producer.committed == 10)
        #expect(sender.producer.aborted == 0)
        #expect(sender.acknowledged == Array(0..<95))
        let watcher = try fixture.watcher(topic, from: .beginning)
        #expect(try fixture.wait { watcher.received.count == 95 })
        #expect(watcher.texts == (0..<95).map { "\($0)" })
        // Without records there is no transaction.
        try fixture.loop.turn(for: .milliseconds(200))
        #expect(sender.producer.committed == 10)
    }

    /// Lets the group of the test commit an offset, as a transaction would. (The embedded broker of librdkafka 2.0 takes
    /// the offsets of a transaction and forgets them.)
    private func commit(_ offset: Int, of topic: String, _ fixture: Fixture) throws {
        let producer = try fixture.producer()
        let id = try producer.producer.topic(named: topic)
        let consumer = try Consumer(
            name: "kedge-\(fixture.unique)-outbox", topics: [topic],
            properties: fixture.consumerProperties(["auto.offset.reset": "earliest"]), loop: fixture.loop,
            log: fixture.log)
        var received = 0
        consumer.onMessage = { [unowned(unsafe) consumer] message in
            received += 1
            consumer.commit(message)
        }
        for number in 0..<offset { #expect(producer.offer(id, "\(number)") == .taken) }
        #expect(try fixture.wait { received == offset && consumer.counters.commits >= offset })
        consumer.close()
    }

    @Test func thePositionIsReadAtTheStart() throws {
        let fixture = try Fixture()
        let topic = try fixture.topic("position")
        try commit(7, of: topic, fixture)
        let sender = try Sender(fixture, topic: topic)
        #expect(try fixture.wait { sender.rooms == 1 })
        #expect(sender.positions == [CommittedPosition(number: 7, outbox: "")])
        sender.send("x")
        #expect(try fixture.wait { sender.acknowledged.count == 1 })
    }

    /// What became of a commit that nobody heard the end of: the position tells, unless it never moved.
    @Test(arguments: [(Int64(7), Int64(5), true), (6, 3, true), (8, 7, false), (7, 7, false)])
    func thePositionDecidesADoubt(_ position: Int64, _ before: Int64, wasCommitted: Bool) throws {
        let fixture = try Fixture()
        let topic = try fixture.topic("decided")
        try commit(7, of: topic, fixture)
        let tokens = [DeliveryToken(70), DeliveryToken(71)]
        let sender = try Sender(
            fixture, topic: topic, doubt: .init(tokens: tokens, position: position, before: before))
        #expect(try fixture.wait { sender.rooms == 1 })
        #expect(sender.reports == [70: 1, 71: 1])
        #expect(sender.acknowledged == (wasCommitted ? [70, 71] : []))
        #expect(sender.failures.values.allSatisfy { $0.isRetriable })
        sender.producer.close()
        #expect(sender.producer.doubt == nil)
    }

    /// A record that the brokers did not get in its time ends the transaction, not the record.
    @Test func aTimeoutIsSentAgain() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("timeout")
        let sender = try Sender(fixture, topic: topic, ["message.timeout.ms": "300"])
        sender.send("0")
        #expect(try fixture.wait { sender.acknowledged.count == 1 })
        fixture.mock?.set(isUp: false)
        for number in 1..<10 { sender.send("\(number)") }
        #expect(try fixture.wait { sender.producer.counters.failed.contains { $0.name == "_MSG_TIMED_OUT" } })
        fixture.mock?.set(isUp: true)
        #expect(try fixture.wait { sender.acknowledged.count == 10 })
        #expect(sender.producer.aborted > 0 && sender.fatal.isEmpty)
        let watcher = try fixture.watcher(topic, from: .beginning)
        #expect(try fixture.wait { watcher.ends > 0 })
        #expect(watcher.texts.suffix(9) == (1..<10).map { "\($0)" })
    }

    /// What passes: each is got over without a repetition or a loss, and without the caller's help.
    @Test(arguments: [
        // NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE, COORDINATOR_LOAD_IN_PROGRESS, CONCURRENT_TRANSACTIONS
        (MockCluster.Request.initProducerID, [Int32(16), 15, 14, 51]),
        (.addPartitionsToTransaction, [15, 14, 51]),
        (.addOffsetsToTransaction, [15, 14, 51]),
        (.transactionOffsetCommit, [15, 14]),
        (.endTransaction, [15, 14, 51]),
        // NOT_ENOUGH_REPLICAS, REQUEST_TIMED_OUT, NOT_LEADER_FOR_PARTITION, NOT_ENOUGH_REPLICAS_AFTER_APPEND
        (.produce, [19, 7, 6, 20]),
        // NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS, UNSTABLE_OFFSET_COMMIT
        (.offsetFetch, [16, 14, 88]),
    ])
    func passingErrors(_ request: MockCluster.Request, _ errors: [Int32]) throws {
        let fixture = try Fixture(mocked: true, brokers: 3)
        let topic = try fixture.topic("passing")
        fixture.mock?.answer(request, with: errors)
        let sender = try Sender(fixture, topic: topic)
        for number in 0..<20 { sender.send("\(number)") }
        #expect(try fixture.wait { sender.acknowledged.count == 20 })
        let watcher = try fixture.watcher(topic, from: .beginning)
        #expect(try fixture.wait { watcher.ends > 0 })
        #expect(watcher.texts == (0..<20).map { "\($0)" })
        #expect(sender.failures.isEmpty && sender.fatal.isEmpty)
        #expect(sender.reports.values.allSatisfy { $0 == 1 })
    }

    @Test func theCoordinatorMoves() throws {
        let fixture = try Fixture(mocked: true, brokers: 3)
        let topic = try fixture.topic("moves")
        let name = "kedge-\(fixture.unique)"
        fixture.mock?.setCoordinator(ofTransactions: name, broker: 1)
        let sender = try Sender(fixture, topic: topic)
        for round in 0..<6 {
            for number in 0..<5 { sender.send("\(round * 5 + number)") }
            fixture.mock?.setCoordinator(ofTransactions: name, broker: Int32(round % 3 + 1))
            #expect(try fixture.wait { sender.acknowledged.count == (round + 1) * 5 })
        }
        let watcher = try fixture.watcher(topic, from: .beginning)
        #expect(try fixture.wait { watcher.received.count == 30 })
        #expect(watcher.texts == (0..<30).map { "\($0)" })
        #expect(sender.failures.isEmpty && sender.fatal.isEmpty)
    }

    /// What ends a transaction, not the producer: it is aborted, and all of it offered again. (The embedded broker shows
    /// what was aborted, too.)
    @Test(arguments: [
        // TOPIC_AUTHORIZATION_FAILED, GROUP_AUTHORIZATION_FAILED, UNKNOWN_TOPIC_OR_PART of the offset
        (MockCluster.Request.addPartitionsToTransaction, Int32(29)), (.addOffsetsToTransaction, 30),
        (.transactionOffsetCommit, 30),
        // TOPIC_AUTHORIZATION_FAILED, UNKNOWN_PRODUCER_ID
        (.produce, 29), (.produce, 59),
    ])
    func aTransactionThatFailsIsSentAgain(_ request: MockCluster.Request, _ code: Int32) throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("aborted")
        let sender = try Sender(fixture, topic: topic)
        for number in 0..<5 { sender.send("\(number)") }
        #expect(try fixture.wait { sender.acknowledged.count == 5 })
        fixture.mock?.answer(request, with: [code])
        for number in 5..<25 { sender.send("\(number)") }
        #expect(try fixture.wait { sender.acknowledged.count == 25 && sender.waiting.isEmpty })
        #expect(sender.producer.aborted > 0)
        #expect(!sender.failures.isEmpty && sender.failures.values.allSatisfy { $0.isRetriable })
        #expect(sender.fatal.isEmpty)
        #expect(sender.reports.values.allSatisfy { $0 == 1 })
        let watcher = try fixture.watcher(topic, from: .beginning)
        #expect(try fixture.wait { watcher.ends > 0 })
        #expect(Set(watcher.texts) == Set((0..<25).map { "\($0)" }))
        // The last attempt is whole and in order.
        #expect(watcher.texts.suffix(20) == (5..<25).map { "\($0)" })
    }

    /// As `kedge broker --help` and the README say. A librdkafka whose mock cluster does isolate them makes both wrong.
    @Test func theEmbeddedBrokerDoesNotIsolateTransactions() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("isolation")
        let sender = try Sender(
            fixture, topic: topic, settings: DeliverySettings(mode: .exactlyOnce, commitEvery: .seconds(30)))
        for number in 0..<5 { sender.send("\(number)") }
        #expect(try fixture.wait { sender.producer.counters.acknowledged == 5 })
        func whatIsRead() throws -> [String] {
            let properties = fixture.consumerProperties(["isolation.level": "read_committed"])
            let watcher = TestWatcher(
                try Watcher(
                    name: "kedge-watch", topic: topic, from: .beginning, properties: properties, loop: fixture.loop,
                    log: fixture.log))
            #expect(try fixture.wait { watcher.ends > 0 })
            return watcher.texts
        }
        let all = (0..<5).map { "\($0)" }
        #expect(try whatIsRead() == all, "the transaction is open")
        // Ends it without a commit.
        sender.producer.close()
        #expect(sender.producer.committed == 0)
        #expect(try whatIsRead() == all, "the transaction was aborted")
    }

    @Test func aRecordThatNobodyTakesDoesNotHoldUpTheOthers() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("poison")
        let sender = try Sender(fixture, topic: topic)
        #expect(try fixture.wait { sender.rooms == 1 })
        // MSG_SIZE_TOO_LARGE: of all that are in that batch.
        fixture.mock?.answer(.produce, with: [10])
        sender.send("poison")
        #expect(try fixture.wait { sender.failures.count == 1 })
        #expect(sender.failures[0]?.isRetriable == false)
        #expect(sender.failures[0]?.name == "MSG_SIZE_TOO_LARGE")
        sender.send("good")
        #expect(try fixture.wait { sender.acknowledged.count == 1 })
        #expect(sender.producer.aborted > 0)
    }

    /// PRODUCER_FENCED and INVALID_PRODUCER_EPOCH are what a second agent of the same name brings about.
    @Test(arguments: [
        (MockCluster.Request.addPartitionsToTransaction, Int32(90)), (.addOffsetsToTransaction, 47),
        (.transactionOffsetCommit, 47), (.transactionOffsetCommit, 90), (.endTransaction, 90), (.endTransaction, 47),
        (.initProducerID, 90),
    ])
    func aFencedProducerEnds(_ request: MockCluster.Request, _ code: Int32) throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("fenced")
        if request == .initProducerID { fixture.mock?.answer(request, with: [code]) }
        let sender = try Sender(fixture, topic: topic)
        if request != .initProducerID {
            sender.send("before")
            #expect(try fixture.wait { sender.acknowledged.count == 1 })
            fixture.mock?.answer(request, with: [code])
        }
        sender.send("after")
        #expect(try fixture.wait { !sender.fatal.isEmpty })
        #expect(sender.fatal.count == 1)
        let error = try #require(sender.fatal.first)
        #expect(error.isFenced, "\(error.description)")
        #expect(sender.offer("x") == .full)
        sender.producer.close()
        #expect(!sender.acknowledged.contains(1))
    }

    @Test(arguments: [
        (MockCluster.Request.initProducerID, Int32(53), "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"),
        (.produce, 45, "OUT_OF_ORDER_SEQUENCE_NUMBER"),
    ])
    func aFatalErrorThatIsNoFence(_ request: MockCluster.Request, _ code: Int32, _ name: String) throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("refused")
        fixture.mock?.answer(request, with: [code])
        let sender = try Sender(fixture, topic: topic)
        sender.send("x")
        #expect(try fixture.wait { !sender.fatal.isEmpty })
        let error = try #require(sender.fatal.first)
        #expect(!error.isFenced)
        #expect(error.name == name)
        sender.producer.close()
        #expect(sender.acknowledged.isEmpty && sender.waiting.count == 1)
    }

    @Test func anOutageInATransactionIsWaitedOut() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("outage")
        let sender = try Sender(fixture, topic: topic)
        sender.send("0")
        #expect(try fixture.wait { sender.acknowledged.count == 1 })
        fixture.mock?.set(isUp: false)
        for number in 1..<20 { sender.send("\(number)") }
        // More than a slice of the commit that is under way.
        try fixture.loop.turn(for: .milliseconds(1_300))
        #expect(sender.acknowledged.count == 1)
        fixture.mock?.set(isUp: true)
        #expect(try fixture.wait { sender.acknowledged.count == 20 })
        let watcher = try fixture.watcher(topic, from: .beginning)
        #expect(try fixture.wait { watcher.ends > 0 })
        #expect(watcher.texts == (0..<20).map { "\($0)" })
    }

    @Test(arguments: [false, true]) func anEndWithoutABrokerIsQuick(_ wasConnected: Bool) throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("closing")
        let sender = try Sender(
            fixture, topic: topic, settings: DeliverySettings(mode: .exactlyOnce, commitEvery: .seconds(30)))
        if wasConnected {
            #expect(try fixture.wait { sender.rooms == 1 })
            for number in 0..<5 { sender.send("\(number)") }
        }
        fixture.mock?.set(isUp: false)
        let start = fixture.loop.time.now
        #expect(sender.producer.close() == 0)
        #expect((fixture.loop.time.now - start).seconds < 10)
        #expect(sender.reports.count == (wasConnected ? 5 : 0))
        #expect(sender.failures.count == sender.reports.count)
        #expect(sender.producer.doubt == nil)
        #expect(sender.producer.close() == 0, "again is no harm")
    }

    /// A commit whose end the producer did not live to hear: its records are neither acknowledged nor failed until the
    /// next producer has read the position.
    @Test func aCommitUnderWayIsInDoubt() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("doubt")
        let sender = try Sender(fixture, topic: topic)
        sender.send("0", position: 5)
        #expect(try fixture.wait { sender.acknowledged.count == 1 })
        // The answer to the commit comes long after the end.
        fixture.mock?.delay(.endTransaction, of: 1, by: .seconds(20))
        sender.send("1", position: 6)
        #expect(try fixture.wait { sender.producer.counters.acknowledged == 2 })
        try fixture.loop.turn(for: .milliseconds(300))
        sender.producer.close()
        #expect(sender.reports.count == 1)
        let doubt = try #require(sender.producer.doubt)
        // The embedded broker says that there is no position: so it was not committed.
        let successor = try Sender(fixture, topic: topic, doubt: doubt)
        #expect(try fixture.wait { successor.rooms == 1 })
        #expect(successor.failures.count == 1)
        #expect(successor.failures[1]?.isRetriable == true)
        #expect(!fixture.lines(containing: "was not committed").isEmpty)
    }

    /// Whatever happens on the way, in any order: every record is reported once for each time that it was taken, and the
    /// attempt that was committed has them all, in order.
    @Test(arguments: [UInt64(1), 2, 3]) func faultsAtRandom(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let fixture = try Fixture(mocked: true, brokers: 3)
        let topic = try fixture.topic("random")
        let name = "kedge-\(fixture.unique)"
        let sender = try Sender(
            fixture, topic: topic, ["message.timeout.ms": "2000", "transaction.timeout.ms": "5000"])
        let requests: [(MockCluster.Request, [Int32])] = [
            (.addPartitionsToTransaction, [14, 15, 16, 51, 29]), (.addOffsetsToTransaction, [14, 15, 16, 51, 30]),
            (.transactionOffsetCommit, [14, 15, 16, 30]), (.endTransaction, [14, 15, 16, 51]),
            (.produce, [6, 7, 19, 20, 29, 59]), (.findCoordinator, [15]),
        ]
        let total = 300
        var sent = 0
        while sent < total {
            switch Int.random(in: 0..<6, using: &generator) {
            case 0:
                let (request, codes) = requests[Int.random(in: 0..<requests.count, using: &generator)]
                let count = Int.random(in: 1...3, using: &generator)
                let errors = (0..<count).map { _ in codes[Int.random(in: 0..<codes.count, using: &generator)] }
                fixture.mock?.answer(request, with: errors)
            case 1:
                fixture.mock?.setCoordinator(
                    ofTransactions: name, broker: Int32.random(in: 1...3, using: &generator))
            case 2:
                fixture.mock?.set(isUp: false)
                try fixture.loop.turn(for: .milliseconds(Int64.random(in: 1...200, using: &generator)))
                fixture.mock?.set(isUp: true)
            default:
                let count = min(total - sent, Int.random(in: 1...20, using: &generator))
                for _ in 0..<count {
                    sender.send("\(sent)")
                    sent += 1
                }
            }
            try fixture.loop.turn(for: .milliseconds(Int64.random(in: 1...60, using: &generator)))
        }
        #expect(try fixture.wait(for: .seconds(120)) { sender.acknowledged.count == total })
        #expect(sender.fatal.isEmpty, "\(sender.fatal)")
        #expect(sender.waiting.isEmpty)
        #expect(sender.reports.values.allSatisfy { $0 == 1 })
        let watcher = try fixture.watcher(topic, from: .beginning)
        #expect(try fixture.wait { watcher.ends > 0 })
        // The last of each: those before are of transactions that were aborted.
        var last: [String: Int] = [:]
        for (place, text) in watcher.texts.enumerated() { last[text] = place }
        let places = (0..<total).compactMap { last["\($0)"] }
        #expect(places.count == total)
        #expect(places == places.sorted())
    }
}
