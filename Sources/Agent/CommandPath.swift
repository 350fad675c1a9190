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
    private let replies: ReplyPath
    private let processor: CommandProcessor
    private let disconnect: DisconnectGuard
    private let actuators: [Actuator]
    private let loop: any Loop
    private let log: Log
    private var consumer: Consumer?
    private var renewal: TimerID?
    private var isClosed = false
    private var holdsMessages = false

    /// - Parameters:
    ///   - client: the consumer's group, one for each node.
    ///   - path: the file of the claims; `nil` keeps them in memory.
    init(
        settings: AgentSettings, client: String, path: String?, actuators: [Actuator], producer: LastingProducer,
        outbox: Outbox, loop: any Loop, log: Log
    ) throws(AgentError) {
        self.client = client
        self.loop = loop
        self.log = log
        self.actuators = actuators
        topics = settings.commands.topics
        properties = settings.kafka.consumer
        do throws(KafkaError) {
            replies = try ReplyPath(settings: settings, producer: producer, outbox: outbox, loop: loop, log: log)
        } catch {
            throw .kafka(error)
        }
        let replies = replies
        var journal: ClaimDatabase?
        var worker: Worker?
        if let path {
            journal = ClaimDatabase(path: path)
            do throws(SystemError) {
                worker = try Worker(name: "commands", loop: loop)
            } catch {
                throw .system(error)
            }
        }
        processor = CommandProcessor(
            node: settings.node, settings: settings.commands, actuators: actuators, loop: loop, log: log,
            journal: journal, journalQueue: worker
        ) { replies.send($0) }
        let time = loop.time
        processor.isClockSynchronised = { time.isSynchronised }
        disconnect = DisconnectGuard(
            actuators, standard: settings.commands.onDisconnect, loop: loop, log: log)
        processor.onUndelivered = { replies.send(id: $0, $1) }
        processor.deliveredReplies = { replies.delivered }
        replies.onDelivered = { [unowned(unsafe) self] in processor.noteDeliveries() }
        processor.onHold = { [unowned(unsafe) self] isHeld in
            holdsMessages = isHeld
            consumer?.isHeld = isHeld
        }
        processor.onQuery = { for actuator in $0 { replies.publish(actuator) } }
        processor.onDealtWith = { [unowned(unsafe) self] topic, partition, offset in
            consumer?.commit(MessagePlace(topic: topic, partition: partition, offset: offset))
        }
        for actuator in actuators { actuator.onState = { replies.publish($0) } }
        if path == nil {
            log.info(
                "commands.path is not set: the ids of commands are kept in memory only, and a crash forgets them")
        }
    }

    deinit {
        processor.stop()
        replies.onDelivered = nil
        for actuator in actuators { actuator.onState = nil }
    }

    /// Whether the wall clock can be trusted; until it can, commands with `expires` are rejected.
    var isClockSynchronised: () -> Bool {
        get { processor.isClockSynchronised }
        set { processor.isClockSynchronised = newValue }
    }

    /// What has become of the messages so far.
    var counters: CommandCounters { processor.counters }
    /// Whether nothing waits for the disk.
    var isIdle: Bool { processor.isIdle }

    /// Publishes the actuators' first states, takes up what the last start has left behind, and begins to receive.
    func start() {
        for actuator in actuators { replies.publish(actuator) }
        processor.start { [unowned(unsafe) self] in
            if !isClosed, consumer == nil { startAnew() }
        }
    }

    private func subscribe() throws(KafkaError) {
        let consumer = try Consumer(name: client, topics: topics, properties: properties, loop: loop, log: log)
        consumer.onMessage = { [unowned(unsafe) self] message in
            processor.handle(
                payload: message.payload, signature: message.header(Keyring.header), topic: message.topic,
                partition: message.partition, offset: message.offset,
                timestampMilliseconds: message.timestamp?.milliseconds)
        }
        consumer.onReady = { [unowned(unsafe) self] place in
            if contains(receiving, place.topic) { return }
            receiving.append(place.topic)
            log.info("taking commands from \(place.topic)")
            onReceiving?(place.topic)
        }
        consumer.onLink = { [unowned(unsafe) self] isUp in disconnect.linkChanged(isUp: isUp) }
        consumer.onFatal = { [unowned(unsafe) self] error in renew(after: error) }
        consumer.isHeld = holdsMessages
        self.consumer = consumer
    }

    private func renew(after error: KafkaError) {
        log.error("\(error.description); the consumer is started anew")
        consumer?.close()
        consumer = nil
        receiving = []
        disconnect.linkChanged(isUp: false)
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

    /// Ends receiving, and leaves the group within some seconds. What is under way is answered all the same.
    func close() {
        isClosed = true
        if let renewal { loop.cancel(renewal) }
        renewal = nil
        consumer?.close()
        consumer = nil
    }

    /// Keeps that the last replies have arrived, so that the next start does not send them again.
    func noteDeliveries() { processor.keepDeliveries() }
}
