import CRdkafka
import CShim
import Platform

/// Receives the messages of a few topics as the member of a consumer group: the commands' way in.
///
/// Nothing is committed but what `commit` is told, and, once a partition, the place where a first start began: so
/// what is sent while the agent restarts is received, however few messages there have been.
public final class Consumer {
    /// Gets every message, in order within its partition. The message is valid only during the call.
    public var onMessage: ((Message) -> Void)?
    /// Called when partitions come or go, with how many there are now. At zero no message can come.
    public var onAssignment: ((Int) -> Void)?
    /// Called when a partition that was assigned has its place: what is sent from now on will be received.
    public var onReady: ((MessagePlace) -> Void)?
    /// Called once, from the loop, when librdkafka can go on no longer: close this consumer and make a new one.
    public var onFatal: ((KafkaError) -> Void)?
    /// Called when the brokers are lost (`false`) and when anything from them shows them back (`true`).
    public var onLink: ((Bool) -> Void)?
    public private(set) var counters = ConsumerCounters()

    private let client: Client
    private let log: Log
    /// A member of a group asks something every heartbeat.interval.ms, and gets an answer as soon as the link permits.
    private let patience: Interval
    /// Partitions whose place is known to the group: by a message that was handed over, or by a commit.
    private var positioned: [MessagePlace] = []
    /// Partitions whose end was reached since they were assigned, or the brokers were back.
    private var ended: [MessagePlace] = []
    private var missed: [String] = []
    private var assigned = 0
    private var keepAlive: TimerID?
    private var hasFailed = false
    private var retirement: Retirement?

