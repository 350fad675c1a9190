import CRdkafka
import Configuration
import Platform
import Records

/// Sends records to Kafka: a librdkafka producer whose events come through the loop.
///
/// Nothing here blocks but `close`, which is bounded.
public final class Producer: KafkaProducer {
    public var onDelivery: ((DeliveryToken, DeliveryFailure?) -> Void)?
    public var onRoom: (() -> Void)?
    /// Called once, from the loop, when librdkafka can go on no longer: close this producer and make a new one.
    /// Until then every offer is answered `full`; what is outstanding is reported at `close` at the latest.
    public var onFatal: ((KafkaError) -> Void)?
    /// Called when the brokers are lost (`false`) and when the first acknowledgement shows them back (`true`).
    public var onLink: ((Bool) -> Void)?
    /// Never called: nobody keeps a position for this producer.
    public var onPosition: ((CommittedPosition?) -> Void)?
    public var outboxName = ""
    public private(set) var counters = ProducerCounters()

    let client: Client
    private let log: Log
    private var topics: [Topic] = []
    private var awaitsRoom = false
    private var retry: TimerID?
    /// Ends with a fatal error and with `close`.
    private var isAccepting = true
    var retiring: Retiring?

    private struct Topic {
        let name: String
        let handle: OpaquePointer
        /// Whether its absence has been said.
        var isMissed = false
    }

    /// - Parameters:
    ///   - name: `client.id` where the properties have none, by convention `kedge-<node>`.
    ///   - properties: `KafkaSettings.producer`.
    /// - Throws: `KafkaError` when librdkafka does not take the properties.
    public init(name: String, properties: [Property], loop: any Loop, log: Log) throws(KafkaError) {
        self.log = log
        let configuration = try ClientConfiguration.producer(name: name, properties: properties)
        let events =
            RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_STATS
        client = try Client(
            owning: configuration.start(RD_KAFKA_PRODUCER, events: events), isConsumer: false, name: "producer",
            loop: loop, log: log)
        client.onEvent = { [unowned(unsafe) self] event, type in
            if type == RD_KAFKA_EVENT_DR { self.report(event) }
        }
        client.onError = { [unowned(unsafe) self] _, error in
            if error.isFatal { self.fail(error) }
            return false
        }
        client.afterEvent = { [unowned(unsafe) self] in
            self.offerRoom()
            self.endIfReported()
        }
        client.needsBroker = { [unowned(unsafe) self] in self.counters.outstanding > 0 }
        client.link.onChange = { [unowned(unsafe) self] isUp in self.onLink?(isUp) }
    }

    deinit { close() }

    /// Whether the brokers answer; `nil` until that is known.
    public var isConnected: Bool? { client.link.isUp }

    /// How many records were taken whose report has not come yet.
    public var outstanding: Int { counters.outstanding }

    /// The identifier of a topic for `offer`; the same for the same name. The topic itself is not made.
    /// - Throws: `KafkaError` for a name that Kafka does not permit.
    public func topic(named name: String) throws(KafkaError) -> TopicID {
        if let index = topics.firstIndex(where: { sameBytes($0.name, name) }) { return TopicID(index) }
        guard isLegal(topic: name) else {
            throw KafkaError(
                RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, place: "topic \"\(name)\"",
                reason: "a topic's name has 1 to 249 of the characters a-z, A-Z, 0-9, '.', '_' and '-'")
        }
        guard client.isOpen, let handle = rd_kafka_topic_new(client.handle, name, nil) else {
            throw KafkaError(rd_kafka_last_error(), place: "topic \"\(name)\"")
        }
        topics.append(Topic(name: name, handle: handle))
        return TopicID(topics.count - 1)
    }

    public func offer(
        topic: TopicID, key: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, id: UnsafeRawBufferPointer,
        position: Int64, token: DeliveryToken
    ) -> Offer {
        guard client.isOpen, isAccepting else { return .full }
        guard topics.indices.contains(topic.index) else { return .refused("a topic that this producer does not have") }
        let code = kedge_kafka_produce(
            client.handle, topics[topic.index].handle, payload.baseAddress, payload.count, key.baseAddress, key.count,
            id.baseAddress, id.count, UnsafeMutableRawPointer(bitPattern: token.number))
        return answer(code, topic, payload.count)
    }

