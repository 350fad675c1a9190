import Kafka
import Platform
import Records

/// The producer as the outbox sees it, for the whole life of the agent: when librdkafka declares a fatal error (only
/// an idempotent producer can), a new producer takes the old one's place and is offered again what was outstanding.
final class LastingProducer: RecordTransport {
    var onDelivery: ((DeliveryToken, DeliveryFailure?) -> Void)? {
        didSet { connect() }
    }
    var onRoom: (() -> Void)? {
        didSet { connect() }
    }

    private let name: String
    private let properties: [Property]
    private let loop: any Loop
    private let log: Log
    private var producer: Producer
    private var topics: [String] = []
    private var renewal: TimerID?
    private var isClosed = false

    init(name: String, properties: [Property], loop: any Loop, log: Log) throws(KafkaError) {
        self.name = name
        self.properties = properties
        self.loop = loop
        self.log = log
        producer = try Producer(name: name, properties: properties, loop: loop, log: log)
    }

    deinit { if let renewal { loop.cancel(renewal) } }

    /// The same identifier for the same name, whichever producer is in place.
    func topic(named name: String) throws(KafkaError) -> TopicID {
        let topic = try producer.topic(named: name)
        if topic.index == topics.count { topics.append(name) }
        return topic
    }

    func offer(
        topic: TopicID, key: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, id: UnsafeRawBufferPointer,
        token: DeliveryToken
    ) -> Offer {
        producer.offer(topic: topic, key: key, payload: payload, id: id, token: token)
    }

    /// As `Producer.flush`.
    func flush(within limit: Interval, _ done: @escaping (Int) -> Void) { producer.flush(within: limit, done) }

    /// Ends the producer. What is outstanding is not reported any more: whoever ends it has counted that.
    func close() {
        isClosed = true
        producer.onDelivery = nil
        producer.onRoom = nil
        if let renewal { loop.cancel(renewal) }
        renewal = nil
        producer.close()
    }

    private func connect() {
        producer.onDelivery = onDelivery
        producer.onRoom = onRoom
        producer.onFatal = { [unowned(unsafe) self] error in renew(after: error) }
    }

    private func renew(after error: KafkaError) {
        if isClosed { return }
        log.error("\(error.description); the producer is started anew, and gets again what was not acknowledged")
        producer.close()
        startAnew()
    }

    private func startAnew() {
        do throws(KafkaError) {
            let successor = try Producer(name: name, properties: properties, loop: loop, log: log)
            // The topics keep their order, and so their identifiers.
            for topic in topics { _ = try successor.topic(named: topic) }
            producer = successor
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
