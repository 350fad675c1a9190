import CShim

/// A thread that runs what may block, and hands its results to the loop through an `eventfd`.
///
/// `perform` and completions run on the loop's thread, jobs on the worker's. The two lists between them are
/// guarded by one mutex; it is the only lock of the agent.
public final class Worker: WorkQueue {
    private struct Task {
        let number: UInt64
        let job: () -> Void
        let completion: () -> Void
    }

    /// What both threads see. The thread holds it by itself, so that a worker whose job never returns
    /// can be abandoned without its memory going away under it.
    private final class Shared {
        let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
        let wake: Descriptor
        var jobs: [Task] = []
        var done: [() -> Void] = []
        var stopping = false

        init(wake: Descriptor) {
            self.wake = wake
            pthread_mutex_init(mutex, nil)
            pthread_cond_init(condition, nil)
        }

        deinit {
            pthread_cond_destroy(condition)
            pthread_mutex_destroy(mutex)
            condition.deallocate()
            mutex.deallocate()
        }

        func run() {
            while true {
                pthread_mutex_lock(mutex)
                while jobs.isEmpty && !stopping { pthread_cond_wait(condition, mutex) }
                if stopping {
                    pthread_mutex_unlock(mutex)
                    return
                }
                let task = jobs.removeFirst()
                pthread_mutex_unlock(mutex)
                task.job()
                pthread_mutex_lock(mutex)
                done.append(task.completion)
                pthread_mutex_unlock(mutex)
                wake.signal()
            }
        }
    }

    private let shared: Shared
    private let loop: any Loop
    public private(set) var pending = 0
    private var lastNumber: UInt64 = 0

    /// Starts the thread.
    /// - Parameter name: shown by `top -H`; the kernel keeps 15 bytes.
    /// - Throws: `SystemError` when no thread or descriptor is to be had.
    public init(name: String, loop: any Loop) throws(SystemError) {
        shared = Shared(wake: try Descriptor.event())
        self.loop = loop
        let reference = Unmanaged.passRetained(shared)
        // 128 KiB holds every driver's frames; the default would reserve 8 MiB for each bus.
        let code = kedge_thread_start(name, 128 * 1024, { Worker.enter($0) }, reference.toOpaque())
        guard code == 0 else {
            reference.release()
            throw SystemError(call: "pthread_create", code: code, subject: name)
        }
        try loop.watch(shared.wake.number) { [unowned(unsafe) self] in self.deliver() }
    }

    private static func enter(_ argument: UnsafeMutableRawPointer?) {
        guard let argument else { return }
        Unmanaged<Shared>.fromOpaque(argument).takeRetainedValue().run()
    }

    public func perform(_ job: @escaping () -> Void, completion: @escaping () -> Void) {
        _ = perform(job, isUrgent: false, completion: completion)
    }

    public func perform(
        _ job: @escaping () -> Void, isUrgent: Bool, completion: @escaping () -> Void
    ) -> UInt64 {
        pending += 1
        lastNumber += 1
        pthread_mutex_lock(shared.mutex)
        shared.jobs.insert(
            Task(number: lastNumber, job: job, completion: completion), at: isUrgent ? 0 : shared.jobs.count)
        pthread_cond_signal(shared.condition)
        pthread_mutex_unlock(shared.mutex)
        return lastNumber
    }

    public func withdraw(_ job: UInt64) -> Bool {
        var task: Task?
        pthread_mutex_lock(shared.mutex)
        if let index = shared.jobs.firstIndex(where: { $0.number == job }) { task = shared.jobs.remove(at: index) }
        pthread_mutex_unlock(shared.mutex)
        if task == nil { return false }
        pending -= 1
        return true
    }

    private func deliver() {
        shared.wake.drain()
        pthread_mutex_lock(shared.mutex)
        let done = shared.done
        shared.done.removeAll(keepingCapacity: true)
        pthread_mutex_unlock(shared.mutex)
        for completion in done {
            pending -= 1
            completion()
        }
    }

    /// The thread ends after the job it is in; jobs that wait are dropped. It is not waited for: it may hang.
    deinit {
        loop.unwatch(shared.wake.number)
        pthread_mutex_lock(shared.mutex)
        shared.stopping = true
        pthread_cond_signal(shared.condition)
        pthread_mutex_unlock(shared.mutex)
    }
}
