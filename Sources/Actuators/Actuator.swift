import Platform
import Records

/// One actuator: carries out orders one after the other, and sees to it that the output goes back to its safe value
/// at the end of a lease, at `max_on`, at the stop and after a failure.
///
/// - An order replaces the lease of the one before it. `max_on` is not replaced: it counts from when the output left
///   the safe value. What ends first counts.
/// - When a write or its read-back fails, the safe value is driven at once. When that fails, too, it is tried again
///   (`Backoff`) until it succeeds, and until then orders for any other value fail.
/// - Leases run from the moment that the value is driven, on the monotonic clock.
public final class Actuator {
    /// The most orders that wait while one is being carried out.
    public static var queueCapacity: Int { 16 }

    public let plan: ActuatorPlan
    /// As last read back; the safe value at first.
    public private(set) var value: Value
    /// Since when it is so.
    public private(set) var since: Instant
    /// When the value ends by itself, or `nil`.
    public private(set) var deadline: Instant?
    /// Called after each change of `value`.
    public var onChange: ((Actuator, Value, ChangeCause) -> Void)?

    public var id: String { plan.id }
    /// Whether the safe value is driven and was read back.
    public var isSafe: Bool { isConfirmed && sameValue(value, plan.safe) }

    private struct Task {
        let order: Order
        let completion: (Outcome) -> Void
    }

    /// How the order that is being carried out will be answered once the output is back at its safe value.
    private enum Verdict {
        case failed(String)
        case preempted(ChangeCause)
    }

    private let driver: any ActuatorDriver
    private let loop: any Loop
    private let log: Log
    private var queue: [Task] = []
    private var current: Task?
    private var verdict: Verdict?
    private var isRunning = false
    private var isStopping = false
    /// The safe value is driven, but has not settled: orders wait.
    private var isReturning = false
    /// The last value driven was read back, and nothing failed since.
    private var isConfirmed = true
    /// When the safe value was left.
    private var left: Instant?
    private var backoff: Backoff?
    private var leaseTimer: TimerID?
    private var settleTimer: TimerID?
    private var retryTimer: TimerID?

    /// - Parameter driver: its output is at `plan.safe` already.
    public init(_ plan: ActuatorPlan, driver: any ActuatorDriver, loop: any Loop, log: Log) {
        self.plan = plan
        self.driver = driver
        self.loop = loop
        self.log = log
        value = plan.safe
        since = loop.time.now
    }

    deinit {
        // They point here.
        for timer in [leaseTimer, settleTimer, retryTimer] {
            if let timer { loop.cancel(timer) }
        }
    }

    /// Carries out `order` after those that wait; `completion` is called exactly once, perhaps before this returns.
    public func perform(_ order: Order, completion: @escaping (Outcome) -> Void) {
        if isStopping {
            completion(.preempted(reason: ChangeCause.stop.description, value: value))
        } else if queue.count >= Self.queueCapacity {
            completion(.refused(reason: joined(decimal(queue.count), " commands wait for this actuator already")))
        } else {
            queue.append(Task(order: order, completion: completion))
            run()
        }
    }

    /// Drives the safe value now; what is being carried out and what waits is preempted, and so is every later order.
    ///
    /// When the hardware fails it is tried again for as long as the loop runs: see `isSafe`.
    public func stop() {
        isStopping = true
        let waiting = queue
        queue.removeAll()
        returnToSafe(.stop, verdict: .preempted(.stop))
        for task in waiting { task.completion(.preempted(reason: ChangeCause.stop.description, value: value)) }
    }

    // MARK: Orders

    private func run() {
        // A completion may hand over the next order; this loop takes it, so that nothing nests.
        if isRunning { return }
        isRunning = true
        while current == nil, !isReturning, !queue.isEmpty {
            let task = queue.removeFirst()
            current = task
            begin(task.order)
        }
        isRunning = false
    }

    private func begin(_ order: Order) {
        let isSafeValue = sameValue(order.value, plan.safe)
        if let backoff, !isSafeValue {
            finish(.failed(reason: joined("not back at the safe value yet: ", backoff.reason), value: readable()))
            return
        }
        cancel(&leaseTimer)
        cancel(&retryTimer)
        deadline = nil
        isConfirmed = false
        do throws(ActuatorError) {
            let settling = try driver.drive(order.value)
            if !isSafeValue { startLease(order) }
            settle(settling) { [unowned(unsafe) self] in self.confirm(order) }
        } catch {
            fail(error)
        }
    }

    /// Runs `action` now or, when the output needs time, later.
    private func settle(_ interval: Interval, _ action: @escaping () -> Void) {
        cancel(&settleTimer)
        if interval > .zero {
            settleTimer = loop.at(loop.time.now + interval) { [unowned(unsafe) self] in
                self.settleTimer = nil
                action()
            }
        } else {
            action()
        }
    }

