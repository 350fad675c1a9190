import CShim
import Foundation
import Kafka
import Platform
import Records
import TestSupport
import Testing

/// A loop, a log, and the brokers of a test: the embedded ones, or those of KEDGE_TEST_BOOTSTRAP.
final class Fixture {
    let loop: EventLoop
    let recorder = LogRecorder()
    let mock: MockCluster?
    let bootstrap: String
    /// What no other test uses.
    let unique = UUID().uuidString.prefix(8)
    /// Swift lets go of what a test no longer mentions; clients are to live as long as the test.
    private var clients: [AnyObject] = []

    /// - Parameter mocked: whether the test needs what only the embedded brokers can do.
    init(mocked: Bool = false, brokers: Int = 1) throws {
        loop = try EventLoop()
        let external = ProcessInfo.processInfo.environment["KEDGE_TEST_BOOTSTRAP"] ?? ""
        if external.isEmpty || mocked {
            let cluster = try MockCluster.start(brokers: brokers, loop: loop, log: recorder.log)
            mock = cluster
            bootstrap = cluster.bootstrapServers
        } else {
            mock = nil
            bootstrap = external
        }
    }

    var log: Log { recorder.log }
    var lines: [String] { recorder.lines }
    func lines(containing text: String) -> [String] { lines.filter { $0.contains(text) } }

    /// Makes a topic. Real brokers make it when it is asked for, with as many partitions as they like.
    func topic(_ name: String, partitions: Int = 1) throws -> String {
        let topic = "\(name)-\(unique)"
        if let mock {
            try mock.createTopic(topic, partitions: partitions)
        } else {
            _ = try producer().producer.topic(named: topic)
            let watcher = try watcher(topic, from: .end)
            #expect(try wait { watcher.isReady }, "no topic \(topic) at \(bootstrap)")
        }
        return topic
    }

    /// For brokers on this machine: short waits.
    func properties(_ more: KeyValuePairs<String, String> = [:]) -> [Property] {
        [
            Property(name: "bootstrap.servers", value: bootstrap), Property(name: "reconnect.backoff.ms", value: "50"),
            Property(name: "reconnect.backoff.max.ms", value: "200"),
            Property(name: "statistics.interval.ms", value: "100"),
        ] + more.map { Property(name: $0.key, value: $0.value) }
    }

    func producer(_ more: KeyValuePairs<String, String> = [:]) throws -> TestProducer {
        let producer = TestProducer(
            try Producer(
                name: "kedge-test", properties: properties(["linger.ms": "5"]) + properties(more), loop: loop, log: log)
        )
        clients.append(producer)
        return producer
    }

    /// The mock answers an empty fetch only after fetch.wait.max.ms.
    func consumerProperties(_ more: KeyValuePairs<String, String> = [:]) -> [Property] {
        properties(["fetch.wait.max.ms": "20"]) + more.map { Property(name: $0.key, value: $0.value) }
    }

    func watcher(_ topic: String, from start: Watcher.Start) throws -> TestWatcher {
        let watcher = TestWatcher(
            try Watcher(
                name: "kedge-watch-\(unique)", topic: topic, from: start, properties: consumerProperties(), loop: loop,
                log: log))
        clients.append(watcher)
        return watcher
    }

    func bareWatcher(_ topic: String) throws -> Watcher {
        try Watcher(
            name: "kedge-watch", topic: topic, from: .end, properties: consumerProperties(), loop: loop, log: log)
    }

    func wait(for limit: Interval = .seconds(60), _ condition: () -> Bool) throws -> Bool {
        try loop.wait(for: limit, until: condition)
    }
}

/// A producer, the payloads it was given, and what was reported.
final class TestProducer {
    let producer: Producer
    private(set) var acknowledged: [UInt] = []
    private(set) var failures: [UInt: DeliveryFailure] = [:]
    private(set) var reports: [UInt: Int] = [:]
    private var payloads: [UInt: UnsafeMutableRawBufferPointer] = [:]
    private var next: UInt = 0

    init(_ producer: Producer) {
        self.producer = producer
        producer.onDelivery = { [unowned self] token, failure in
            reports[token.number, default: 0] += 1
            if let failure { failures[token.number] = failure } else { acknowledged.append(token.number) }
            // As an outbox would: the memory goes with the report.
            payloads.removeValue(forKey: token.number)?.deallocate()
        }
    }

    deinit {
        producer.onDelivery = nil
        producer.close()
        for payload in payloads.values { payload.deallocate() }
    }

    @discardableResult
    func offer(_ topic: TopicID, _ payload: [UInt8], key: String = "key", id: String = "pi/1/1") -> Offer {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: payload.count, alignment: 1)
        memory.copyBytes(from: payload)
        let token = DeliveryToken(next)
        let answer = Array(key.utf8).withUnsafeBytes { key in
            Array(id.utf8).withUnsafeBytes { id in
                producer.offer(
                    topic: topic, key: key, payload: UnsafeRawBufferPointer(memory), id: id, position: 0, token: token)
            }
        }
        if answer == .taken {
            payloads[next] = memory
            next += 1
        } else {
            memory.deallocate()
        }
        return answer
    }

    func offer(_ topic: TopicID, _ payload: String) -> Offer { offer(topic, Array(payload.utf8)) }
}

/// What a message was, for after its time.
struct Received: Equatable {
    let key: String
    let payload: [UInt8]
    let id: String?
    let partition: Int32
    let offset: Int64
    let timestamp: WallTime?

    init(_ message: Message) {
        key = String(decoding: message.key, as: UTF8.self)
        payload = Array(message.payload)
        id = message.header("id").map { String(decoding: $0, as: UTF8.self) }
        partition = message.partition
        offset = message.offset
        timestamp = message.timestamp
    }

    var text: String { String(decoding: payload, as: UTF8.self) }
}

final class TestWatcher {
    let watcher: Watcher
    private(set) var received: [Received] = []
    private(set) var isReady = false
    private(set) var ends = 0

    init(_ watcher: Watcher) {
        self.watcher = watcher
        watcher.onMessage = { [unowned self] in received.append(Received($0)) }
        watcher.onReady = { [unowned self] in isReady = true }
        watcher.onEnd = { [unowned self] in ends += 1 }
    }

    deinit {
        watcher.onMessage = nil
        watcher.onReady = nil
        watcher.onEnd = nil
        watcher.close()
    }

    var texts: [String] { received.map(\.text) }
}
