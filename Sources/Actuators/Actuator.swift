import Platform
import Records

/// One actuator: carries out orders one after the other, and sees to it that the output goes back to its safe value
/// at the end of a lease, at `max_on`, at the stop and after a failure.
///
/// - An order replaces the lease of the one before it. `max_on` is not replaced: it counts from when the output left
///   the safe value. What ends first counts.
/// - Before an order begins, it is held against what `Restraints` says: see `denial`.
/// - When a write or its read-back fails, the safe value is driven at once. When that fails, too, it is tried again
///   (`Backoff`) until it succeeds, and until then orders for any other value fail. See `ActuatorReturn.swift`.
/// - Leases run from the moment that the value is driven, on the monotonic clock.
public final class Actuator {
    /// The most orders that wait while one is being carried out.
    public static var queueCapacity: Int { 16 }

    public let plan: ActuatorPlan
    /// As last read back; the safe value at first.
    public internal(set) var value: Value
    /// Since when it is so.
    public internal(set) var since: Instant
    /// Why it is so.
    public internal(set) var cause = ChangeCause.start
    /// When the value ends by itself, or `nil`.
    public internal(set) var deadline: Instant?
    /// Whose it is for a while; `nil` when the lease is over.
    public var lease: Lease? {
        guard let granted, granted.until > loop.time.now else { return nil }
        return granted
    }
    /// The command that drove it last, or is about to; `nil` when it goes, or went, back to its safe value by itself.
    public internal(set) var holder: String?
    /// Since when the output has been at its safe value, as far as it can be known; `nil` when it may be anywhere.
    public internal(set) var safeSince: Instant?
    /// Called after each change of `value`.
    public var onChange: ((Actuator, Value, ChangeCause) -> Void)?
    /// Called when an order was carried out, and when `value`, `cause` or the certainty of them changed.
    public var onState: ((Actuator) -> Void)?

    /// Why it is to stay at its safe value: until that is `nil` again, orders for any other value are preempted.
    public var held: ChangeCause?

    public var id: String { plan.id }
    /// Whether the safe value is driven and was read back.
    public var isSafe: Bool { isConfirmed && sameValue(value, plan.safe) }
    /// Whether `value` was read back after it was driven, and nothing failed since.
    public internal(set) var isConfirmed: Bool
    /// Whether an order for it would have to wait.
    public var isBusy: Bool { current != nil || isReturning || !queue.isEmpty }
    /// Whether it should be at its safe value and cannot get there.
    public var isOutOfHand: Bool { backoff != nil }
    /// Whether it was driven away from its safe value, and is not known to be back.
    public var hasLeft: Bool { left != nil }

    struct Task {
        let order: Order
        /// Asked when the order's turn comes; a text is why it is too late then.
        let lateness: () -> String?
        let completion: (Outcome) -> Void
    }

    /// How the order that is being carried out will be answered once the output is back at its safe value.
    enum Verdict {
        case failed(String)
        case preempted(ChangeCause)
    }

    let output: OutputRunner
    let loop: any Loop
    let log: Log
    var queue: [Task] = []
    var current: Task?
    var verdict: Verdict?
    private var isRunning = false
    var isStopping = false
    /// The safe value is driven, but has not settled: orders wait.
    var isReturning = false
    /// Wait for the safe value, or for the failure to get there.
    var awaiting: [(Outcome) -> Void] = []
    /// `isConfirmed` as it was told last.
    private var wasConfirmed = true
    /// When the safe value was left.
    var left: Instant?
    var granted: Lease?
    var meter: RateMeter?
    var rivals: [Rival] = []
    var backoff: Backoff?
    var leaseTimer: TimerID?
    var retryTimer: TimerID?

    /// - Parameter driver: its output is at `plan.safe` already.
    public convenience init(_ plan: ActuatorPlan, driver: any ActuatorDriver, loop: any Loop, log: Log) {
        self.init(plan, output: OutputRunner(driver: driver, queue: nil, loop: loop), loop: loop, log: log)
        isConfirmed = true
        safeSince = loop.time.now
    }

    /// An actuator whose output is not known to be at its safe value yet: `fail` or `returnToSafe` comes next.
    init(_ plan: ActuatorPlan, output: OutputRunner, loop: any Loop, log: Log) {
        self.plan = plan
        self.output = output
        self.loop = loop
        self.log = log
        value = plan.safe
        since = loop.time.now
        isConfirmed = false
        meter = plan.restraints.rateLimit.map { RateMeter($0) }
        output.onReturn = { [unowned(unsafe) self] in hungTransferIsBack() }
        output.onFailure = { [unowned(unsafe) self] error in fail(error) }
    }

    deinit {
        // They point here.
        output.abandon()
        for timer in [leaseTimer, retryTimer] {
            if let timer { loop.cancel(timer) }
        }
    }

    /// Carries out `order` after those that wait; `completion` is called exactly once, perhaps before this returns.
    public func perform(_ order: Order, completion: @escaping (Outcome) -> Void) {
        perform(order, lateness: { nil }, completion: completion)
    }

