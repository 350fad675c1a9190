import Platform

/// A work queue whose jobs run when a test says so: what a bus or a disk looks like that takes its time.
public final class HeldWorkQueue: WorkQueue {
    private struct Task {
        let number: UInt64
        let job: () -> Void
        let completion: () -> Void
    }

    private var waiting: [Task] = []
    private var done: [Task] = []

    private var lastNumber: UInt64 = 0

    public init() {}

    public var pending: Int { waiting.count + done.count }

    public func perform(_ job: @escaping () -> Void, completion: @escaping () -> Void) {
        _ = perform(job, isUrgent: false, completion: completion)
    }

    public func perform(
        _ job: @escaping () -> Void, isUrgent: Bool, completion: @escaping () -> Void
    ) -> UInt64 {
        lastNumber += 1
        let task = Task(number: lastNumber, job: job, completion: completion)
        waiting.insert(task, at: isUrgent ? 0 : waiting.count)
        return lastNumber
    }

    public func withdraw(_ job: UInt64) -> Bool {
        let before = waiting.count
        waiting.removeAll { $0.number == job }
        return waiting.count < before
    }

    /// Runs the oldest job; its completion is still to come.
    public func runJob() {
        if waiting.isEmpty { return }
        let task = waiting.removeFirst()
        task.job()
        done.append(task)
    }

    /// Hands the completions of all jobs that ran to the loop.
    public func deliver() {
        let tasks = done
        done = []
        for task in tasks { task.completion() }
    }

    /// Runs all jobs with their completions, and those that they bring.
    public func runAll() {
        while pending > 0 {
            runJob()
            deliver()
        }
    }
}
