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
    /// One that is on its way out of the group; another begins when it has left.
    private var leaving: Consumer?
    /// Where consumers end.
    private let closing: any WorkQueue
    private var lastRenewal: Instant?
    private var renewal: TimerID?
    private var isClosed = false
    private var holdsMessages = false

    /// - Parameters:
    ///   - client: the consumer's group, one for each node.
    ///   - claims: the file of the claims; `nil` keeps them in memory.
    ///   - closing: where consumers end; `nil` is a thread for it.
    init(
        settings: AgentSettings, client: String, claims: ClaimDatabase?, actuators: [Actuator],
        producer: LastingProducer, outbox: Outbox, closing: (any WorkQueue)? = nil, loop: any Loop, log: Log
    ) throws(AgentError) {
        self.closing = closing ?? ClosingQueue(loop: loop)
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
        var worker: Worker?
        if claims != nil {
            do throws(SystemError) {
                worker = try Worker(name: "commands", loop: loop)
            } catch {
                throw .system(error)
            }
        }
        processor = CommandProcessor(
            node: settings.node, settings: settings.commands, actuators: actuators, loop: loop, log: log,
            journal: claims, journalQueue: worker
        ) { replies.send($0) }
        let time = loop.time
        processor.isClockSynchronised = { time.isSynchronised }
        disconnect = DisconnectGuard(
            actuators, standard: settings.commands.onDisconnect, loop: loop, log: log)
        processor.onUndelivered = { replies.send(id: $0, $1) }
        processor.deliveredReplies = { replies.delivered }
        replies.onDelivered = { [unowned(unsafe) self] in processor.noteDeliveries() }
        processor.onReread = { [unowned(unsafe) self] in reread() }
        processor.onHold = { [unowned(unsafe) self] isHeld in
            holdsMessages = isHeld
            consumer?.isHeld = isHeld
        }
        processor.onQuery = { for actuator in $0 { replies.publish(actuator) } }
        processor.onDealtWith = { [unowned(unsafe) self] topic, partition, offset in
            consumer?.commit(MessagePlace(topic: topic, partition: partition, offset: offset))
        }
        for actuator in actuators { actuator.onState = { replies.publish($0) } }
        if claims == nil {
            log.info(
                "commands.path is not set: the ids of commands are kept in memory only, and a crash forgets them")
        }
    }

    deinit {
        close()
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
    /// Whether the group is being left.
    var isLeaving: Bool { leaving != nil }

    /// Publishes the actuators' first states, takes up what the last start has left behind, and begins to receive.
    func start() {
        for actuator in actuators { replies.publish(actuator) }
        processor.start { [unowned(unsafe) self] in
            if !isClosed, consumer == nil { startAnew() }
        }
    }

    private func subscribe() throws(KafkaError) {
        let consumer = try Consumer(name: client, topics: topics, properties: properties, loop: loop, log: log)
        consumer.onMessage = { [unowned(unsafe) self, unowned(unsafe) consumer] message in
            processor.handle(
                payload: message.payload, signature: message.header(Keyring.header), topic: message.topic,
                partition: message.partition, offset: message.offset,
                timestampMilliseconds: message.timestamp?.milliseconds, isBacklog: consumer.isBacklog(at: message.place)
            )
        }
        consumer.onReady = { [unowned(unsafe) self] place in
            if contains(receiving, place.topic) { return }
            receiving.append(place.topic)
            log.info("taking commands from \(place.topic)")
            onReceiving?(place.topic)
        }
        consumer.onLink = { [unowned(unsafe) self] isUp in
            disconnect.linkChanged(isUp: isUp, since: self.consumer?.awaySince)
        }
        consumer.onFatal = { [unowned(unsafe) self] error in renew(after: error) }
        consumer.isHeld = holdsMessages
        self.consumer = consumer
    }

    private func renew(after error: KafkaError) {
        log.error("\(error.description); the consumer is started anew")
        renew()
    }

    /// A new member of the group begins where the last commit was.
    private func reread() {
        if isClosed || consumer == nil { return }
        log.info("commands whose replies found no room are read again")
        renew()
    }

    private func renew() {
        receiving = []
        disconnect.linkChanged(isUp: false)
        leave { [unowned(unsafe) self] in
            if isClosed { return }
            // At once for the first; what fails again and again must not keep the node busy.
            let now = loop.time.now
            let isSoon = lastRenewal.map { now - $0 < Self.pause * 2 } ?? false
            lastRenewal = now
            if isSoon { renewLater() } else { startAnew() }
        }
    }

    /// Nothing is received or committed from now on; `done` when the group knows, or will not answer.
    private func leave(_ done: @escaping () -> Void) {
        guard let consumer else {
            done()
            return
        }
        leaving = consumer
        self.consumer = nil
        consumer.leave(on: closing) { [unowned(unsafe) self] in
            leaving = nil
            done()
        }
    }

    private static var pause: Interval { .seconds(5) }

    private func renewLater() {
        renewal = loop.after(Self.pause) { [unowned(unsafe) self] in
            renewal = nil
            startAnew()
        }
    }

    private func startAnew() {
        do throws(KafkaError) {
            try subscribe()
        } catch {
            log.error("\(error.description); the next attempt follows in 5 s")
            renewLater()
        }
    }

    /// Ends receiving, and leaves the group, without holding up the loop: see `isLeaving`. What is under way is answered all
    /// the same.
    func stop() {
        endRenewal()
        leave {}
    }

    /// Ends receiving, within some seconds.
    func close() {
        endRenewal()
        consumer?.close()
        leaving?.close()
        (consumer, leaving) = (nil, nil)
    }

    private func endRenewal() {
        isClosed = true
        if let renewal { loop.cancel(renewal) }
        renewal = nil
    }

    /// Keeps that the last replies have arrived, so that the next start does not send them again.
    func noteDeliveries() { processor.keepDeliveries() }
}
