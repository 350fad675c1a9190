import Platform
import Records

/// What the sampler runs, whichever way it comes by its values.
protocol SensorRunner: AnyObject {
    var output: SensorOutput { get }
    /// - Parameter first: when a polled sensor is measured first.
    func start(first: Instant)
    func stop()
    func read(_ completion: @escaping (SensorReading.Outcome) -> Void)
}

/// Runs all sensors: measures the polled ones, each on its own fixed grid, and supervises those that speak by
/// themselves.
///
/// A sample's time is that at which its conversion was triggered, read on the thread that did it. A failing sensor
/// makes one bad sample for each channel, backs off on its grid up to 60 s (or its period) and recovers by itself.
public final class Sampler {
    private let loop: any Loop
    private let log: Log
    private let seed: UInt64
    private let limit: Interval
    private let emit: (Sample) -> Void
    private var watches: [QueueWatch] = []
    private var runners: [any SensorRunner] = []
    /// The period of each runner; zero for those that speak by themselves.
    private var periods: [Interval] = []
    private var isRunning = false

    /// - Parameters:
    ///   - seed: of the jitter of back-offs.
    ///   - limit: the longest that one measurement may take; later it is reported as `timeout`, and what still
    ///     comes of it is thrown away.
    ///   - emit: takes every sample, on the loop. Not called after `stop`.
    public init(
        loop: any Loop, log: Log, seed: UInt64 = 1, limit: Interval = .seconds(5), emit: @escaping (Sample) -> Void
    ) {
        self.loop = loop
        self.log = log
        self.seed = seed
        self.limit = limit
        self.emit = emit
    }

    deinit { stop() }

    /// Adds a polled sensor. Before `start`.
    /// - Parameters:
    ///   - queue: where the driver runs; `nil` is the loop.
    ///   - base: the series of the first channel; the others follow it.
    public func add(_ plan: SensorPlan, driver: any SensorDriver, on queue: (any WorkQueue)?, base: SeriesID) {
        let every = plan.every ?? defaultPeriod
        runners.append(
            PolledSensor(
                driver: driver, every: every, output: output(plan, base), loop: loop, watch: queue.map { watch($0) },
                limit: limit, seed: seed &+ UInt64(runners.count)))
        periods.append(every)
    }

    /// Adds a sensor that speaks by itself. Before `start`.
    public func add(_ plan: SensorPlan, driver: any EventDriver, base: SeriesID) {
        runners.append(
            EventSensor(
                driver: driver, output: output(plan, base), loop: loop, seed: seed &+ UInt64(runners.count)))
        periods.append(.zero)
    }

    /// Sensors start at multiples of it. Those that share a moment cost one wake-up of the processor, not one each.
    private static var slot: Int64 { 20_000_000 }

    /// Starts all sensors. First measurements are spread over the first second (or period, where that is shorter),
    /// so that sensors of one period do not all come at once ever after.
    public func start() {
        guard !isRunning else { return }
        isRunning = true
        let now = loop.time.now
        for (index, runner) in runners.enumerated() {
            let spread = min(periods[index], .seconds(1)).nanoseconds
            let phase = Int64(Double(spread) * Double(index) / Double(runners.count))
            runner.start(first: now + .nanoseconds(phase - phase % Self.slot))
        }
    }

    /// Ends sampling at once and releases GPIO lines. Counters report their last period; measurements under way are
    /// thrown away.
    public func stop() {
        isRunning = false
        for runner in runners { runner.stop() }
    }

    /// Measures every sensor once, now, and hands over the readings, in the order in which the sensors were added, when
    /// the last one is there. Before `start` this makes no samples. It always comes to an end: a sensor that
    /// does not answer fails with `timeout`.
    public func readAll(_ completion: @escaping ([SensorReading]) -> Void) {
        guard !runners.isEmpty else {
            completion([])
            return
        }
        var outcomes = [SensorReading.Outcome?](repeating: nil, count: runners.count)
        var left = runners.count
        let runners = runners
        for (index, runner) in runners.enumerated() {
            runner.read { outcome in
                outcomes[index] = outcome
                left -= 1
                guard left == 0 else { return }
                var readings: [SensorReading] = []
                for (index, outcome) in outcomes.enumerated() {
                    guard let outcome else { continue }
                    readings.append(SensorReading(sensor: runners[index].output.id, outcome: outcome))
                }
                completion(readings)
            }
        }
    }

    /// Sensors added.
    public var count: Int { runners.count }

    /// What all sensors together have not measured: slots of their grids, and edges.
    public var missing: (slots: UInt64, edges: UInt64) {
        var missing: (slots: UInt64, edges: UInt64) = (0, 0)
        for runner in runners {
            missing.slots += runner.output.status.missed
            missing.edges += runner.output.status.lost
        }
        return missing
    }

    /// How the sensor that was added as number `index`, from 0, does.
    public func status(_ index: Int) -> SensorStatus {
        runners.indices.contains(index) ? runners[index].output.status : SensorStatus()
    }

    private func output(_ plan: SensorPlan, _ base: SeriesID) -> SensorOutput {
        SensorOutput(plan: plan, base: base, log: log, emit: emit)
    }

    private func watch(_ queue: any WorkQueue) -> QueueWatch {
        if let watch = watches.first(where: { $0.queue === queue }) { return watch }
        let watch = QueueWatch(queue, loop: loop, limit: limit)
        watches.append(watch)
        return watch
    }
}
