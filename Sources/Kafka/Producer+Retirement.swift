import CRdkafka
import Platform

/// The end of a producer that is replaced, while the loop goes on.
extension Producer {
    /// How long the reports of what is outstanding are waited for. librdkafka's threads make them at once, but for one that
    /// is in a name look-up.
    private static var reportTurns: Int { 30 }

    /// What `retire` was told, until it has come to its end.
    final class Retiring {
        let queue: any WorkQueue
        let retirement: Retirement
        /// Seconds that are left for the reports.
        var turns = Producer.reportTurns
        var timer: TimerID?

        init(queue: any WorkQueue, _ retirement: Retirement) {
            self.queue = queue
            self.retirement = retirement
        }
    }

    /// As `KafkaProducer.retire`. Records whose reports do not come within half a minute are given up; that of an instance that
    /// does not end within ten seconds after them is not waited for.
    public func retire(on queue: any WorkQueue, _ done: @escaping (Int) -> Void) {
        guard client.isOpen else {
            done(counters.outstanding)
            return
        }
        onFatal = nil
        refuseAll()
        let retirement = Retirement(loop: client.loop) { [unowned(unsafe) self] in
            retiring = nil
            done(counters.outstanding)
        }
        retiring = Retiring(queue: queue, retirement)
        purgeAgain()
    }

    /// Again and again: what was on its way from one queue to another is missed by one purge.
    private func purgeAgain() {
        guard let retiring else { return }
        purge()
        // Never from within an event, nor within the call of `retire`.
        let isOver = counters.outstanding == 0 || retiring.turns == 0
        retiring.turns -= 1
        retiring.timer = client.loop.after(isOver ? .zero : .seconds(1)) { [unowned(unsafe) self] in
            retiring.timer = nil
            if isOver { end(retiring) } else { purgeAgain() }
        }
    }

    /// Called after each event.
    func endIfReported() {
        guard let retiring, counters.outstanding == 0, retiring.timer != nil, !client.isBusy else { return }
        end(retiring)
    }

    private func end(_ retiring: Retiring) {
        guard client.isOpen else { return }
        if client.isBusy {
            retiring.timer = client.loop.after(.zero) { [unowned(unsafe) self] in
                retiring.timer = nil
                end(retiring)
            }
            return
        }
        if let timer = retiring.timer { client.loop.cancel(timer) }
        retiring.timer = nil
        releaseTopics()
        client.abandon()
        let ending = Ending(client.handle)
        retiring.retirement.begin(on: retiring.queue) { ending.run() }
    }

    func cancelRetirement() {
        guard let retiring else { return }
        if let timer = retiring.timer { client.loop.cancel(timer) }
        retiring.timer = nil
        retiring.retirement.cancel()
        self.retiring = nil
    }
}
