import CRdkafka
import CShim
import Platform

/// The end of an instance that nothing on the loop refers to any more. Takes as long as the resolver, which cannot be
/// interrupted.
final class Ending {
    private let handle: OpaquePointer

    init(_ handle: OpaquePointer) { self.handle = handle }

    func run() { rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE) }
}

/// The same for a consumer, which leaves its group first, so that the group need not wait for session.timeout.ms.
/// Nothing that comes meanwhile is handed over or committed.
final class Leaving {
    private let handle: OpaquePointer

    /// How often nothing may come for 20 ms before the brokers' answer is waited for no longer.
    private static var idleTurns: Int { 100 }

    init(_ handle: OpaquePointer) { self.handle = handle }

    func run() {
        if let queue = rd_kafka_queue_new(handle) {
            if let error = rd_kafka_consumer_close_queue(handle, queue) {
                rd_kafka_error_destroy(error)
            } else {
                serve(queue)
            }
            rd_kafka_queue_destroy(queue)
        }
        Ending(handle).run()
    }

    private func serve(_ queue: OpaquePointer) {
        var turns = Self.idleTurns
        while rd_kafka_consumer_closed(handle) == 0, turns > 0 {
            guard let event = rd_kafka_queue_poll(queue, 20) else {
                turns -= 1
                continue
            }
            if rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE { answer(event) }
            rd_kafka_event_destroy(event)
        }
    }

    /// librdkafka waits for an answer to each.
    private func answer(_ event: OpaquePointer) {
        let isCooperative = rd_kafka_rebalance_protocol(handle).map { strcmp($0, "COOPERATIVE") == 0 } ?? false
        guard isCooperative else {
            rd_kafka_assign(handle, nil)
            return
        }
        let list = rd_kafka_event_topic_partition_list(event)
        let isComing = rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS
        let error = isComing ? rd_kafka_incremental_assign(handle, list) : rd_kafka_incremental_unassign(handle, list)
        if let error { rd_kafka_error_destroy(error) }
    }
}

/// A thread of its own for one closing that is waited for, for a while: the end of the process does not wait for ever.
final class ClosingThread {
    private let job: () -> Void
    private let done: Descriptor

    private init(done: Descriptor, job: @escaping () -> Void) {
        self.done = done
        self.job = job
    }

    /// - Returns: whether `job` has returned within `limit`. If not, it goes on by itself.
    static func perform(within limit: Interval, _ job: @escaping () -> Void) -> Bool {
        do throws(SystemError) {
            let done = try Descriptor.event()
            let thread = Unmanaged.passRetained(ClosingThread(done: done, job: job))
            let code = kedge_thread_start(
                "kafka-destroy", 256 * 1_024, { ClosingThread.enter($0) }, thread.toOpaque())
            guard code == 0 else {
                thread.release()
                job()
                return true
            }
            var entry = pollfd(fd: done.number, events: Int16(POLLIN), revents: 0)
            let count = try systemCall("poll") { poll(&entry, 1, Int32(clamping: limit.millisecondsRoundedUp)) }
            return count > 0
        } catch {
            // Without a descriptor to wait on there is only the direct way.
            if error.call.equals("eventfd") { job() }
            return error.call.equals("eventfd")
        }
    }

    private static func enter(_ argument: UnsafeMutableRawPointer?) {
        guard let argument else { return }
        let thread = Unmanaged<ClosingThread>.fromOpaque(argument).takeRetainedValue()
        thread.job()
        thread.done.signal()
    }
}

/// Where clients that are replaced end: a thread that is made with the first of them. One ends after the other, and the
/// loop goes on meanwhile: it has timers that must not stand still, such as an actuator's `max_on`.
public final class ClosingQueue: WorkQueue {
    private let loop: any Loop
    private var worker: Worker?
    private var retry: TimerID?
    private var waiting: [(job: () -> Void, completion: () -> Void)] = []

    public init(loop: any Loop) { self.loop = loop }

    deinit { if let retry { loop.cancel(retry) } }

    public var pending: Int { waiting.count + (worker?.pending ?? 0) }

    public func perform(_ job: @escaping () -> Void, completion: @escaping () -> Void) {
        waiting.append((job, completion))
        if retry == nil { handOver() }
    }

    /// Without a thread it is tried again later: closing on the loop is what must not be.
    private func handOver() {
        do throws(SystemError) {
            let worker: Worker
            if let made = self.worker {
                worker = made
            } else {
                worker = try Worker(name: "kafka-close", loop: loop)
                self.worker = worker
            }
            let tasks = waiting
            waiting = []
            for task in tasks { worker.perform(task.job, completion: task.completion) }
        } catch {
            retry = loop.after(.seconds(5)) { [unowned(unsafe) self] in
                self.retry = nil
                self.handOver()
            }
        }
    }
}

/// What is to happen once a client that is replaced has ended, or after `patience`: librdkafka may take for ever to end
/// an instance, and that must not be the end of this path.
final class Retirement {
    /// How long the end of an instance that has given back all it held is waited for.
    static var patience: Interval { .seconds(10) }

    private let loop: any Loop
    private var done: (() -> Void)?
    private var timer: TimerID?

    init(loop: any Loop, _ done: @escaping () -> Void) {
        self.loop = loop
        self.done = done
    }

    deinit { cancel() }

    /// Runs `job` on `queue`.
    func begin(on queue: any WorkQueue, _ job: @escaping () -> Void) {
        timer = loop.after(Self.patience) { [unowned(unsafe) self] in
            self.timer = nil
            self.finish()
        }
        // Kept until then.
        queue.perform(job) { [self] in finish() }
    }

    /// Nothing is called any more.
    func cancel() {
        done = nil
        if let timer { loop.cancel(timer) }
        timer = nil
    }

    private func finish() {
        let done = self.done
        cancel()
        done?()
    }
}