    /// Offers a command: key and payload are copied.
    /// - Parameter signature: the value of the header `sig`; an empty one sends none.
    public func offer(
        command payload: UnsafeRawBufferPointer, topic: TopicID, key: UnsafeRawBufferPointer,
        signature: UnsafeRawBufferPointer, token: DeliveryToken
    ) -> Offer {
        guard client.isOpen, isAccepting else { return .full }
        guard topics.indices.contains(topic.index) else { return .refused("a topic that this producer does not have") }
        let code = kedge_kafka_produce_command(
            client.handle, topics[topic.index].handle, payload.baseAddress, payload.count, key.baseAddress, key.count,
            signature.baseAddress, signature.count, UnsafeMutableRawPointer(bitPattern: token.number))
        return answer(code, topic, payload.count)
    }

    private func answer(_ code: rd_kafka_resp_err_t, _ topic: TopicID, _ size: Int) -> Offer {
        switch code {
        case RD_KAFKA_RESP_ERR_NO_ERROR:
            counters.taken += 1
            counters.outstanding += 1
            return .taken
        case RD_KAFKA_RESP_ERR__QUEUE_FULL:
            // With nothing queued there is no room to wait for: the record alone is larger than the queue.
            if counters.outstanding == 0 && !client.isBusy {
                return refuse("\(size) bytes are more than queue.buffering.max.kbytes")
            }
            return full()
        case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
            return refuse("\(size) bytes are more than message.max.bytes")
        case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
            RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
            // Both can be put right while the outbox keeps the record.
            miss(topic, code)
            return full()
        case RD_KAFKA_RESP_ERR__FATAL, RD_KAFKA_RESP_ERR__STATE: return full()
        default:
            // After a fatal error librdkafka answers with that error's own code, before it has told us of it.
            return errorIsRetriable(code.rawValue) ? full() : refuse(errorReason(code.rawValue))
        }
    }

    private func full() -> Offer {
        counters.full += 1
        awaitsRoom = true
        return .full
    }

    private func refuse(_ reason: String) -> Offer {
        counters.refused += 1
        return .refused(reason)
    }

    /// Says that a topic is not there, and has another look in a while.
    private func miss(_ topic: TopicID, _ code: rd_kafka_resp_err_t) {
        if !topics[topic.index].isMissed {
            topics[topic.index].isMissed = true
            let error = KafkaError(code, place: "kafka producer: topic \(topics[topic.index].name)")
            log.error("\(error.description); create it, or permit it: its records wait until then")
        }
        guard retry == nil else { return }
        retry = client.loop.after(.seconds(5)) { [unowned(unsafe) self] in
            self.retry = nil
            // Asks the brokers about it; the answer finds its own way into librdkafka's picture of the cluster.
            var metadata: UnsafePointer<rd_kafka_metadata>?
            if rd_kafka_metadata(self.client.handle, 0, self.topics[topic.index].handle, &metadata, 1)
                == RD_KAFKA_RESP_ERR_NO_ERROR
            {
                rd_kafka_metadata_destroy(metadata)
            }
            self.offerRoom()
        }
    }

    private func report(_ event: OpaquePointer) {
        while let message = rd_kafka_event_message_next(event) {
            counters.outstanding -= 1
            let token = DeliveryToken(UInt(bitPattern: message.pointee._private))
            let code = message.pointee.err
            if code == RD_KAFKA_RESP_ERR_NO_ERROR {
                counters.acknowledged += 1
                counters.acknowledgedBytes += UInt64(message.pointee.len)
                client.link.succeeded()
                onDelivery?(token, nil)
            } else {
                let name = errorName(code.rawValue)
                counters.fail(name)
                let failure = DeliveryFailure(
                    name: name, reason: errorReason(code.rawValue), isRetriable: errorIsRetriable(code.rawValue),
                    isDoubtful: rd_kafka_message_status(message) != RD_KAFKA_MSG_STATUS_NOT_PERSISTED)
                onDelivery?(token, failure)
            }
        }
    }

