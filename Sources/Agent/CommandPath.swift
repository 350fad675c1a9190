import Actuators
import Commands
import Kafka
import Outbox
import Platform
import Records

/// Kafka consumer → Command → Actuators, and the replies' way back through the outbox.
final class CommandPath {
    /// Called when what is sent to a topic of commands is received from now on; with the topic.
    var onReceiving: ((String) -> Void)?
    /// Topics in whose partitions the consumer has its place.
    private(set) var receiving: [String] = []

    private let client: String
    private let topics: [String]
    private let properties: [Property]
    private let replyTopic: TopicID
    private let processor: CommandProcessor
    private let loop: any Loop
    private let log: Log
    private var consumer: Consumer?
    private var renewal: TimerID?

    /// - Parameter client: the consumer's group, one for each node.
    init(
        settings: AgentSettings, client: String, actuators: [Actuator], producer: LastingProducer, outbox: Outbox,
        loop: any Loop, log: Log
    ) throws(KafkaError) {
        self.client = client
        self.loop = loop
        self.log = log
        topics = settings.commands.topics
        properties = settings.kafka.consumer
        let replyTopic = try producer.topic(named: settings.commands.replies)
        self.replyTopic = replyTopic
        processor = CommandProcessor(
            node: settings.node, settings: settings.commands, actuators: actuators, time: loop.time, log: log
        ) { reply in
            let key = Array(reply.id.utf8)
            key.withUnsafeBytes { key in
                _ = outbox.append(topic: replyTopic, key: key, lane: .reply, maximumBytes: reply.maximumBytes) {
                    reply.encode(into: &$0)
                }
            }
        }
        try subscribe()
    }

    /// What has become of the messages so far.
    var counters: CommandCounters { processor.counters }

    private func subscribe() throws(KafkaError) {
        let consumer = try Consumer(name: client, topics: topics, properties: properties, loop: loop, log: log)
        consumer.onMessage = { [unowned(unsafe) self] message in
            // Committed before anything moves: after a crash a command is rather not done than done twice.
            self.consumer?.commit(message)
            processor.handle(
                payload: message.payload, topic: message.topic, partition: message.partition, offset: message.offset,
                timestampMilliseconds: message.timestamp?.milliseconds)
        }
        consumer.onReady = { [unowned(unsafe) self] place in
            if contains(receiving, place.topic) { return }
            receiving.append(place.topic)
            log.info("taking commands from \(place.topic)")
            onReceiving?(place.topic)
        }
        consumer.onFatal = { [unowned(unsafe) self] error in renew(after: error) }
        self.consumer = consumer
    }

    private func renew(after error: KafkaError) {
        log.error("\(error.description); the consumer is started anew")
        consumer?.close()
        consumer = nil
        receiving = []
        startAnew()
    }

    private func startAnew() {
        do throws(KafkaError) {
            try subscribe()
        } catch {
            log.error("\(error.description); the next attempt follows in 5 s")
            renewal = loop.after(.seconds(5)) { [unowned(unsafe) self] in
                renewal = nil
                startAnew()
            }
        }
    }

    /// Ends receiving, and leaves the group within some seconds.
    func close() {
        if let renewal { loop.cancel(renewal) }
        renewal = nil
        consumer?.close()
        consumer = nil
    }
}
