import Hardware
import Platform
import Records

/// Sets an output and tells how that went: drive, let settle, read back. On the loop for a driver that does not block,
/// on a bus's thread for one that may.
///
/// On a bus a hung transfer never holds up the loop or another output. It is given up after `limit`; from then on
/// nothing is asked of the driver until its thread is back, because nobody knows what the transfer may yet do. So the
/// actuator must set its safe value again then: `onReturn` tells it. What is overtaken before its thread has begun it is
/// withdrawn, and never driven; the safe value goes ahead of all that waits for the bus.
///
/// A value that is more than one write (`ActuatorDriver.pause`) gets its steps until the next one is set.
final class OutputRunner {
    /// How setting a value ended.
    struct Result {
        /// What could be read back.
        let found: Value?
        let error: ActuatorError?
    }

    /// The longest that a bus may take for one job, the wait for its thread included.
    static var limit: Interval { .seconds(2) }

    /// Called when the thread of a hung transfer is back.
    var onReturn: (() -> Void)?
    /// Called when a step of a value that was set already fails: the output may be anywhere.
    var onFailure: ((ActuatorError) -> Void)?

    /// What the bus's thread works on. It belongs to the thread from hand-over to completion.
    private final class Job {
        let driver: any ActuatorDriver
        let time: any TimeSource
        /// What to drive; `nil` only reads back.
        var value: Value?
        /// Does a step instead of either.
        var isStep = false
        /// When the driver wants its next step.
        var pause: Interval?
        var deadline = Instant(nanoseconds: 0)
        var settling = Interval.zero
        var found: Value?
        var error: ActuatorError?

        init(driver: any ActuatorDriver, time: any TimeSource) {
            self.driver = driver
            self.time = time
        }

        func run(limit: Interval) {
            (settling, found, error, pause) = (.zero, nil, nil, nil)
            // Given up while it waited: it must not move anything any more.
            if time.now >= deadline {
                error = .timeout(limit)
                return
            }
            do throws(ActuatorError) {
                if isStep {
                    try driver.step()
                } else {
                    if let value { settling = try driver.drive(value) }
                    if settling <= .zero { found = try driver.readBack() }
                }
                pause = driver.pause
            } catch let failure {
                error = failure
                // What it shows now is worth telling even so.
                found = readable(driver)
            }
        }
    }

    private let driver: any ActuatorDriver
    private let queue: (any WorkQueue)?
    private let loop: any Loop
    private let job: Job
    private var value: Value?
    private var done: ((Result) -> Void)?
    /// Counts the calls of `set`; what belongs to an older one is thrown away.
    private var generation: UInt64 = 0
    private var isOut = false
    /// The queue's number of the job that is out.
    private var number: UInt64 = 0
    private var hasHung = false
    /// The value goes ahead of what waits for the bus.
    private var isUrgent = false
    /// The value is to be driven as soon as the thread is back.
    private var isWaiting = false
    private var settleTimer: TimerID?
    private var limitTimer: TimerID?
    private let stepJob: Job
    private var stepTimer: TimerID?
    private var isStepOut = false
    private var stepNumber: UInt64 = 0

    /// - Parameter queue: the bus's; `nil` runs the driver on the loop.
    init(driver: any ActuatorDriver, queue: (any WorkQueue)?, loop: any Loop) {
        self.driver = driver
        self.queue = queue
        self.loop = loop
        job = Job(driver: driver, time: loop.time)
        stepJob = Job(driver: driver, time: loop.time)
        stepJob.isStep = true
    }

    /// Ends it: nothing is called back any more. A job that has begun ends by itself.
    func abandon() {
        done = nil
        onReturn = nil
        onFailure = nil
        isWaiting = false
        generation &+= 1
        cancelTimers()
        planStep(nil)
        withdraw()
    }

    /// Drives `value` in place of whatever is being set; `done` is called once, perhaps before this returns, and not
    /// at all when another call comes first.
    /// - Parameter isUrgent: on a bus, it goes ahead of all transfers that have not begun.
    func set(_ value: Value, isUrgent: Bool, _ done: @escaping (Result) -> Void) {
        cancelTimers()
        planStep(nil)
        generation &+= 1
        self.value = value
        self.done = done
        isWaiting = false
        guard queue != nil else {
            driveHere(value)
            return
        }
        if hasHung {
            conclude(nil, .timeout(Self.limit))
            return
        }
        startLimit()
        withdraw()
        self.isUrgent = isUrgent
        if isOut { isWaiting = true } else { handOver(value) }
    }

