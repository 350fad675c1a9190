import Agent
import Configuration
import Foundation
import Hardware
import Kafka
import Platform
import Records
import TestSupport
import Testing

/// An agent at work: on the real loop, with embedded brokers and simulated hardware.
final class Plant {
    let loop: EventLoop
    let recorder = LogRecorder()
    let cluster: MockCluster
    private(set) var hardware: SimulatedHardware
    private(set) var agent: Agent!
    /// The agent's command topics that are received from.
    private(set) var receiving: [String] = []
    private let settings: AgentSettings
    private var kafka: KafkaSettings { settings.kafka }
    private var watchers: [Watched] = []
    private var sender: Sender?

    static let pump = LineReference(chip: nil, line: .offset(27))
    static let door = LineReference(chip: nil, line: .offset(17))

    /// - Parameters:
    ///   - configuration: everything but `node` (`pi-test`), `kafka`, and `buses` (`i2c-1` and `i2c-9`, simulated).
    ///   - producer, consumer: further properties of the one and the other.
    ///   - clock: machines that run tests need not have NTP.
    ///   - closing: where Kafka clients end that are replaced.
    ///   - prepare: what is done before the agent is made.
    init(
        _ configuration: String, producer: String = "", consumer: String = "", clock: String = "trust",
        wallClock: (any WallClock)? = nil, time: any TimeSource = SystemTime(), closing: (any WorkQueue)? = nil,
        prepare: (SimulatedHardware, MockCluster) throws -> Void = { _, _ in }
    ) throws {
        loop = try EventLoop(time: time)
        cluster = try MockCluster.start(loop: loop, log: recorder.log)
        for topic in ["sensors", "replies", "commands", "commands.pi-test"] {
            try cluster.createTopic(topic, partitions: 1)
        }
        let text = """
            node: pi-test
            kafka:
              all: { bootstrap.servers: "\(cluster.bootstrapServers)", reconnect.backoff.ms: 50, reconnect.backoff.max.ms: 200 }
              producer: { linger.ms: 5\(producer) }
              consumer: { fetch.wait.max.ms: 20\(consumer) }
            buses: { i2c-1: { simulated: true }, i2c-9: { simulated: true } }
            clock: \(clock)
            \(configuration)
            """
        let (settings, problems) = decode(text)
        #expect(problems == [])
        let decoded = try #require(settings)
        self.settings = decoded
        hardware = SimulatedHardware(loop: loop)
        try prepare(hardware, cluster)
        agent = try Agent(
            settings: decoded, hardware: hardware, loop: loop, log: recorder.log, wallClock: wallClock,
            closing: closing)
        agent.onReceiving = { [unowned self] in receiving.append($0) }
    }

    deinit {
        agent?.close()
        watchers = []
        sender = nil
        cluster.close()
    }

    /// Ends the agent as a crash would, as far as its replies go, and makes another one on hardware of its own.
    /// - Parameter between: done while there is none.
    func crash(_ between: () -> Void) throws {
        agent.onReceiving = nil
        agent.close()
        agent = nil
        between()
        receiving = []
        hardware = SimulatedHardware(loop: loop)
        // The first lets its files go when its threads have ended.
        #expect(
            try wait {
                agent = try? Agent(settings: settings, hardware: hardware, loop: loop, log: recorder.log)
                return agent != nil
            })
        try #require(agent != nil)
        agent.onReceiving = { [unowned self] in receiving.append($0) }
    }

    /// Everything in a topic, as a consumer gets it.
    func watch(_ topic: String) throws -> Watched {
        let watcher = try Watcher(
            name: "kedge-test", topic: topic, from: .beginning, properties: kafka.consumer, loop: loop,
            log: recorder.log)
        let watched = Watched(watcher)
        watchers.append(watched)
        return watched
    }

    /// Sends a command to the node's own topic.
    func send(_ payload: String) throws {
        if sender == nil {
            sender = Sender(
                try Producer(name: "kedge-send", properties: kafka.producer, loop: loop, log: recorder.log))
        }
        try sender?.send(payload, to: "commands.pi-test")
    }

    func wait(for limit: Interval = .seconds(60), _ condition: () -> Bool) throws -> Bool {
        try loop.wait(for: limit, until: condition)
    }

    /// Stops the agent; how many records were left.
    func stop() throws -> Int? {
        var left: Int?
        agent.stop { left = $0 }
        _ = try wait { left != nil }
        return left
    }

    /// Whether the pump's line is high, now and before.
    var pumpLevels: [Bool?] { (try? hardware.simulatedGPIO.history(Self.pump).map { $0.high }) ?? [] }

    func lines(_ part: String) -> [String] { recorder.lines.filter { $0.contains(part) } }
}

/// A message as a consumer sees it.
struct Record {
    let key: String
    let text: String
    let id: String
    let fields: [String: Any]

    init(_ message: Message) {
        key = String(decoding: message.key, as: UTF8.self)
        text = String(decoding: message.payload, as: UTF8.self)
        id = message.header("id").map { String(decoding: $0, as: UTF8.self) } ?? ""
        fields = (try? JSONSerialization.jsonObject(with: Data(text.utf8))) as? [String: Any] ?? [:]
    }

    var value: Double? { (fields["value"] as? NSNumber)?.doubleValue }
    var timestamp: Double? { (fields["timestamp"] as? NSNumber)?.doubleValue }
    /// The last part of the id.
    var sequence: UInt64? { id.split(separator: "/").last.flatMap { UInt64($0) } }
    /// The id without that part.
    var start: String { id.split(separator: "/").dropLast().joined(separator: "/") }
}

/// A watcher and what it got.
final class Watched {
    private(set) var records: [Record] = []
    private let watcher: Watcher

    init(_ watcher: Watcher) {
        self.watcher = watcher
        watcher.onMessage = { [unowned self] in records.append(Record($0)) }
    }

    deinit {
        watcher.onMessage = nil
        watcher.close()
    }

    func records(of key: String) -> [Record] { records.filter { $0.key == key } }
    var sequences: [UInt64] { records.compactMap { $0.sequence } }
    var isEveryIDThereOnce: Bool { Set(records.map { $0.id }).count == records.count }
}

/// A producer of commands, with their payloads.
private final class Sender {
    private let producer: Producer
    private var payloads: [UnsafeMutableRawBufferPointer] = []

    init(_ producer: Producer) { self.producer = producer }

    deinit {
        producer.close()
        for payload in payloads { payload.deallocate() }
    }

    func send(_ text: String, to topic: String) throws {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: text.utf8.count, alignment: 1)
        memory.copyBytes(from: text.utf8)
        payloads.append(memory)
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        let offer = producer.offer(
            topic: try producer.topic(named: topic), key: nothing, payload: UnsafeRawBufferPointer(memory), id: nothing,
            position: 0, token: DeliveryToken(UInt(payloads.count)))
        #expect(offer == .taken)
    }
}