    /// - Parameter lateness: asked when the order's turn has come; a text is why it is too late by then.
    public func perform(
        _ order: Order, lateness: @escaping () -> String?, completion: @escaping (Outcome) -> Void
    ) {
        if isStopping {
            completion(.preempted(reason: ChangeCause.stop.description, value: value))
        } else if queue.count >= Self.queueCapacity {
            completion(.refused(reason: joined(decimal(queue.count), " commands wait for this actuator already")))
        } else {
            queue.append(Task(order: order, lateness: lateness, completion: completion))
            run()
        }
    }

    /// Drives the safe value now; what is being carried out and what waits is preempted, and so is every later order.
    ///
    /// When the hardware fails it is tried again for as long as the loop runs: see `isSafe`.
    public func stop() {
        isStopping = true
        makeSafe(.stop) { _ in }
    }

    /// Drives the safe value now, whatever leases, `min_on` or a rate limit say; what is being carried out and what
    /// waits is preempted.
    /// - Parameter completion: called once, with `done` or `failed`. After a failure it is tried again all the same.
    public func makeSafe(_ cause: ChangeCause, completion: @escaping (Outcome) -> Void) {
        let waiting = queue
        queue.removeAll()
        granted = nil
        awaiting.append(completion)
        returnToSafe(cause, verdict: .preempted(cause))
        for task in waiting { task.completion(.preempted(reason: cause.description, value: value)) }
    }

    // MARK: Orders

    func run() {
        // A completion may hand over the next order; this loop takes it, so that nothing nests.
        if isRunning { return }
        isRunning = true
        while current == nil, !isReturning, !queue.isEmpty {
            let task = queue.removeFirst()
            current = task
            if let outcome = obstacle(task) { finish(outcome) } else { begin(task.order) }
        }
        isRunning = false
    }

    /// What keeps an order from being begun.
    private func obstacle(_ task: Task) -> Outcome? {
        if let reason = task.lateness() { return .expired(reason: reason) }
        if let denial = denial(of: task.order) { return denial }
        if let backoff, !sameValue(task.order.value, plan.safe) {
            return .failed(reason: joined("not back at the safe value yet: ", backoff.reason), value: output.readNow())
        }
        return nil
    }

    private func begin(_ order: Order) {
        cancel(&leaseTimer)
        cancel(&retryTimer)
        deadline = nil
        isConfirmed = false
        holder = order.command
        let isForSafeValue = sameValue(order.value, plan.safe)
        if !isForSafeValue {
            safeSince = nil
            meter?.take(at: loop.time.now)
        }
        startLease(order)
        output.set(order.value, isUrgent: isForSafeValue) { [unowned(unsafe) self] result in confirm(order, result) }
    }

    private func confirm(_ order: Order, _ result: OutputRunner.Result) {
        guard let found = result.found, result.error == nil, sameValue(found, order.value) else {
            fail(failure(result, driven: order.value))
            return
        }
        isConfirmed = true
        if sameValue(found, plan.safe) { arrived() }
        record(found, .command(id: order.command), isNews: true)
        finish(.done(found))
    }

    /// Another value than the one driven is an error.
    func failure(_ result: OutputRunner.Result, driven: Value) -> ActuatorError {
        if let error = result.error { return error }
        return .readBackDiffers(driven: driven, found: result.found ?? driven)
    }

    func finish(_ outcome: Outcome) {
        guard let task = current else { return }
        current = nil
        task.completion(outcome)
        run()
    }

    // MARK: Leases

    private func startLease(_ order: Order) {
        let now = loop.time.now
        var end: Instant?
        var cause = ChangeCause.leaseEnd
        if let hold = order.hold { end = now + hold }
        if !sameValue(order.value, plan.safe) {
            let start = left ?? now
            left = start
            if let maxOn = plan.maxOn {
                let limit = start + maxOn
                // The lease's end is the more telling cause of the two when they coincide.
                if end.map({ limit < $0 }) ?? true {
                    end = limit
                    cause = .maxOn
                }
            }
            deadline = end
            if let end {
                leaseTimer = loop.at(end) { [unowned(unsafe) self] in
                    self.leaseTimer = nil
                    self.granted = nil
                    self.returnToSafe(cause, verdict: .preempted(cause))
                }
            }
        }
        granted = nil
        guard order.hold != nil, let end else { return }
        granted = Lease(priority: order.priority, until: end, command: order.command)
    }

    // MARK: State

    /// - Parameter isNews: whether it is told even if nothing has changed.
    func record(_ found: Value, _ cause: ChangeCause, isNews: Bool = false) {
        let isSame = sameValue(found, value)
        if !isSame {
            value = found
            since = loop.time.now
        }
        if !isSame || isNews || wasConfirmed != isConfirmed {
            wasConfirmed = isConfirmed
            self.cause = cause
            onState?(self)
        }
        if !isSame { onChange?(self, found, cause) }
    }

    func cancel(_ timer: inout TimerID?) {
        if let running = timer { loop.cancel(running) }
        timer = nil
    }
}
