import Kafka
import Platform
import Records
import TestSupport
import Testing

/// Clients that are replaced end without holding up the loop, and nothing comes of them any more.
@Suite struct ClosingTests {
    /// Counts how long the loop stood still between two rounds of a timer.
    private final class Pulse {
        private let loop: EventLoop
        private var last: Instant
        private var longestBefore = Interval.zero
        /// The time since the last round counts.
        var longest: Interval { max(longestBefore, loop.time.now - last) }
        private var timer: TimerID?

        init(_ loop: EventLoop) {
            self.loop = loop
            last = loop.time.now
            beat()
        }

        deinit { if let timer { loop.cancel(timer) } }

        private func beat() {
            timer = loop.after(.milliseconds(10)) { [unowned self] in
                longestBefore = longest
                last = loop.time.now
                beat()
            }
        }
    }

    @Test func aConsumerLeavesWhileTheLoopGoesOn() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("leaving")
        let consumer = try Consumer(
            name: "leaving", topics: [topic], properties: fixture.consumerProperties(), loop: fixture.loop,
            log: fixture.log)
        var isReady = false
        consumer.onReady = { _ in isReady = true }
        #expect(try fixture.wait { isReady })
        // A commit and the leaving wait for an answer that takes its time.
        fixture.mock?.set(roundTrip: .seconds(4))
        consumer.commit(MessagePlace(topic: topic, partition: 0, offset: 5))
        let pulse = Pulse(fixture.loop)
        let queue = ClosingQueue(loop: fixture.loop)
        let before = fixture.loop.time.now
        var left = 0
        consumer.leave(on: queue) { left += 1 }
        #expect(try fixture.wait { left > 0 })
        // It did take long; what took long was not the loop.
        #expect(fixture.loop.time.now - before > .seconds(1))
        #expect(pulse.longest < .milliseconds(800))
        #expect(try fixture.wait { queue.pending == 0 })
        #expect(left == 1)
    }

    @Test func nothingIsHandedOverOrCommittedByAConsumerThatLeaves() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("leaving")
        let consumer = try Consumer(
            name: "leaving", topics: [topic], properties: fixture.consumerProperties(), loop: fixture.loop,
            log: fixture.log)
        var isReady = false
        var received = 0
        consumer.onReady = { _ in isReady = true }
        consumer.onMessage = { _ in received += 1 }
        #expect(try fixture.wait { isReady })
        let queue = HeldWorkQueue()
        var hasLeft = false
        consumer.leave(on: queue) { hasLeft = true }
        let producer = try fixture.producer()
        #expect(producer.offer(try producer.producer.topic(named: topic), "late") == .taken)
        #expect(try fixture.wait { producer.acknowledged.count == 1 })
        consumer.commit(MessagePlace(topic: topic, partition: 0, offset: 5))
        #expect(queue.pending == 1 && !hasLeft && received == 0)
        queue.runAll()
        #expect(hasLeft && received == 0 && consumer.counters.failedCommits == 0)
    }

    @Test(arguments: [true, false])
    func aProducerReportsEverythingBeforeItEnds(_ isIdempotent: Bool) throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("retired")
        let sender = try fixture.producer(["enable.idempotence": isIdempotent ? "true" : "false"])
        let id = try sender.producer.topic(named: topic)
        #expect(sender.offer(id, "first") == .taken)
        #expect(try fixture.wait { sender.acknowledged.count == 1 })
        // On their way, and without an answer.
        fixture.mock?.set(roundTrip: .seconds(60))
        for _ in 0..<100 { #expect(sender.offer(id, "more") == .taken) }
        try fixture.loop.turn(for: .milliseconds(100))
        let pulse = Pulse(fixture.loop)
        let queue = HeldWorkQueue()
        var left: Int?
        sender.producer.retire(on: queue) { left = $0 }
        #expect(sender.offer(id, "late") == .full)
        // All reports have come when the instance is handed over, and not before.
        #expect(try fixture.wait { queue.pending == 1 })
        #expect(sender.failures.count == 100 && left == nil)
        #expect(sender.failures.values.allSatisfy { $0.isRetriable })
        #expect(sender.offer(id, "late") == .full)
        queue.runAll()
        #expect(left == 0)
        #expect(sender.reports.values.allSatisfy { $0 == 1 })
        #expect(pulse.longest < .milliseconds(800))
    }

    /// An instance that never ends must not be the end of what it served.
    @Test func anInstanceThatDoesNotEndIsWaitedForTenSeconds() throws {
        let loop = ManualLoop()
        let log = LogRecorder()
        let producer = try Producer(
            name: "kedge-test", properties: [Property(name: "bootstrap.servers", value: "127.0.0.1:1")], loop: loop,
            log: log.log)
        let queue = HeldWorkQueue()
        var left: [Int] = []
        producer.retire(on: queue) { left.append($0) }
        loop.advance(by: .milliseconds(1))
        #expect(queue.pending == 1)
        loop.advance(by: .milliseconds(9_900))
        #expect(left.isEmpty)
        loop.advance(by: .milliseconds(200))
        #expect(left == [0])
        queue.runAll()
        #expect(left == [0])
    }

    @Test func aTransactionalProducerIsRetiredAfterItsCallHasReturned() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("transactions")
        fixture.mock?.set(roundTrip: .seconds(60))
        let settings = KafkaSettings(producer: fixture.properties(), consumer: fixture.consumerProperties())
        let producer = try TransactionalProducer(
            name: "kedge-test", identity: TransactionalProducer.Identity(client: "kedge-test", topic: topic),
            settings: DeliverySettings(mode: .exactlyOnce), kafka: settings, loop: fixture.loop, log: fixture.log)
        let pulse = Pulse(fixture.loop)
        let queue = ClosingQueue(loop: fixture.loop)
        var left: [Int] = []
        producer.retire(on: queue) { left.append($0) }
        #expect(try fixture.wait { !left.isEmpty })
        #expect(left == [0])
        #expect(pulse.longest < .milliseconds(800))
    }
}
