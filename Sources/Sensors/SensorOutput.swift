import Platform
import Records

/// How a sensor does, for the health page and the metrics.
public struct SensorStatus: Equatable, Sendable {
    /// Measurements, or events, that yielded values.
    public var samples: UInt64 = 0
    /// Measurements, or starts, that failed.
    public var failures: UInt64 = 0
    /// Slots of the grid that passed while the sensor or the loop was busy.
    public var missed: UInt64 = 0
    /// Failing ended and values came again.
    public var recovered: UInt64 = 0
    /// Edges that the kernel dropped.
    public var lost: UInt64 = 0
    /// Why it fails now; `nil` while it works.
    public var error: SensorError?
    /// When the last good value was taken.
    public var lastTaken: Instant?
    /// Its replay is over.
    public var hasEnded = false

    public init() {}
}

/// What leaves one sensor: its samples, and one sample and one log line for each outage.
final class SensorOutput {
    let id: String
    private(set) var status = SensorStatus()
    private let base: Int
    private let enabled: [Bool]
    private let log: Log
    private let emit: (Sample) -> Void
    private var failuresInOutage: UInt64 = 0
    /// When an outage was last told of, and whether the present one was.
    private var told: Instant?
    private var isTold = false
    /// Outages since then that were not.
    private var untold: UInt64 = 0

    /// Outages that begin sooner after one another than this are told of as one line: a loose contact must not fill the log.
    private static var quiet: Interval { .seconds(60) }

    init(plan: SensorPlan, base: SeriesID, log: Log, emit: @escaping (Sample) -> Void) {
        id = plan.id
        self.base = base.index
        enabled = plan.channels.map { $0.isEnabled }
        self.log = log
        self.emit = emit
    }

    var channelCount: Int { enabled.count }

    /// Passes on a measurement: one value for each channel.
    func send(_ values: [Value], taken: Instant) {
        working(taken)
        for channel in 0..<min(values.count, enabled.count) where enabled[channel] {
            emit(Sample(series: SeriesID(base + channel), value: values[channel], taken: taken))
        }
    }

    /// Passes on what an event driver said about one channel.
    func send(channel: Int, _ value: Value, _ quality: Quality, taken: Instant) {
        working(taken)
        guard enabled.indices.contains(channel), enabled[channel] else { return }
        emit(Sample(series: SeriesID(base + channel), value: value, quality: quality, taken: taken))
    }

    /// The first failure of an outage makes one bad sample for each channel and one line in the log;
    /// those that follow are only counted.
    func fail(_ error: SensorError, at now: Instant) {
        status.failures += 1
        failuresInOutage += 1
        let isFirst = status.error == nil
        status.error = error
        if !isTold { tell(error, isFirst, now) }
        guard isFirst else { return }
        let reason = error.code
        for channel in enabled.indices where enabled[channel] {
            emit(
                Sample(
                    series: SeriesID(base + channel), value: .integer(0), quality: .bad(reason: reason), taken: now))
        }
    }

    private func tell(_ error: SensorError, _ isFirst: Bool, _ now: Instant) {
        if let told, now - told < Self.quiet {
            if isFirst { untold += 1 }
            return
        }
        // The present one may have begun in the quiet time.
        let others = isFirst ? untold : untold - min(1, untold)
        let more = others > 0 ? joined(" (and ", decimal(others), " shorter outages before)") : ""
        log.warning(joined("sensor ", id, ": ", error.description, more))
        told = now
        isTold = true
        untold = 0
    }

    func miss(_ slots: UInt64) { status.missed += slots }

    func lose(_ edges: UInt64) {
        status.lost += edges
        let what = edges > 0 ? joined(decimal(edges), " edges lost") : "edges may have been lost"
        log.warning(joined("sensor ", id, ": ", what, ": they came faster than they could be read"))
    }

    func end() {
        status.hasEnded = true
        log.info(joined("sensor ", id, ": the replay has ended after ", decimal(status.samples), " samples"))
    }

    private func working(_ taken: Instant) {
        status.samples += 1
        status.lastTaken = taken
        if status.error == nil { return }
        status.error = nil
        status.recovered += 1
        if isTold { log.info(joined("sensor ", id, ": works again after ", decimal(failuresInOutage), " failures")) }
        isTold = false
        failuresInOutage = 0
    }
}

/// What `Sampler.readAll` has to say about one sensor.
public struct SensorReading: Equatable, Sendable {
    public enum Outcome: Equatable, Sendable {
        /// One value for each channel, disabled ones included.
        case values([Value], taken: Instant)
        case failed(SensorError)
    }

    public let sensor: String
    public let outcome: Outcome
}