    private func confirm(_ order: Order) {
        do throws(ActuatorError) {
            let found = try confirmed(order.value)
            isConfirmed = true
            if sameValue(found, plan.safe) { arrived() }
            record(found, .command(id: order.command))
            finish(.done(found))
        } catch {
            fail(error)
        }
    }

    /// Reads back; another value than the one driven is an error.
    private func confirmed(_ driven: Value) throws(ActuatorError) -> Value {
        let found = try driver.readBack()
        if !sameValue(found, driven) { throw .readBackDiffers(driven: driven, found: found) }
        return found
    }

    private func finish(_ outcome: Outcome) {
        guard let task = current else { return }
        current = nil
        task.completion(outcome)
        run()
    }

    // MARK: Leases

    private func startLease(_ order: Order) {
        let now = loop.time.now
        let start = left ?? now
        left = start
        var end: Instant?
        var cause = ChangeCause.leaseEnd
        if let hold = order.hold { end = now + hold }
        if let maxOn = plan.maxOn {
            let limit = start + maxOn
            // The lease's end is the more telling cause of the two when they coincide.
            if end.map({ limit < $0 }) ?? true {
                end = limit
                cause = .maxOn
            }
        }
        deadline = end
        guard let end else { return }
        leaseTimer = loop.at(end) { [unowned(unsafe) self] in
            self.leaseTimer = nil
            self.returnToSafe(cause, verdict: .preempted(cause))
        }
    }

    // MARK: The safe value

    /// The output may be anywhere: it goes to the safe value, as often as that takes.
    func fail(_ error: ActuatorError) {
        // The order was for the safe value while that was being tried again: the tries go on.
        let reason = error.description
        if backoff == nil { log.warning(joined("actuator ", plan.id, ": ", reason, "; going to the safe value")) }
        returnToSafe(.failure, verdict: .failed(reason))
    }

    /// - Parameter verdict: for the order that is being carried out, if there is one and it has none yet.
    private func returnToSafe(_ cause: ChangeCause, verdict: Verdict? = nil) {
        cancel(&leaseTimer)
        cancel(&settleTimer)
        cancel(&retryTimer)
        deadline = nil
        if current != nil, self.verdict == nil { self.verdict = verdict }
        isConfirmed = false
        isReturning = true
        do throws(ActuatorError) {
            let settling = try driver.drive(plan.safe)
            settle(settling) { [unowned(unsafe) self] in self.confirmSafe(cause) }
        } catch {
            tryAgain(error, cause)
        }
    }

    private func confirmSafe(_ cause: ChangeCause) {
        do throws(ActuatorError) {
            let found = try confirmed(plan.safe)
            isReturning = false
            isConfirmed = true
            arrived()
            record(found, cause)
            giveVerdict(found, addition: "")
        } catch {
            tryAgain(error, cause)
        }
    }

    private func tryAgain(_ error: ActuatorError, _ cause: ChangeCause) {
        var backoff = self.backoff ?? Backoff(reason: error.description)
        if self.backoff == nil {
            log.error(
                joined(
                    "actuator ", plan.id, ": cannot go to the safe value ", shown(plan.safe), ": ", backoff.reason,
                    "; tried again until it succeeds"))
        }
        let delay = backoff.next()
        self.backoff = backoff
        isReturning = false
        retryTimer = loop.at(loop.time.now + delay) { [unowned(unsafe) self] in
            self.retryTimer = nil
            self.returnToSafe(cause)
        }
        let found = readable()
        if let found { record(found, .failure) }
        giveVerdict(found, addition: joined("; the return to the safe value failed, too: ", error.description))
    }

    /// The output is at its safe value, and read back.
    private func arrived() {
        left = nil
        cancel(&retryTimer)
        guard let backoff else { return }
        self.backoff = nil
        log.info(
            joined(
                "actuator ", plan.id, ": at the safe value ", shown(plan.safe), " again, after ",
                decimal(backoff.count),
                " failed tries"))
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

    // MARK: State

    private func readable() -> Value? {
        do throws(ActuatorError) {
            return try driver.readBack()
        } catch {
            return nil
        }
    }

    private func record(_ found: Value, _ cause: ChangeCause) {
        if sameValue(found, value) { return }
        value = found
        since = loop.time.now
        onChange?(self, found, cause)
    }

    private func cancel(_ timer: inout TimerID?) {
        if let running = timer { loop.cancel(running) }
        timer = nil
    }
}

/// The waits between tries to reach the safe value: 100 ms, then twice as long each time, up to 5 s.
private struct Backoff {
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
