import Platform
import Records

/// `throttle: 10s`: at most one sample in the interval; the first passes.
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
    private var sent: Sent?
    private var held: Sent?

    /// - Parameter band: above 0; 0.05 is 5% when relative.
    init(band: Double, isRelative: Bool) {
        // 21.7 - 21.6 is a little less than 0.1 in binary: without this a change by one step of a sensor would
        // sometimes count and sometimes not.
        self.band = band * (1 - 1e-9)
        self.isRelative = isRelative
    }

    override func apply(_ sample: inout Sample) -> Verdict {
        guard let number = sample.numeric else { return .pass }
        let candidate = Sent(number: number, isUncertain: sample.isUncertain)
        if let sent, sent.isUncertain == candidate.isUncertain {
            let difference = (number - sent.number).magnitude
            // Around zero a part of nothing is nothing: any change passes, but no change does not.
            if difference == 0 || difference < (isRelative ? band * sent.number.magnitude : band) {
                held = candidate
                return .hold
            }
        }
        sent = candidate
        return .pass
    }

    override func released() { sent = held }
    override func interrupted() { sent = nil }
}

/// `unique`: passes a value, of whatever kind, that differs from the last one, or has another quality.
final class Unique: Filter {
    private var value: Value?
    private var isUncertain = false

    override func apply(_ sample: inout Sample) -> Verdict {
        if let value, value == sample.value, isUncertain == sample.isUncertain { return .hold }
        value = sample.value
        isUncertain = sample.isUncertain
        return .pass
    }

    override func interrupted() { value = nil }
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
