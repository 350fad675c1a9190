import Kafka
import Outbox
import Platform
import Records

/// The producer as the outbox sees it, for the whole life of the agent: when librdkafka declares a fatal error (only
/// an idempotent or a transactional producer can), a new producer takes the old one's place and is offered again what was
/// outstanding. Only a fenced one gets no successor: another agent is at work under this node's name.
final class LastingProducer: PositionedTransport, TopicDirectory {
    var onDelivery: ((DeliveryToken, DeliveryFailure?) -> Void)? {
        didSet { connect() }
    }
    var onRoom: (() -> Void)? {
        didSet { connect() }
    }
    var onPosition: ((CommittedPosition?) -> Void)? {
        didSet { connect() }
    }
    var outboxName = "" {
        didSet { connect() }
    }
    /// Called when a producer is gone and before another takes its place: of what it had and has not reported on nobody will
    /// report any more, but of the tokens given. The flag says whether their payloads may be read still.
    var onGone: (([DeliveryToken], Bool) -> Void)?
    /// Called once when another producer has taken this one's place at the brokers.
    var onFenced: ((KafkaError) -> Void)?

    private let name: String
    private let kafka: KafkaSettings
    private let delivery: DeliverySettings
    private let identity: TransactionalProducer.Identity
    private let loop: any Loop
    private let log: Log
    /// What makes producers, in place of librdkafka.
    private let make: Maker?
    private var producer: any KafkaProducer
    /// The same one, where delivery is exactly once.
    private var transactions: TransactionalProducer?
    private var doubt: TransactionalProducer.Doubt?
    private var topics: [String] = []
    private var renewal: TimerID?
    private var isClosed = false
    /// From a fatal error until there is a successor.
    private var isReplacing = false
    private var hasPosition = false
    /// What the brokers had when this start began.
    private var committed: CommittedPosition?
    private var awaitsDisk = false
    /// Stored records have positions: those that have none are not counted.
    private var hasPositions = false
    /// Where producers end that are replaced.
    private let closing: any WorkQueue
    private var lastRenewal: Instant?
    private var pause = Interval.zero

    typealias Maker = () throws(KafkaError) -> any KafkaProducer

    private static var longestPause: Interval { .seconds(60) }

    /// - Parameters:
    ///   - positionTopic: where the outbox's position is committed as an offset of partition 0.
    ///   - make: makes the producers of `at-least-once`, for tests; `nil` for librdkafka's.
    ///   - closing: where producers end that are replaced; `nil` is a thread for it.
    init(
        name: String, kafka: KafkaSettings, delivery: DeliverySettings = DeliverySettings(),
        positionTopic: String = "sensors", closing: (any WorkQueue)? = nil, loop: any Loop, log: Log,
        make: Maker? = nil
    ) throws(KafkaError) {
        self.closing = closing ?? ClosingQueue(loop: loop)
        self.name = name
        self.kafka = kafka
        self.delivery = delivery
        identity = TransactionalProducer.Identity(client: name, topic: positionTopic)
        self.loop = loop
        self.log = log
        self.make = make
        if delivery.mode == .exactlyOnce {
            let made = try TransactionalProducer(
                name: name, identity: identity, settings: delivery, kafka: kafka, loop: loop, log: log)
            transactions = made
            producer = made
        } else if let make {
            producer = try make()
        } else {
            producer = try Producer(name: name, properties: kafka.producer, loop: loop, log: log)
        }
    }

    deinit {
        if let renewal { loop.cancel(renewal) }
        producer.close()
    }

    /// The same identifier for the same name, whichever producer is in place, and also while none is.
    func topic(named name: String) throws(KafkaError) -> TopicID {
        if let index = topics.firstIndex(where: { sameBytes($0, name) }) { return TopicID(index) }
        if isReplacing, isLegal(topic: name) {
            topics.append(name)
            return TopicID(topics.count - 1)
        }
        let topic = try producer.topic(named: name)
        if topic.index == topics.count { topics.append(name) }
        return topic
    }

    func topicName(_ topic: TopicID) -> String? { topics.indices.contains(topic.index) ? topics[topic.index] : nil }

    func topicID(_ name: String) -> TopicID? {
        do throws(KafkaError) {
            return try topic(named: name)
        } catch {
            return nil
        }
    }

    func offer(
        topic: TopicID, key: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, id: UnsafeRawBufferPointer,
        position: Int64, token: DeliveryToken
    ) -> Offer {
        // What goes before the file's identity is known would be committed under another name.
        if awaitsDisk || isReplacing { return .full }
        return producer.offer(topic: topic, key: key, payload: payload, id: id, position: position, token: token)
    }

