import CRdkafka
import CShim
import Platform
import Records

/// Why a transaction call failed, and what is to be done about it.
struct TransactionError {
    let error: KafkaError
    let isRetriable: Bool
    let requiresAbort: Bool

    init(_ error: KafkaError) {
        self.error = error
        isRetriable = error.isRetriable && error.code != RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED.rawValue
        requiresAbort = false
    }

    /// Takes over librdkafka's error.
    init(owning error: OpaquePointer, place: StaticString) {
        self.error = KafkaError(
            rd_kafka_error_code(error), place: joined("kafka producer: ", string(place)),
            reason: String(cString: rd_kafka_error_string(error)), isFatal: rd_kafka_error_is_fatal(error) != 0)
        isRetriable = rd_kafka_error_is_retriable(error) != 0
        requiresAbort = rd_kafka_error_txn_requires_abort(error) != 0
        rd_kafka_error_destroy(error)
    }
}

/// librdkafka's transaction calls, one after the other, on a thread of their own: they block, for a second at most.
/// Each is repeatable where it left off.
final class TransactionCalls {
    enum Call {
        case initialise, begin, commit, abort
        case readPosition(PositionReader)
        case sendOffset(group: String, topic: String, offset: Int64, metadata: String)
    }

    /// What the last call came to; of use when `isBusy` is false.
    var last: TransactionError? { result.error }
    /// Whether a call has not come back.
    private(set) var isBusy = false
    private var isClosed = false
    private var onIdle: (() -> Void)?

    private let handle: OpaquePointer
    private let worker: Worker
    private var result: Result
    private let done: Descriptor

    /// Written by the worker's thread, read by the loop's after `done` or the completion.
    private final class Result {
        var error: TransactionError?
    }

    static var slice: Int32 { 1_000 }

    init(handle: OpaquePointer, loop: any Loop) throws(SystemError) {
        self.handle = handle
        result = Result()
        done = try Descriptor.event()
        worker = try Worker(name: "transactions", loop: loop)
    }

    /// Makes a call; `completion` runs on the loop.
    func perform(_ call: Call, _ completion: @escaping (TransactionError?) -> Void) {
        let result = Result()
        let handle = handle
        let done = done
        self.result = result
        done.drain()
        isBusy = true
        worker.perform {
            result.error = Self.run(call, handle)
            done.signal()
        } completion: { [self] in
            // Of an earlier call when `wait` has had it.
            if result === self.result { isBusy = false }
            if !isClosed { completion(result.error) }
            if isBusy { return }
            let action = onIdle
            onIdle = nil
            action?()
        }
    }

    /// Runs `action` when no call is under way, at once if that is so now; in place of one that waits for the same.
    func whenIdle(_ action: (() -> Void)?) {
        onIdle = isBusy ? action : nil
        if !isBusy { action?() }
    }

    /// No completion runs any more.
    func close() { isClosed = true }

    /// Waits for the call that is under way, if any.
    /// - Parameter serve: called again and again meanwhile; waits a little itself.
    /// - Returns: whether none is under way any more.
    func wait(within limit: Interval, serve: () -> Void) -> Bool {
        var turns = limit.milliseconds / 10
        while isBusy, turns > 0 {
            turns -= 1
            serve()
            var entry = pollfd(fd: done.number, events: Int16(POLLIN), revents: 0)
            if poll(&entry, 1, 2) > 0 { isBusy = false }
        }
        return !isBusy
    }

    private static func run(_ call: Call, _ handle: OpaquePointer) -> TransactionError? {
        let error: OpaquePointer?
        let place: StaticString
        switch call {
        case .initialise:
            place = "beginning with transactions"
            error = rd_kafka_init_transactions(handle, slice)
        case .begin:
            place = "beginning a transaction"
            error = rd_kafka_begin_transaction(handle)
        case .commit:
            place = "committing"
            error = rd_kafka_commit_transaction(handle, slice)
        case .abort:
            place = "aborting a transaction"
            error = rd_kafka_abort_transaction(handle, slice)
        case .readPosition(let reader): return reader.read().map { TransactionError($0) }
        case .sendOffset(let group, let topic, let offset, let metadata):
            place = "committing the outbox's position"
            let list = PartitionList(capacity: 1)
            list.add(topic, 0, offset: offset, metadata: metadata)
            guard let member = rd_kafka_consumer_group_metadata_new(group) else { return nil }
            error = rd_kafka_send_offsets_to_transaction(handle, list.pointer, member, slice)
            rd_kafka_consumer_group_metadata_destroy(member)
        }
        return error.map { TransactionError(owning: $0, place: place) }
    }
}
