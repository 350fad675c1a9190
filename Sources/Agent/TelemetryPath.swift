import Filters
import Outbox
import Platform
import Records

/// Sensors → Filters → Record → Outbox: what happens to a sample after it was taken.
public final class TelemetryPath {
    /// A channel's way: how it is filtered, what its records look like, where they go.
    public struct Lane {
        public let series: Series
        public let filters: FilterChain
        public let topic: TopicID

        public init(series: Series, filters: FilterChain, topic: TopicID) {
            self.series = series
            self.filters = filters
            self.topic = topic
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

    /// - Parameter lanes: in the order of `SeriesID.index`.
    public init(lanes: [Lane], settings: RecordSettings, outbox: Outbox, time: any TimeSource) {
        self.lanes = lanes
        self.outbox = outbox
        self.time = time
        encoder = RecordEncoder(settings: settings, series: lanes.map { $0.series })
    }

    /// Takes a sample in; the sampler's and the edges' way into the path. Never blocks.
    public func accept(_ sample: Sample) {
        samples += 1
        guard lanes.indices.contains(sample.series.index) else { return }
        let lane = lanes[sample.series.index]
        guard let sample = lane.filters.isEmpty ? sample : lane.filters.apply(sample) else {
            filtered += 1
            return
        }
        let wallTime = time.wallTime(at: sample.taken)
        outbox.append(
            topic: lane.topic, key: encoder.key(of: sample.series), maximumBytes: encoder.maximumBytes(for: sample)
        ) { writer in
            encoder.encode(sample, wallTime: wallTime, into: &writer)
        }
    }
}