    /// Room is there only when the event with the reports has been given back: it counts until then.
    private func offerRoom() {
        guard awaitsRoom, retry == nil, client.isOpen, isAccepting else { return }
        awaitsRoom = false
        onRoom?()
    }

    private func fail(_ error: KafkaError) {
        guard isAccepting else { return }
        isAccepting = false
        // Not from within the event: the producer may well be closed by it.
        client.loop.after(.zero) { [self] in onFatal?(error) }
    }

    /// Sends what waits for `linger.ms` at once, and calls `done` with the number of records still outstanding when
    /// that is none or after `limit`. The loop goes on meanwhile, and more may be offered.
    public func flush(within limit: Interval, _ done: @escaping (Int) -> Void) {
        flush(until: client.loop.time.now + limit, done)
    }

    /// Sends what waits for `linger.ms` now, without waiting for the brokers' answers: for a reply that somebody waits
    /// for. Takes a millisecond, so call it once for all that is to go.
    public func hasten() {
        guard counters.outstanding > 0, client.isOpen, !client.isBusy else { return }
        // librdkafka's threads ignore linger.ms while this runs: long enough for them to wake up.
        _ = rd_kafka_flush(client.handle, 1)
    }

    private func flush(until deadline: Instant, _ done: @escaping (Int) -> Void) {
        guard counters.outstanding > 0, client.isOpen, client.loop.time.now < deadline else {
            done(counters.outstanding)
            return
        }
        // librdkafka ignores linger.ms only while rd_kafka_flush runs, and that does not return before the reports
        // are served: so it runs in slices, and the loop between them.
        _ = rd_kafka_flush(client.handle, 5)
        client.loop.after(.milliseconds(1)) { [self] in flush(until: deadline, done) }
    }

    /// Ends the producer within about four seconds. What is outstanding is reported as failed, `_PURGE_QUEUE` or
    /// `_PURGE_INFLIGHT` (which the broker may have), as far as librdkafka reports on it in half that time.
    /// Called from `onDelivery`, it does so right after that.
    /// - Returns: for how many records no report could be had while their payloads may be read still: those must be left
    ///   where they are. 0 when the instance has ended.
    @discardableResult
    public func close() -> Int {
        cancelRetirement()
        guard client.isOpen else { return counters.outstanding }
        isAccepting = false
        if client.isBusy {
            // From within a delivery report: when that has returned.
            client.loop.after(.zero) { [self] in close() }
            return counters.outstanding
        }
        refuseAll()
        purge()
        var turns = 40
        while counters.outstanding > 0, turns > 0 {
            // Log lines and errors come this way too: only waiting counts.
            if !client.serveOne(waiting: .milliseconds(50)) { turns -= 1 }
        }
        releaseTopics()
        let hasEnded = client.destroy(within: .seconds(2))
        return hasEnded ? 0 : counters.outstanding
    }
}

extension Producer {
    /// Takes nothing any more.
    func refuseAll() {
        isAccepting = false
        if let retry { client.loop.cancel(retry) }
        retry = nil
        awaitsRoom = false
    }

    /// Has everything that is outstanding reported as failed, by librdkafka's threads in their time.
    func purge() {
        if counters.outstanding == 0 { return }
        rd_kafka_purge(
            client.handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING)
    }

    func releaseTopics() {
        for topic in topics { rd_kafka_topic_destroy(topic.handle) }
        topics = []
    }

    /// Leaves the instance to a call of librdkafka's that has not come back: nothing more is heard of it.
    /// - Returns: for how many records no report was had.
    func abandon() -> Int {
        client.abandon()
        return counters.outstanding
    }
}

/// Whether Kafka permits a topic of that name.
public func isLegal(topic name: String) -> Bool { NameRule.topic.allows(name) }
