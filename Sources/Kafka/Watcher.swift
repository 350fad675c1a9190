import CRdkafka
import Platform

/// Reads all partitions of a topic without a group: `kedge watch`, and the replies that `kedge send` waits for.
///
/// Where to begin is settled before anything is read, in absolute offsets: once `onReady` has been called, nothing
/// that is sent to the topic can be missed. A topic that does not exist yet is waited for. Partitions that are added
/// later are not seen.
public final class Watcher {
    /// Where to begin.
    public enum Start: Equatable, Sendable {
        /// With the first message that is still there.
        case beginning
        /// With what is sent from now on.
        case end
        /// With so many messages of each partition that are there already.
        case last(Int)
    }

    /// Gets every message, in order within its partition. The message is valid only during the call.
    public var onMessage: ((Message) -> Void)?
    /// Called once, when the place in every partition is settled.
    public var onReady: (() -> Void)?
    /// Called each time that everything there is in the topic has been read.
    public var onEnd: (() -> Void)?
    /// Called when the brokers are lost (`false`) and when anything from them shows them back (`true`).
    public var onLink: ((Bool) -> Void)?

    private let topic: String
    private let start: Start
    private let client: Client
    private let log: Log
    private let worker: Worker
    private var retry: TimerID?
    private var isMissed = false
    private var isReady = false
    private var partitionsAtEnd: [Bool] = []

    /// The defaults are made for a few small commands; here whole topics are read. The user's value wins.
    private static var ample: [Property] {
        [
            Property(name: "queued.min.messages", value: "10000"),
            Property(name: "queued.max.messages.kbytes", value: "8192"),
            Property(name: "fetch.message.max.bytes", value: "1048576"),
        ]
    }

    /// Both blocking calls in turn take no longer than this.
    private static let patience: Int32 = 3_000

    /// - Parameters:
    ///   - name: `group.id` and `client.id` where the properties have none; nothing is ever committed.
    ///   - properties: `KafkaSettings.consumer`.
    /// - Throws: `KafkaError` when librdkafka does not take the properties or the topic's name.
    public init(
        name: String, topic: String, from start: Start, properties: [Property], loop: any Loop, log: Log
    ) throws(KafkaError) {
        self.topic = topic
        self.start = start
        self.log = log
        guard isLegal(topic: topic) else {
            throw KafkaError(RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, place: "topic \"\(topic)\"")
        }
        let configuration = try ClientConfiguration(
            .consumer, name: name, properties: Self.ample + properties,
            owned: [
                ("enable.auto.commit", "false"), ("enable.auto.offset.store", "false"),
                ("enable.partition.eof", "true"),
                // A topic whose name was mistyped must not come into being.
                ("allow.auto.create.topics", "false"),
                // What is deleted between the look-up and the first fetch was wanted from the beginning.
                ("auto.offset.reset", "earliest"),
            ])
        let events = RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_STATS
        let client = try Client(
            owning: configuration.start(RD_KAFKA_CONSUMER, events: events), isConsumer: true, name: "watcher",
            loop: loop, log: log)
        self.client = client
        do throws(SystemError) {
            worker = try Worker(name: "kafka-watch", loop: loop)
        } catch {
            client.destroy(within: .seconds(2))
            throw KafkaError(
                RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE, place: "watching \(topic)", reason: error.description)
        }
        client.onEvent = { [unowned(unsafe) self] event, type in
            if type == RD_KAFKA_EVENT_FETCH { self.receive(event) }
        }
        client.onError = { [unowned(unsafe) self] event, error in self.handle(error, of: event) }
        client.link.onChange = { [unowned(unsafe) self] isUp in self.onLink?(isUp) }
        locate()
    }

    deinit { close() }

    /// Looks the partitions and their offsets up, away from the loop: librdkafka has only blocking calls for that.
    private func locate() {
        let answer = Location(handle: client.handle, topic: topic)
        let timeout = Self.patience
        // The watcher is held until the answer is there: the handle may not go away under the call.
        worker.perform({ answer.find(timeout: timeout) }, completion: { [self] in settle(answer) })
    }

