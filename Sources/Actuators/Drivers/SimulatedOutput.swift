import Configuration
import Hardware
import Platform
import Records

/// The driver `sim`: an output that exists only here, for the demo and for tests. It can be slow, and it can fail.
public final class SimulatedOutput: ActuatorDriver {
    public struct Settings: Equatable, Sendable {
        public var range: ClosedRange<Double>
        public var safe: Double
        /// From the command to the value; up to a minute.
        public var latency: Interval
        /// The share of writes that fail, 0 to 1.
        public var failureRate: Double
        /// Which writes fail: the same seed, the same ones.
        public var seed: UInt64

        public init(
            range: ClosedRange<Double> = 0...1, safe: Double = 0, latency: Interval = .zero, failureRate: Double = 0,
            seed: UInt64 = 1
        ) {
            self.range = range
            self.safe = safe
            self.latency = latency
            self.failureRate = failureRate
            self.seed = seed
        }

        public var plan: DriverPlan {
            DriverPlan(
                domain: .number(range), safe: .number(safe),
                open: { [self] (_) throws(ActuatorError) -> any ActuatorDriver in SimulatedOutput(self) })
        }
    }

    private let settings: Settings
    private var value: Value
    /// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
    private var state: UInt64

    public init(_ settings: Settings) {
        self.settings = settings
        value = .number(settings.safe)
        state = settings.seed
    }

    public func drive(_ value: Value) throws(ActuatorError) -> Interval {
        if settings.failureRate > 0, random() < settings.failureRate { throw .simulated }
        self.value = value
        return settings.latency
    }

    public func readBack() throws(ActuatorError) -> Value { value }

    /// From 0 up to, but not including, 1.
    private func random() -> Double {
        state &+= 0x9E37_79B9_7F4A_7C15
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        bits ^= bits >> 31
        return Double(bits >> 11) / 9_007_199_254_740_992
    }

    /// Reads `min`, `max`, `safe`, `latency`, `failure_rate` and `seed`.
    static func decode(_ reader: Reader, _ chips: SharedChips) -> DriverPlan? {
        let range = numberRange(reader, 0...1)
        let latency = reader.interval("latency", in: Interval.zero...Interval.seconds(60)) ?? .zero
        let failureRate = reader.number("failure_rate", in: 0...1) ?? 0
        let seed = reader.integer("seed", in: 0...Int64.max) ?? 1
        guard let range, let safe = safeNumber(reader, range) else { return nil }
        return Settings(
            range: range, safe: safe, latency: latency, failureRate: failureRate, seed: UInt64(bitPattern: seed)
        ).plan
    }
}
