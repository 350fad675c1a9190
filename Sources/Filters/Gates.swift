import Platform
import Records

/// `throttle: 10s`: at most one sample in the interval; the first passes.
///
/// It remembers when it let one through, whether that was sent or not, so that windows behind it get its rhythm. That
/// delays a change by an interval at most.
final class Throttle: Filter {
    private let interval: Interval
    private var passed: Instant?
    private var held: Instant?

    init(interval: Interval) { self.interval = interval }

    override func apply(_ sample: inout Sample) -> Verdict {
        if let passed, sample.taken - passed < interval {
            held = sample.taken
            return .hold
        }
        passed = sample.taken
        return .pass
    }

    override func released() { passed = held }
    override func interrupted() { passed = nil }
}

/// `deadband: 0.1` or `deadband: 5%` (ESPHome's name for it, `delta`, is the same): passes a value that differs from
/// the last one sent by so much at least. Also passes: the first, the first after a bad one, and one whose quality
/// differs. Values that are not numeric always pass.
final class Deadband: Filter {
    private struct Sent {
        let number: Double
        let isUncertain: Bool
    }

    private let band: Double
    /// Whether the band is a part of the last value's magnitude.
    private let isRelative: Bool
    /// `nil` where the last one sent was no number.
    private var last: Sent?
    /// The sample that is on its way: a filter behind may still hold it.
    private var candidate: Sent?

    /// - Parameter band: above 0; 0.05 is 5% when relative.
    init(band: Double, isRelative: Bool) {
        // 21.7 - 21.6 is a little less than 0.1 in binary: without this a change by one step of a sensor would
        // sometimes count and sometimes not.
        self.band = band * (1 - 1e-9)
        self.isRelative = isRelative
    }

    override func apply(_ sample: inout Sample) -> Verdict {
        candidate = sample.numeric.map { Sent(number: $0, isUncertain: sample.isUncertain) }
        guard let candidate, let last, last.isUncertain == candidate.isUncertain else { return .pass }
        let difference = (candidate.number - last.number).magnitude
        // Around zero a part of nothing is nothing: any change passes, but no change does not.
        return difference == 0 || difference < (isRelative ? band * last.number.magnitude : band) ? .hold : .pass
    }

    override func carry(_ sample: inout Sample) -> Bool { apply(&sample) != .drop }
    override func sent(at instant: Instant) { last = candidate }
    override func interrupted() { last = nil }
}

/// `unique`: passes a value, of whatever kind, that differs from the last one sent, or has another quality.
final class Unique: Filter {
    private struct Sent: Equatable {
        let value: Value
        let isUncertain: Bool
    }

    private var last: Sent?
    /// As a `Deadband`'s.
    private var candidate: Sent?

    override func apply(_ sample: inout Sample) -> Verdict {
        candidate = Sent(value: sample.value, isUncertain: sample.isUncertain)
        return candidate == last ? .hold : .pass
    }

    override func carry(_ sample: inout Sample) -> Bool { apply(&sample) != .drop }
    override func sent(at instant: Instant) { last = candidate }
    override func interrupted() { last = nil }
}

/// `heartbeat: 60s`: sends what a filter before it holds back when nothing was sent for the interval.
///
/// It is the samples that drive it: a record always carries a sample of its own time, and a sensor that has fallen
/// silent stays silent. (ESPHome's heartbeat repeats the last value by a timer of its own.)
final class Heartbeat: Filter {
    private let interval: Interval
    private var last: Instant?

    init(interval: Interval) { self.interval = interval }

    override func releases(at instant: Instant) -> Bool {
        guard let last else { return true }
        return instant - last >= interval
    }

    override func sent(at instant: Instant) { last = instant }
}