    private func settle(_ answer: Location) {
        guard client.isOpen else { return }
        guard answer.error == RD_KAFKA_RESP_ERR_NO_ERROR else {
            miss(answer.error)
            retry = client.loop.after(.milliseconds(500)) { [unowned(unsafe) self] in self.locate() }
            return
        }
        client.link.succeeded()
        if isMissed { log.info("topic \(topic) is there") }
        let list = PartitionList(capacity: answer.partitions.count)
        for partition in answer.partitions {
            let offset =
                switch start {
                case .beginning: partition.first
                case .end: partition.end
                case .last(let count): max(partition.first, partition.end - Int64(max(0, count)))
                }
            list.add(topic, partition.number, offset: offset)
        }
        partitionsAtEnd = Array(repeating: false, count: answer.partitions.count)
        let code = rd_kafka_assign(client.handle, list.pointer)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            log.error(KafkaError(code, place: "watching \(topic)").description)
            return
        }
        isReady = true
        onReady?()
    }

    private func miss(_ code: rd_kafka_resp_err_t) {
        switch code {
        case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
            RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
            if !isMissed { log.warning("waiting for topic \(topic), which does not exist yet") }
            isMissed = true
        default: client.link.failed(KafkaError(code, place: "watching \(topic)"))
        }
    }

    private func receive(_ event: OpaquePointer) {
        while let message = rd_kafka_event_message_next(event) {
            guard message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else { continue }
            client.link.succeeded()
            mark(message.pointee.partition, isAtEnd: false)
            onMessage?(Message(message))
        }
    }

    private func handle(_ error: KafkaError, of event: OpaquePointer) -> Bool {
        guard error.code == RD_KAFKA_RESP_ERR__PARTITION_EOF.rawValue else { return false }
        client.link.succeeded()
        guard let entry = rd_kafka_event_topic_partition(event) else { return true }
        mark(entry.pointee.partition, isAtEnd: true)
        rd_kafka_topic_partition_destroy(entry)
        if partitionsAtEnd.allSatisfy({ $0 }) { onEnd?() }
        return true
    }

    private func mark(_ partition: Int32, isAtEnd: Bool) {
        if partitionsAtEnd.indices.contains(Int(partition)) { partitionsAtEnd[Int(partition)] = isAtEnd }
    }

    /// Ends the watcher within about two seconds; later when a look-up is under way, as soon as that has ended.
    public func close() {
        guard client.isOpen else { return }
        if client.isBusy || worker.pending > 0 {
            onMessage = nil
            onReady = nil
            onEnd = nil
            client.loop.after(.milliseconds(20)) { [self] in close() }
            return
        }
        if let retry { client.loop.cancel(retry) }
        if isReady { rd_kafka_assign(client.handle, nil) }
        client.destroy(within: .seconds(2))
    }
}

/// The partitions of a topic and their offsets, as the brokers have them. Used by one thread at a time.
private final class Location {
    struct Partition {
        let number: Int32
        /// The first message that is still there.
        let first: Int64
        /// Where the next message will be.
        let end: Int64
    }

    private let handle: OpaquePointer
    private let topic: String
    private(set) var partitions: [Partition] = []
    private(set) var error = RD_KAFKA_RESP_ERR__IN_PROGRESS

    init(handle: OpaquePointer, topic: String) {
        self.handle = handle
        self.topic = topic
    }

    /// - Parameter timeout: of each call, in milliseconds.
    func find(timeout: Int32) {
        guard let handleOfTopic = rd_kafka_topic_new(handle, topic, nil) else {
            error = rd_kafka_last_error()
            return
        }
        defer { rd_kafka_topic_destroy(handleOfTopic) }
        var metadata: UnsafePointer<rd_kafka_metadata>?
        error = rd_kafka_metadata(handle, 0, handleOfTopic, &metadata, timeout)
        guard error == RD_KAFKA_RESP_ERR_NO_ERROR, let metadata else { return }
        defer { rd_kafka_metadata_destroy(metadata) }
        guard metadata.pointee.topic_cnt == 1, let found = metadata.pointee.topics else {
            error = RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
            return
        }
        error = found.pointee.err
        if error == RD_KAFKA_RESP_ERR_NO_ERROR, found.pointee.partition_cnt == 0 {
            error = RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
        }
        guard error == RD_KAFKA_RESP_ERR_NO_ERROR, let entries = found.pointee.partitions else { return }
        for index in 0..<Int(found.pointee.partition_cnt) {
            var first: Int64 = 0
            var end: Int64 = 0
            error = rd_kafka_query_watermark_offsets(handle, topic, entries[index].id, &first, &end, timeout)
            guard error == RD_KAFKA_RESP_ERR_NO_ERROR else { return }
            partitions.append(Partition(number: entries[index].id, first: first, end: end))
        }
    }
}