    /// What the output shows now; `nil` where that cannot be had at once.
    func readNow() -> Value? { queue == nil ? readable(driver) : nil }

    // MARK: On the loop

    private func driveHere(_ value: Value) {
        do throws(ActuatorError) {
            let settling = try driver.drive(value)
            planStep(driver.pause)
            settle(settling) { [unowned(unsafe) self] in readHere() }
        } catch {
            conclude(nil, error)
        }
    }

    private func readHere() {
        do throws(ActuatorError) {
            conclude(try driver.readBack(), nil)
        } catch {
            conclude(nil, error)
        }
    }

    /// Runs `action` now or, when the output needs time, later.
    private func settle(_ interval: Interval, _ action: @escaping () -> Void) {
        if interval <= .zero {
            action()
            return
        }
        settleTimer = loop.after(interval) { [unowned(unsafe) self] in
            self.settleTimer = nil
            action()
        }
    }

    // MARK: On a bus

    private func startLimit() {
        limitTimer = loop.after(Self.limit) { [unowned(unsafe) self] in
            self.limitTimer = nil
            self.hasHung = self.isOut
            self.isWaiting = false
            self.withdraw()
            if self.hasHung, !self.isOut {
                // It was not this one that hung. The next in turn tells when the thread is back.
                self.isUrgent = true
                self.handOver(nil)
            }
            self.conclude(nil, .timeout(Self.limit))
        }
    }

    private func handOver(_ value: Value?) {
        guard let queue else { return }
        let (job, turn) = (job, generation)
        job.value = value
        job.deadline = hasHung ? loop.time.now : loop.time.now + Self.limit
        isOut = true
        // Kept until the job is back: the thread may return to it long after the actuator has gone.
        number = queue.perform(
            { job.run(limit: Self.limit) }, isUrgent: isUrgent, completion: { [self] in back(turn) })
    }

    /// Takes back what the thread has not begun.
    private func withdraw() {
        guard let queue else { return }
        if isOut, queue.withdraw(number) { isOut = false }
        if isStepOut, queue.withdraw(stepNumber) { isStepOut = false }
    }

    private func back(_ turn: UInt64) {
        isOut = false
        if hasHung {
            hasHung = false
            onReturn?()
        } else if turn == generation {
            cancelTimers()
            if job.value != nil { planStep(job.pause) }
            if let error = job.error {
                conclude(job.found, error)
            } else if job.settling > .zero {
                settle(job.settling) { [unowned(unsafe) self] in
                    startLimit()
                    handOver(nil)
                }
            } else {
                conclude(job.found, nil)
            }
        } else if isWaiting {
            isWaiting = false
            handOver(value)
        }
    }

    // MARK: Steps

    /// Does the driver's next step after `pause`, in place of one that is planned; `nil` plans none.
    private func planStep(_ pause: Interval?) {
        if let stepTimer { loop.cancel(stepTimer) }
        stepTimer = nil
        guard let pause else { return }
        stepTimer = loop.after(pause) { [unowned(unsafe) self] in
            self.stepTimer = nil
            self.step(pause)
        }
    }

    private func step(_ pause: Interval) {
        guard let queue else {
            do throws(ActuatorError) {
                try driver.step()
                planStep(driver.pause)
            } catch {
                stepFailed(error)
            }
            return
        }
        // One of an older value, on a slow bus.
        if isStepOut {
            planStep(pause)
            return
        }
        let (job, turn) = (stepJob, generation)
        job.deadline = loop.time.now + Self.limit
        isStepOut = true
        stepNumber = queue.perform(
            { job.run(limit: Self.limit) }, isUrgent: false,
            completion: { [self] in
                isStepOut = false
                if turn != generation { return }
                if let error = job.error { stepFailed(error) } else { planStep(job.pause) }
            })
    }

    private func stepFailed(_ error: ActuatorError) {
        if done == nil {
            onFailure?(error)
        } else {
            cancelTimers()
            generation &+= 1
            conclude(nil, error)
        }
    }

    // MARK: The end

    private func conclude(_ found: Value?, _ error: ActuatorError?) {
        let done = self.done
        self.done = nil
        done?(Result(found: found, error: error))
    }

    private func cancelTimers() {
        for timer in [settleTimer, limitTimer] {
            if let timer { loop.cancel(timer) }
        }
        settleTimer = nil
        limitTimer = nil
    }
}

private func readable(_ driver: any ActuatorDriver) -> Value? {
    do throws(ActuatorError) {
        return try driver.readBack()
    } catch {
        return nil
    }
}
