import Platform

/// Hands sensors' jobs to one work queue and notices when one of them does not come back.
///
/// The queue works one job at a time, so a job runs since the later of its hand-over and the completion before it:
/// jobs that only wait in line behind working ones are never taken for late.
final class QueueWatch {
    private struct Entry {
        let sensor: PolledSensor
        let since: Instant
        var isLate: Bool
    }

    let queue: any WorkQueue
    private let loop: any Loop
    private let limit: Interval
    private var entries: [Entry] = []
    private var lastCompletion: Instant
    private var timer: TimerID?

    init(_ queue: any WorkQueue, loop: any Loop, limit: Interval) {
        self.queue = queue
        self.loop = loop
        self.limit = limit
        lastCompletion = loop.time.now
    }

    deinit { if let timer { loop.cancel(timer) } }

    /// Runs `job` on the queue, then `completion` on the loop. `sensor.timeOut` is called in between when the
    /// job is at it for longer than the limit.
    func perform(for sensor: PolledSensor, _ job: @escaping () -> Void, completion: @escaping () -> Void) {
        entries.append(Entry(sensor: sensor, since: loop.time.now, isLate: false))
        if timer == nil { arm(loop.time.now + limit) }
        queue.perform(job) { [self] in
            lastCompletion = loop.time.now
            if let index = entries.firstIndex(where: { $0.sensor === sensor }) { entries.remove(at: index) }
            completion()
        }
    }

    /// The timer is left to run when all jobs are done, so that measuring sets one timer per limit, not per job.
    private func arm(_ due: Instant) {
        timer = loop.at(due) { [unowned(unsafe) self] in self.check() }
    }

    private func check() {
        timer = nil
        let now = loop.time.now
        var next: Instant?
        var late: [PolledSensor] = []
        for index in entries.indices where !entries[index].isLate {
            let due = max(entries[index].since, lastCompletion) + limit
            if due <= now {
                entries[index].isLate = true
                late.append(entries[index].sensor)
            } else if next.map({ due < $0 }) ?? true {
                next = due
            }
        }
        if let next { arm(next) }
        for sensor in late { sensor.timeOut() }
    }
}
