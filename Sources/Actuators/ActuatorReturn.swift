import Platform
import Records

/// The way back to the safe value.
extension Actuator {
    /// The output may be anywhere: it goes to the safe value, as often as that takes.
    func fail(_ error: ActuatorError) {
        // The order was for the safe value while that was being tried again: the tries go on.
        let reason = error.description
        if backoff == nil { log.warning(joined("actuator ", plan.id, ": ", reason, "; going to the safe value")) }
        granted = nil
        safeSince = nil
        returnToSafe(.failure, verdict: .failed(reason))
    }

    /// - Parameter verdict: for the order that is being carried out, if there is one and it has none yet.
    func returnToSafe(_ cause: ChangeCause, verdict: Verdict? = nil) {
        cancel(&leaseTimer)
        cancel(&retryTimer)
        deadline = nil
        if current != nil, self.verdict == nil { self.verdict = verdict }
        holder = nil
        isConfirmed = false
        isReturning = true
        output.set(plan.safe, isUrgent: true) { [unowned(unsafe) self] result in confirmSafe(cause, result) }
    }

    private func confirmSafe(_ cause: ChangeCause, _ result: OutputRunner.Result) {
        guard let found = result.found, result.error == nil, sameValue(found, plan.safe) else {
            tryAgain(failure(result, driven: plan.safe), result.found, cause)
            return
        }
        isReturning = false
        isConfirmed = true
        arrived()
        record(found, cause)
        answerAwaiting(.done(found))
        giveVerdict(found, addition: "")
    }

    private func tryAgain(_ error: ActuatorError, _ shown: Value?, _ cause: ChangeCause) {
        var backoff = self.backoff ?? Backoff(reason: error.description)
        if self.backoff == nil {
            log.error(
                joined(
                    "actuator ", plan.id, ": cannot go to the safe value ", Actuators.shown(plan.safe), ": ",
                    backoff.reason, "; tried again until it succeeds"))
        }
        let delay = backoff.next()
        self.backoff = backoff
        isReturning = false
        safeSince = nil
        retryTimer = loop.at(loop.time.now + delay) { [unowned(unsafe) self] in
            self.retryTimer = nil
            self.returnToSafe(cause)
        }
        let found = shown ?? output.readNow()
        record(found ?? value, .failure)
        let reason = joined("the return to the safe value failed, too: ", error.description)
        answerAwaiting(.failed(reason: error.description, value: found))
        giveVerdict(found, addition: joined("; ", reason))
    }

    /// What the transfer has done in the meantime nobody knows, so the safe value is set once more, at once.
    func hungTransferIsBack() {
        if backoff == nil || isReturning { return }
        log.warning(joined("actuator ", plan.id, ": the bus is back"))
        returnToSafe(.failure)
    }

    /// The output is at its safe value, and read back.
    func arrived() {
        left = nil
        if safeSince == nil { safeSince = loop.time.now }
        cancel(&retryTimer)
        guard let backoff else { return }
        self.backoff = nil
        log.info(
            joined(
                "actuator ", plan.id, ": at the safe value ", shown(plan.safe), " again, after ",
                decimal(backoff.count),
                " failed tries"))
    }

    private func answerAwaiting(_ outcome: Outcome) {
        let awaiting = self.awaiting
        self.awaiting = []
        for completion in awaiting { completion(outcome) }
    }

    private func giveVerdict(_ found: Value?, addition: String) {
        let verdict = self.verdict
        self.verdict = nil
        switch verdict {
        case .failed(let reason): finish(.failed(reason: joined(reason, addition), value: found))
        case .preempted(let cause): finish(.preempted(reason: joined(cause.description, addition), value: found))
        case nil: run()
        }
    }
}

/// The waits between tries to reach the safe value: 100 ms, then twice as long each time, up to 5 s.
struct Backoff {
    /// Why the first try failed.
    let reason: String
    private(set) var count = 0
    private var delay = Interval.milliseconds(100)

    init(reason: String) { self.reason = reason }

    mutating func next() -> Interval {
        let wait = delay
        delay = min(delay * 2, .seconds(5))
        count += 1
        return wait
    }
}
