import Filters
import Outbox
import Platform
import Records

/// Sensors → Filters → Record → Outbox: what happens to a sample after it was taken.
///
/// While the wall clock is waited for, samples wait before the encoder, behind the filters: their order is what it always
/// is, and each is encoded once. What would be more than the bound of their memory lets the oldest go, as `unsynced`.
/// When the wait is over they go as fast as the outbox takes them without dropping anything: they may be more than its
/// memory, and the disk and the brokers have a pace of their own.
public final class TelemetryPath {
    /// A channel's way: how it is filtered, what its records look like, where they go.
    public struct Lane {
        public let series: Series
        public let filters: FilterChain
        public let topic: TopicID
        /// When its records go to the disk; `nil` is the outbox's own.
        public let durability: Durability?

        public init(series: Series, filters: FilterChain, topic: TopicID, durability: Durability? = nil) {
            self.series = series
            self.filters = filters
            self.topic = topic
            self.durability = durability
        }
    }

    /// Samples that came in.
    public private(set) var samples: UInt64 = 0
    /// Samples that a filter held back: by intent, not lost.
    public private(set) var filtered: UInt64 = 0

    private let lanes: [Lane]
    private let encoder: RecordEncoder
    private let outbox: Outbox
    private let time: any TimeSource
    private let clock: ClockWatch?
    private let waiting: WaitingSamples
    private var hasFinished = false
    private var timer: TimerID?
    /// How long it takes until the outbox is asked again.
    private var pause = TelemetryPath.shortestPause

    /// How many samples that have waited one turn of the loop encodes.
    private static var samplesPerTurn: Int { 256 }
    private static var shortestPause: Interval { .milliseconds(10) }
    private static var longestPause: Interval { .seconds(1) }

    /// - Parameters:
    ///   - lanes: in the order of `SeriesID.index`.
    ///   - clock: its `onChange` is taken; `nil` takes the wall clock for right.
    ///   - maxWaiting: bytes of the samples that wait for it.
    public init(
        lanes: [Lane], settings: RecordSettings, outbox: Outbox, time: any TimeSource, clock: ClockWatch? = nil,
        maxWaiting: Int = ClockSettings().maxMemory
    ) {
        self.lanes = lanes
        self.outbox = outbox
        self.time = time
        self.clock = clock
        waiting = WaitingSamples(maxMemory: maxWaiting)
        encoder = RecordEncoder(settings: settings, series: lanes.map { $0.series })
        clock?.onChange = { [unowned(unsafe) self] before in
            if before == .waiting { handOver(atMost: Self.samplesPerTurn) }
        }
    }

    deinit {
        clock?.onChange = nil
        if let timer { clock?.loop.cancel(timer) }
    }

    /// Samples that wait for the wall clock.
    public var waitingCount: Int { waiting.count }

    /// Takes a sample in; the sampler's and the edges' way into the path. Never blocks.
    public func accept(_ sample: Sample) {
        samples += 1
        guard lanes.indices.contains(sample.series.index) else { return }
        let lane = lanes[sample.series.index]
        guard let sample = lane.filters.isEmpty ? sample : lane.filters.apply(sample) else {
            filtered += 1
            return
        }
        if waiting.isEmpty && (clock?.state != .waiting || hasFinished) {
            encode(sample)
            return
        }
        while !waiting.fits(sample), let oldest = waiting.take() { encode(oldest) }
        waiting.append(sample)
    }

    /// At the end: what still waits for the wall clock is encoded as it is, `uncertain`; at once what the outbox has room
    /// for, and the rest as it gets room. `waitingCount` tells when it has all.
    public func finish() {
        hasFinished = true
        handOver(atMost: Int.max)
    }

    /// The same without waiting for room: the outbox's policy decides on what is too much.
    public func finishAtOnce() {
        hasFinished = true
        while let sample = waiting.take() { encode(sample) }
    }

    /// Encodes what has waited, in pieces, so that edges and actuators do not wait for it. What comes meanwhile queues up
    /// behind it.
    private func handOver(atMost limit: Int) {
        var count = 0
        while count < limit, let sample = waiting.first, isRoom(for: sample) {
            _ = waiting.take()
            encode(sample)
            count += 1
        }
        guard let clock else { return }
        if let timer { clock.loop.cancel(timer) }
        timer = nil
        if waiting.isEmpty { return }
        pause = count > 0 ? Self.shortestPause : min(pause * 2, Self.longestPause)
        timer = clock.loop.after(count == limit ? .zero : pause) { [unowned(unsafe) self] in
            timer = nil
            handOver(atMost: Self.samplesPerTurn)
        }
    }

    private func isRoom(for sample: Sample) -> Bool {
        let lane = lanes[sample.series.index]
        let size = encoder.maximumBytes(for: sample) + encoder.key(of: sample.series).count
        if outbox.hasRoom(for: size, durability: lane.durability) { return true }
        // What the disk never gets must not hold up for good what it does.
        return pause >= Self.longestPause && !outbox.mayGoToDisk(lane.durability) && outbox.diskStatus != nil
    }

    private func encode(_ sample: Sample) {
        let lane = lanes[sample.series.index]
        // By today's offset between the clocks: of what was taken before the clock was set, the corrected time.
        let wallTime = time.wallTime(at: sample.taken)
        let clock = clockState(of: sample)
        outbox.append(
            topic: lane.topic, key: encoder.key(of: sample.series), durability: lane.durability, time: wallTime,
            maximumBytes: encoder.maximumBytes(for: sample)
        ) { writer in
            encoder.encode(sample, wallTime: wallTime, clock: clock, into: &writer)
        }
    }

    private func clockState(of sample: Sample) -> ClockState {
        guard let clock else { return .synchronised }
        switch clock.state {
        case .waiting: return hasFinished ? .uncertain : .unsynced
        case .unsynced: return .unsynced
        case .synchronised:
            guard let since = clock.knownSince, sample.taken <= since else { return .synchronised }
            return .corrected
        }
    }
}
