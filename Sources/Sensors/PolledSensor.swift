import Platform
import Records

/// Measures one sensor on its grid: prepare, trigger, the wait off the bus, collect; one job at a time.
final class PolledSensor: SensorRunner {
    /// What a job touches. It belongs to the work queue from hand-over to completion, and outlives a sensor
    /// whose job hangs.
    private final class Measurement {
        let driver: any SensorDriver
        let time: any TimeSource
        let channels: Int
        var isPrepared = false
        var values: [Value] = []
        var taken = Instant(nanoseconds: 0)
        var wait = Interval.zero
        var error: SensorError?

        init(driver: any SensorDriver, time: any TimeSource, channels: Int) {
            self.driver = driver
            self.time = time
            self.channels = channels
        }

        func begin() {
            error = nil
            wait = .zero
            do throws(SensorError) {
                if !isPrepared { try driver.prepare() }
                isPrepared = true
                taken = time.now
                wait = try driver.trigger()
                if wait <= .zero { try read() }
            } catch {
                fail(error)
            }
        }

        func finish() {
            do throws(SensorError) { try read() } catch { fail(error) }
        }

        private func read() throws(SensorError) {
            values.removeAll(keepingCapacity: true)
            try driver.collect(into: &values)
            guard values.count == channels else {
                throw .invalidData(joined(decimal(values.count), " values for ", decimal(channels), " channels"))
            }
            for value in values {
                if case .number(let number) = value, !number.isFinite {
                    throw .invalidData("a value that is not finite")
                }
            }
        }

        private func fail(_ failure: SensorError) {
            error = failure
            isPrepared = false
        }
    }

    private enum State {
        case idle
        /// A job is on the queue, or runs.
        case working
        /// Between trigger and collect.
        case converting
        /// Took too long and was reported; what comes back is thrown away.
        case abandoned
    }

    let output: SensorOutput
    private let every: Interval
    private let loop: any Loop
    /// `nil` runs the driver on the loop.
    private let watch: QueueWatch?
    private let limit: Interval
    private let measurement: Measurement
    private var state = State.idle
    private var grid: Grid
    private var backoff: Backoff
    /// What the last failure earned; kept for a sensor that could not be scheduled then.
    private var backoffWait = Interval.zero
    private var isRunning = false
    private var slotTimer: TimerID?
    private var conversionTimer: TimerID?
    private var observers: [(SensorReading.Outcome) -> Void] = []
    /// Kept, so that a slot of a sensor on the loop makes no closure.
    private var tick: () -> Void = {}

    /// - Parameter limit: the longest that a measurement may take before it is reported as `timeout`.
    init(
        driver: any SensorDriver, every: Interval, output: SensorOutput, loop: any Loop, watch: QueueWatch?,
        limit: Interval, seed: UInt64
    ) {
        self.every = every
        self.output = output
        self.loop = loop
        self.watch = watch
        self.limit = limit
        measurement = Measurement(driver: driver, time: loop.time, channels: output.channelCount)
        grid = Grid(first: loop.time.now, every: every)
        backoff = Backoff(base: every, seed: seed)
        tick = { [unowned(unsafe) self] in self.runSlot() }
    }

    deinit { stop() }

    func start(first: Instant) {
        guard !isRunning else { return }
        isRunning = true
        grid = Grid(first: first, every: every)
        slotTimer = loop.at(first, tick)
    }

    func stop() {
        isRunning = false
        if let slotTimer { loop.cancel(slotTimer) }
        slotTimer = nil
        guard let conversionTimer else { return }
        loop.cancel(conversionTimer)
        self.conversionTimer = nil
        state = .idle
        measurement.isPrepared = false
    }

    func read(_ completion: @escaping (SensorReading.Outcome) -> Void) {
        if state == .abandoned {
            completion(.failed(.timeout(limit)))
            return
        }
        observers.append(completion)
        if state == .idle { measure() }
    }

    /// The work queue has been at this sensor's job for longer than the limit.
    func timeOut() {
        guard state == .working else { return }
        state = .abandoned
        conclude(failure: .timeout(limit))
    }

    private func runSlot() {
        slotTimer = nil
        output.miss(grid.catchUp(to: loop.time.now))
        if state == .idle {
            measure()
        } else {
            output.miss(1)
            schedule(after: .zero)
        }
    }

    private func measure() {
        state = .working
        guard let watch else {
            measurement.begin()
            begun()
            return
        }
        watch.perform(for: self, { [measurement] in measurement.begin() }, completion: { self.begun() })
    }

    private func begun() {
        if state == .abandoned {
            release()
        } else if measurement.error == nil, measurement.wait > .zero {
            convert()
        } else {
            done()
        }
    }

    private func convert() {
        guard isRunning || !observers.isEmpty else {
            state = .idle
            return
        }
        state = .converting
        let wait = measurement.wait
        guard wait > limit else {
            conversionTimer = loop.after(wait) { [unowned(unsafe) self] in self.converted() }
            return
        }
        conversionTimer = loop.after(limit) { [unowned(unsafe) self] in
            self.state = .abandoned
            // Until the conversion is over the chip is left alone.
            self.conversionTimer = self.loop.after(wait - self.limit) { [unowned(unsafe) self] in self.release() }
            self.conclude(failure: .timeout(self.limit))
        }
    }

    private func converted() {
        conversionTimer = nil
        state = .working
        guard let watch else {
            measurement.finish()
            done()
            return
        }
        watch.perform(for: self, { [measurement] in measurement.finish() }, completion: { self.collected() })
    }

    private func collected() {
        if state == .abandoned { release() } else { done() }
    }

    /// What was given up has come back after all.
    private func release() {
        conversionTimer = nil
        state = .idle
        measurement.isPrepared = false
        if isRunning, slotTimer == nil { schedule(after: backoffWait) }
    }

    private func done() {
        state = .idle
        conclude(failure: measurement.error)
    }

    /// Reports how the measurement went and sets the next slot, unless the driver is still at it.
    private func conclude(failure: SensorError?) {
        var wait = Interval.zero
        if let failure {
            if failure == .ended {
                if isRunning, !output.status.hasEnded { output.end() }
                isRunning = false
            } else if isRunning {
                wait = backoff.fail()
                output.fail(failure, at: loop.time.now)
            }
        } else if isRunning {
            backoff.reset()
            output.send(measurement.values, taken: measurement.taken)
        }
        if !observers.isEmpty { tell(failure) }
        backoffWait = wait
        if isRunning, slotTimer == nil, state == .idle { schedule(after: wait) }
    }

    private func tell(_ failure: SensorError?) {
        let waiting = observers
        observers.removeAll()
        let outcome = failure.map { SensorReading.Outcome.failed($0) }
        for observer in waiting {
            observer(outcome ?? .values(measurement.values, taken: measurement.taken))
        }
    }

    /// Sets the next slot. Those passed over while a measurement took too long are missed; those of a back-off are not.
    private func schedule(after wait: Interval) {
        let passed = grid.advance(notBefore: max(loop.time.now, grid.slot + wait))
        if wait == .zero { output.miss(passed) }
        slotTimer = loop.at(grid.slot, tick)
    }
}