    /// - Parameters:
    ///   - name: `group.id` and `client.id` where the properties have none, by convention `kedge-<node>`.
    ///   - topics: names, or patterns that begin with `^`.
    ///   - properties: `KafkaSettings.consumer`.
    /// - Throws: `KafkaError` when librdkafka does not take the properties or the topics.
    public init(
        name: String, topics: [String], properties: [Property], loop: any Loop, log: Log
    ) throws(KafkaError) {
        self.log = log
        let configuration = try ClientConfiguration.consumer(name: name, properties: properties)
        let events =
            RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_STATS
            | RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT
        let pollInterval = configuration.number("max.poll.interval.ms") ?? 300_000
        patience = .milliseconds(Int64(configuration.number("heartbeat.interval.ms") ?? 3_000)) + .seconds(5)
        client = try Client(
            owning: configuration.start(RD_KAFKA_CONSUMER, events: events), isConsumer: true, name: "consumer",
            loop: loop, log: log)
        client.onEvent = { [unowned(unsafe) self] event, type in self.handle(event, type) }
        client.onError = { [unowned(unsafe) self] event, error in self.handle(error, of: event) }
        client.link.onChange = { [unowned(unsafe) self] isUp in
            if !isUp { ended = [] }
            onLink?(isUp)
        }
        let list = PartitionList(capacity: topics.count)
        for topic in topics { list.add(topic, -1) }
        let code = rd_kafka_subscribe(client.handle, list.pointer)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            throw KafkaError(code, place: "subscribing to \(topics.joined(separator: ", "))")
        }
        poll(every: .milliseconds(Int64(max(100, min(pollInterval / 3, 60_000)))))
    }

    deinit { close() }

    /// Whether the brokers answer; `nil` until that is known.
    public var isConnected: Bool? { client.link.isUp }

    /// Since when they do not; what they fell silent at, rather than when that was noticed. `nil` while they do.
    public var awaySince: Instant? { client.link.downSince }

    /// Whether nothing is handed over for now, neither messages nor what the brokers say. For a moment only: the group takes a
    /// member for dead that does not ask for max.poll.interval.ms, and rebalances wait for it.
    public var isHeld: Bool {
        get { client.isHeld }
        set { client.isHeld = newValue }
    }

    /// The group takes a member that does not poll for max.poll.interval.ms for dead, and without messages there
    /// would be no reason to poll.
    private func poll(every interval: Interval) {
        keepAlive = client.loop.after(interval) { [unowned(unsafe) self] in
            self.client.serve()
            if self.client.isOpen { self.poll(every: interval) }
        }
    }

    /// Tells the group that a message has been dealt with, as have all before it in its partition. Does not wait; a
    /// commit that fails is logged and counted, and the next one covers it.
    public func commit(_ place: MessagePlace) {
        guard client.isOpen else { return }
        commit(from: place, at: place.offset + 1)
    }

    public func commit(_ message: Message) { commit(message.place) }

    private func commit(from place: MessagePlace, at offset: Int64) {
        let list = PartitionList(capacity: 1)
        list.add(place.topic, place.partition, offset: offset)
        // To our queue by name: the result of rd_kafka_commit goes to callbacks only.
        let code = rd_kafka_commit_queue(client.handle, list.pointer, client.queue, nil, nil)
        if code != RD_KAFKA_RESP_ERR_NO_ERROR { commitFailed(code) }
    }

    private func commitFailed(_ code: rd_kafka_resp_err_t) {
        // Nothing to commit, or a partition that has gone to another member, who commits it.
        if code == RD_KAFKA_RESP_ERR__NO_OFFSET { return }
        counters.failedCommits += 1
        client.link.failed(KafkaError(code, place: "kafka consumer: commit"))
    }

    private func handle(_ event: OpaquePointer, _ type: rd_kafka_event_type_t) {
        switch type {
        case RD_KAFKA_EVENT_FETCH:
            while let message = rd_kafka_event_message_next(event) {
                guard message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else { continue }
                receive(Message(message))
            }
        case RD_KAFKA_EVENT_REBALANCE: rebalance(event)
        case RD_KAFKA_EVENT_OFFSET_COMMIT:
            let code = rd_kafka_event_error(event)
            if code == RD_KAFKA_RESP_ERR_NO_ERROR {
                counters.commits += 1
                client.link.succeeded()
            } else {
                commitFailed(code)
            }
        default: break
        }
    }

    private func receive(_ message: Message) {
        counters.received += 1
        client.link.succeeded()
        let place = message.place
        if !isPositioned(place) { settle(place) }
        onMessage?(message)
    }

    private func isPositioned(_ place: MessagePlace) -> Bool { positioned.contains { $0.isBeside(place) } }

    /// Whether what is received from the partition of `place` may have waited there for any time: its end was not reached yet.
    public func isBacklog(at place: MessagePlace) -> Bool { !ended.contains { $0.isBeside(place) } }

    private func settle(_ place: MessagePlace) {
        positioned.append(place)
        onReady?(place)
    }

    private func rebalance(_ event: OpaquePointer) {
        let list = rd_kafka_event_topic_partition_list(event)
        let count = Int(list?.pointee.cnt ?? 0)
        let isCooperative = rd_kafka_rebalance_protocol(client.handle).map { strcmp($0, "COOPERATIVE") == 0 } ?? false
        if rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            if isCooperative {
                report(rd_kafka_incremental_assign(client.handle, list))
                assigned += count
            } else {
                let code = rd_kafka_assign(client.handle, list)
                if code != RD_KAFKA_RESP_ERR_NO_ERROR { client.link.failed(KafkaError(code, place: "kafka consumer")) }
                (positioned, ended) = ([], [])
                assigned = count
            }
            client.link.succeeded()
            client.link.patience = patience
        } else {
            // Joining again may take long. But a session that nobody answered for ends like this, too.
            if rd_kafka_assignment_lost(client.handle) == 0 { client.link.patience = nil }
            if isCooperative {
                report(rd_kafka_incremental_unassign(client.handle, list))
                if let entries = list?.pointee.elems {
                    for index in 0..<count {
                        let gone = PartitionList.place(entries[index])
                        positioned.removeAll { $0.isBeside(gone) }
                        ended.removeAll { $0.isBeside(gone) }
                    }
                }
                assigned = max(0, assigned - count)
            } else {
                rd_kafka_assign(client.handle, nil)
                (positioned, ended) = ([], [])
                assigned = 0
            }
        }
        onAssignment?(assigned)
    }

    private func report(_ error: OpaquePointer?) {
        guard let error else { return }
        client.link.failed(KafkaError(rd_kafka_error_code(error), place: "kafka consumer: assignment"))
        rd_kafka_error_destroy(error)
    }

    /// - Returns: whether that was all there is to it.
    private func handle(_ error: KafkaError, of event: OpaquePointer) -> Bool {
        switch rd_kafka_resp_err_t(rawValue: error.code) {
        case RD_KAFKA_RESP_ERR__PARTITION_EOF:
            client.link.succeeded()
            guard let entry = rd_kafka_event_topic_partition(event) else { return true }
            let place = PartitionList.place(entry.pointee)
            rd_kafka_topic_partition_destroy(entry)
            if !ended.contains(where: { $0.isBeside(place) }) { ended.append(place) }
            if !isPositioned(place), place.offset >= 0 {
                // Where a first start begins. Without a commit the next start would begin at the end of that day.
                commit(from: place, at: place.offset)
                settle(place)
            }
            return true
        case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
            RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
            // The text names the topic.
            if !contains(missed, error.reason), missed.count < 32 {
                missed.append(error.reason)
                let remedy =
                    error.code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED.rawValue
                    ? "permit this client to read it" : "create it: it is taken up within a minute or so"
                log.warning("\(error.description); \(remedy)")
            }
            return true
        default:
            if error.isFatal, !hasFailed {
                hasFailed = true
                client.loop.after(.zero) { [self] in onFatal?(error) }
            }
            return false
        }
    }

    /// Leaves the group, so that it need not wait for session.timeout.ms, and ends the consumer, within about four
    /// seconds. What was received and not handed over is not committed, so it comes again at the next start.
    ///
    /// For the end of the process; where the loop has to go on, there is `leave`.
    public func close() {
        retirement?.cancel()
        guard client.isOpen else { return }
        silence()
        if client.isBusy {
            client.loop.after(.zero) { [self] in close() }
            return
        }
        client.abandon()
        let leaving = Leaving(client.handle)
        _ = ClosingThread.perform(within: .seconds(4)) { leaving.run() }
    }

    /// As `close`, without holding up the loop. From now on nothing is handed over or committed.
    /// - Parameters:
    ///   - queue: where the consumer is ended; it blocks for seconds there.
    ///   - done: called once, from the loop, when the consumer has left and ended, or that takes more than ten seconds. Not
    ///     after `close`.
    public func leave(on queue: any WorkQueue, _ done: @escaping () -> Void) {
        guard client.isOpen else {
            done()
            return
        }
        let retirement = Retirement(loop: client.loop, done)
        self.retirement = retirement
        leave(on: queue, retirement)
    }

    private func leave(on queue: any WorkQueue, _ retirement: Retirement) {
        guard client.isOpen else { return }
        silence()
        if client.isBusy {
            client.loop.after(.zero) { [self] in leave(on: queue, retirement) }
            return
        }
        client.abandon()
        let leaving = Leaving(client.handle)
        retirement.begin(on: queue) { leaving.run() }
    }

    private func silence() {
        (onMessage, onAssignment, onReady, onFatal, onLink) = (nil, nil, nil, nil, nil)
        if let keepAlive { client.loop.cancel(keepAlive) }
        keepAlive = nil
    }
}

/// What a consumer has done since it was made.
public struct ConsumerCounters: Equatable, Sendable {
    public internal(set) var received: UInt64 = 0
    public internal(set) var commits: UInt64 = 0
    public internal(set) var failedCommits: UInt64 = 0
}