    /// Keeps the position of `outbox` in the transactions: what the brokers have of it already is not sent again, and
    /// nothing is sent before its file has been opened or cannot be.
    func follow(_ outbox: Outbox) {
        awaitsDisk = true
        hasPositions = true
        connect()
        outbox.isDrainHeld = true
        outbox.onDisk = { [unowned(unsafe) self, unowned(unsafe) outbox] in match(outbox) }
        onPosition = { [unowned(unsafe) self, unowned(unsafe) outbox] position in
            committed = position
            match(outbox)
        }
    }

    /// Compares the brokers' position with the file, when both are known.
    private func match(_ outbox: Outbox) {
        let name = outbox.storeIdentity
        if name.utf8.isEmpty {
            // No file for now: records go from memory, and leave the position where it is.
            guard outbox.diskStatus?.state == .down else { return }
        } else {
            guard hasPosition else { return }
            if let committed { outbox.settle(through: committed.number, of: committed.outbox) }
            outboxName = name
            outbox.isDrainHeld = false
        }
        guard awaitsDisk else { return }
        awaitsDisk = false
        onRoom?()
    }

    /// As `Producer.flush`.
    func flush(within limit: Interval, _ done: @escaping (Int) -> Void) { producer.flush(within: limit, done) }

    /// As `Producer.hasten`.
    func hasten() { producer.hasten() }

    /// Ends the producer. What is outstanding is not reported any more: whoever ends it has counted that.
    func close() {
        isClosed = true
        onGone = nil
        producer.onDelivery = nil
        producer.onRoom = nil
        producer.onPosition = nil
        // It may come in a later turn of the loop.
        producer.onFatal = nil
        if let renewal { loop.cancel(renewal) }
        renewal = nil
        producer.close()
    }

    private func connect() {
        producer.onDelivery = onDelivery
        producer.onRoom = onRoom
        // A successor's position is its own affair.
        if !hasPosition {
            producer.onPosition = { [unowned(unsafe) self] position in
                hasPosition = true
                onPosition?(position)
            }
        }
        producer.outboxName = outboxName
        transactions?.countsRecords = !hasPositions
        producer.onFatal = { [unowned(unsafe) self] error in renew(after: error) }
    }

    private func renew(after error: KafkaError) {
        if isClosed { return }
        if transactions != nil, error.isFenced {
            log.error(
                joined(
                    error.description, "; another agent works under the name ", name,
                    ": this one stops sending, so that nothing comes twice"))
            onFenced?(error)
            return
        }
        log.error("\(error.description); the producer is started anew, and gets again what was not acknowledged")
        isReplacing = true
        // The successor begins when this one can deliver nothing any more, so that the order of a sensor's records is kept.
        producer.retire(on: closing) { [unowned(unsafe) self] left in
            if isClosed { return }
            doubt = transactions?.doubt
            // One that hangs, or that has ended too soon, has not reported on everything.
            onGone?(doubt?.tokens ?? [], left > 0)
            startAnewInTime()
        }
    }

    /// At once for the first; what fails again and again must not keep the node busy.
    private func startAnewInTime() {
        let now = loop.time.now
        if let lastRenewal, now - lastRenewal < Self.longestPause * 2 {
            pause = max(.seconds(1), min(pause * 2, Self.longestPause))
            renewLater()
            return
        }
        pause = .zero
        startAnew()
    }

    private func renewLater() {
        renewal = loop.after(pause) { [unowned(unsafe) self] in
            renewal = nil
            startAnew()
        }
    }

    private func startAnew() {
        lastRenewal = loop.time.now
        do throws(KafkaError) {
            let successor: any KafkaProducer
            if delivery.mode == .exactlyOnce {
                let made = try TransactionalProducer(
                    name: name, identity: identity, settings: delivery, kafka: kafka, doubt: doubt,
                    loop: loop, log: log)
                transactions = made
                successor = made
            } else if let make {
                successor = try make()
            } else {
                successor = try Producer(name: name, properties: kafka.producer, loop: loop, log: log)
            }
            // The topics keep their order, and so their identifiers.
            for topic in topics { _ = try successor.topic(named: topic) }
            producer = successor
            isReplacing = false
            connect()
            onRoom?()
        } catch {
            log.error("\(error.description); the next attempt follows in 5 s")
            renewal = loop.after(.seconds(5)) { [unowned(unsafe) self] in
                renewal = nil
                startAnew()
            }
        }
    }
}
