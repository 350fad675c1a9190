import Platform

/// A work queue whose jobs run when a test says so: what a bus or a disk looks like that takes its time.
public final class HeldWorkQueue: WorkQueue {
    private struct Task {
        let job: () -> Void
        let completion: () -> Void
    }

    private var waiting: [Task] = []
    private var done: [Task] = []

    public init() {}

    public var pending: Int { waiting.count + done.count }

    public func perform(_ job: @escaping () -> Void, completion: @escaping () -> Void) {
        waiting.append(Task(job: job, completion: completion))
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
