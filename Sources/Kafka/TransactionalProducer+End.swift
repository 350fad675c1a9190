import CRdkafka
import Platform
import Records

/// The end of a producer that delivers in transactions.
extension TransactionalProducer {
    /// Ends the producer within some seconds. What is not committed is aborted, and reported as failed; but when a commit
    /// is under way that does not end in that time, its records are not reported: they are in `doubt`.
    @discardableResult
    public func close() -> Int {
        cancelRetirement()
        guard producer.client.isOpen else { return producer.counters.outstanding }
        if producer.client.isBusy {
            loop.after(.zero) { [self] in close() }
            return producer.counters.outstanding
        }
        let wasFatal = phase == .ended
        var isCommitted = false
        endPhase()
        // A commit needs the delivery reports to be taken meanwhile.
        let hasReturned = calls.wait(within: .milliseconds(1_500)) { [producer] in
            _ = producer.client.serveOne(waiting: .milliseconds(10))
        }
        if !wasFatal, step == .commit {
            isCommitted = hasReturned && calls.last == nil
            isDoubtful = !isCommitted
        } else if !wasFatal, hasReturned, taken > 0 {
            // Otherwise what is behind it would be held back from consumers until transaction.timeout.ms.
            calls.perform(.abort) { _ in }
            _ = calls.wait(within: .milliseconds(1_500)) { [producer] in
                _ = producer.client.serveOne(waiting: .milliseconds(10))
            }
        }
        calls.close()
        // A call that has not come back has the handle: it is left to it.
        let left = calls.isBusy ? producer.abandon() : producer.close()
        settleReports(isCommitted: isCommitted)
        return left
    }

    private func endPhase() {
        phase = .ended
        if let timer { loop.cancel(timer) }
        if let window { loop.cancel(window) }
        timer = nil
        window = nil
    }

    /// Passes the reports on, or keeps them as what the next producer must find out.
    private func settleReports(isCommitted: Bool) {
        if isDoubtful {
            doubt = Doubt(tokens: reports.map { $0.token }, position: position, before: committedPosition)
        } else {
            // It may have ended before it had learned anything.
            doubt = inherited
            for report in reports { pass(report, isCommitted ? nil : "the producer was closed") }
        }
        reports = []
        taken = 0
        onDelivery = nil
    }

    // MARK: Replaced

    /// As `KafkaProducer.retire`, after a fatal error: there is no transaction any more that could be ended. A call of
    /// librdkafka's that is under way has the handle; when it does not come back within ten seconds, the instance is left
    /// to it.
    public func retire(on queue: any WorkQueue, _ done: @escaping (Int) -> Void) {
        guard producer.client.isOpen else {
            done(producer.counters.outstanding)
            return
        }
        endPhase()
        onFatal = nil
        producer.refuseAll()
        patience = loop.after(Retirement.patience) { [unowned(unsafe) self] in
            patience = nil
            calls.whenIdle(nil)
            calls.close()
            concludeRetirement(producer.abandon(), done)
        }
        calls.whenIdle { [unowned(unsafe) self] in
            if let patience { loop.cancel(patience) }
            patience = nil
            calls.close()
            // It may never have been asked, and is a client of its own.
            if let reader {
                queue.perform {
                    reader.close()
                } completion: {
                }
            }
            reader = nil
            producer.retire(on: queue) { [unowned(unsafe) self] left in concludeRetirement(left, done) }
        }
    }

    private func concludeRetirement(_ left: Int, _ done: (Int) -> Void) {
        settleReports(isCommitted: false)
        done(left)
    }

    private func cancelRetirement() {
        if let patience { loop.cancel(patience) }
        patience = nil
        calls.whenIdle(nil)
        producer.cancelRetirement()
    }
}
