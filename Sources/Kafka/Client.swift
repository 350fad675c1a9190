import CRdkafka
import CShim
import Platform

/// One librdkafka instance: its handle, its event queue as a descriptor of the loop, its log and its link.
/// What is common to producer, consumers and the embedded broker.
final class Client {
    let handle: OpaquePointer
    let loop: any Loop
    let link: Link
    /// Gets every event that is not a log line or an error; of an error, those that `onError` does not take.
    var onEvent: ((OpaquePointer, rd_kafka_event_type_t) -> Void)?
    /// Whether it has dealt with the error.
    var onError: ((OpaquePointer, KafkaError) -> Bool)?
    /// Called after each event, when its memory is given back.
    var afterEvent: (() -> Void)?
    /// Whether there ought to be a connection now: one that is idle may be closed.
    var needsBroker: () -> Bool = { true }
    private(set) var isOpen = true

    /// All events come through it; `nil` once it has been given back.
    private(set) var queue: OpaquePointer?
    private let wake: Descriptor
    private var logLines: LogLines
    private var isServing = false
    /// Events wait until it is `false` again.
    var isHeld = false {
        // Their descriptor has been read.
        didSet { if oldValue, !isHeld { wake.signal() } }
    }

    /// How many events one turn of the loop handles, so that a flood does not hold up GPIO edges.
    private static let eventsPerTurn = 64

    /// - Parameter isConsumer: whether messages come: everything then goes through the consumer's queue.
    /// - Throws: `SystemError` as a `KafkaError` when no descriptor is to be had.
    init(
        owning handle: OpaquePointer, isConsumer: Bool, name: StaticString, loop: any Loop, log: Log
    ) throws(KafkaError) {
        self.handle = handle
        self.loop = loop
        link = Link(name: name, loop: loop, log: log)
        logLines = LogLines(name: name, loop: loop, log: log)
        do throws(SystemError) {
            wake = try Descriptor.event()
        } catch {
            rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE)
            throw KafkaError(RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE, place: name.text, reason: error.description)
        }
        if isConsumer {
            rd_kafka_poll_set_consumer(handle)
            queue = rd_kafka_queue_get_consumer(handle)
        } else {
            queue = rd_kafka_queue_get_main(handle)
        }
        guard let queue else {
            // Only a member of a group has a consumer's queue.
            rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE)
            isOpen = false
            throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG, place: name.text, reason: "group.id is empty")
        }
        rd_kafka_set_log_queue(handle, nil)
        var one: UInt64 = 1
        rd_kafka_queue_io_event_enable(queue, wake.number, &one, 8)
        do throws(SystemError) {
            try loop.watch(wake.number) { [unowned(unsafe) self] in self.serve() }
        } catch {
            releaseQueue()
            rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE)
            isOpen = false
            throw KafkaError(RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE, place: name.text, reason: error.description)
        }
        // What came before the descriptor was known to the queue.
        wake.signal()
    }

    deinit { destroy(within: .seconds(2)) }

    /// Handles the events that are there.
    func serve() {
        guard !isServing else { return }
        wake.drain()
        var left = Self.eventsPerTurn
        while !isHeld, serveOne(waiting: .zero) {
            left -= 1
            if left == 0 {
                wake.signal()
                return
            }
        }
    }

    /// Waits for one event and handles it.
    /// - Returns: whether there was one.
    func serveOne(waiting limit: Interval) -> Bool {
        guard isOpen, let queue else { return false }
        return serveOne(from: queue, waiting: limit)
    }

    func serveOne(from queue: OpaquePointer, waiting limit: Interval) -> Bool {
        guard let event = rd_kafka_queue_poll(queue, Int32(clamping: limit.millisecondsRoundedUp)) else { return false }
        let wasServing = isServing
        isServing = true
        handle(event)
        rd_kafka_event_destroy(event)
        isServing = wasServing
        afterEvent?()
        return true
    }

    private func handle(_ event: OpaquePointer) {
        let type = rd_kafka_event_type(event)
        switch type {
        case RD_KAFKA_EVENT_LOG: logLines.take(event)
        case RD_KAFKA_EVENT_ERROR:
            let error = error(of: event)
            if onError?(event, error) != true { link.failed(error) }
        case RD_KAFKA_EVENT_STATS:
            if let text = rd_kafka_event_stats(event) {
                link.observed(silence: silence(text), isNeeded: needsBroker())
            }
            onEvent?(event, type)
        default: onEvent?(event, type)
        }
    }

    /// STATISTICS.md: every broker has a `state`, and behind it `rxidle`, the microseconds since it was last heard.
    /// - Returns: the shortest of those that are connected; `nil` when none is.
    private func silence(_ statistics: UnsafePointer<CChar>) -> Interval? {
        var shortest: Interval?
        var rest = statistics
        while let found = strstr(rest, "\"state\":\"UP\"") {
            rest = UnsafePointer(found) + 1
            let idle = strstr(rest, "\"rxidle\":").map { strtoll($0 + 9, nil, 10) } ?? 0
            // Negative before the first answer.
            let silence = Interval.microseconds(Int64(max(0, idle)))
            shortest = shortest.map { min($0, silence) } ?? silence
        }
        return shortest
    }

    private func error(of event: OpaquePointer) -> KafkaError {
        let reason = rd_kafka_event_error_string(event).map { String(cString: $0) }
        guard rd_kafka_event_error_is_fatal(event) != 0 else {
            return KafkaError(rd_kafka_event_error(event), place: link.place, reason: reason)
        }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { text in
            guard let start = text.baseAddress else {
                return KafkaError(RD_KAFKA_RESP_ERR__FATAL, place: link.place, reason: reason, isFatal: true)
            }
            start[0] = 0
            let code = rd_kafka_fatal_error(handle, start, text.count)
            return KafkaError(code, place: link.place, reason: String(cString: start), isFatal: true)
        }
    }

    /// Whether an action of this client is running: closing must then wait for it to return.
    var isBusy: Bool { isServing }

    /// Gives the queue back, as must be before a consumer is closed.
    func releaseQueue() {
        guard let queue else { return }
        rd_kafka_queue_io_event_enable(queue, -1, nil, 0)
        rd_kafka_queue_destroy(queue)
        self.queue = nil
    }

    /// Hears no more of the instance, and does not end it: a call on another thread is still in it.
    func abandon() {
        guard isOpen else { return }
        isOpen = false
        loop.unwatch(wake.number)
        releaseQueue()
    }

    /// Ends the instance. librdkafka's threads are waited for no longer than `limit`: one that is in a name look-up
    /// cannot be interrupted, and ends in its own time.
    /// - Returns: whether it has ended.
    @discardableResult
    func destroy(within limit: Interval) -> Bool {
        guard isOpen else { return true }
        abandon()
        logLines.flush()
        let ending = Ending(handle)
        return ClosingThread.perform(within: limit) { ending.run() }
    }
}
