import Platform

/// Slots at a fixed distance on the monotonic clock. The next slot follows from the last one, never from the time
/// at which work ended, so nothing drifts.
struct Grid {
    /// The slot that is due next, or that is being worked on.
    private(set) var slot: Instant
    let every: Interval

    /// - Parameter first: the first slot.
    init(first: Instant, every: Interval) {
        slot = first
        self.every = Interval(nanoseconds: max(1, every.nanoseconds))
    }

    /// Moves to the latest slot that is due at `now`; how many were passed over.
    mutating func catchUp(to now: Instant) -> UInt64 {
        let late = now - slot
        guard late >= every else { return 0 }
        let passed = late.nanoseconds / every.nanoseconds
        slot = slot + every * passed
        return UInt64(passed)
    }

    /// Moves on by one slot, or by as many as it takes to reach `earliest`; how many were passed over.
    mutating func advance(notBefore earliest: Instant) -> UInt64 {
        slot = slot + every
        guard slot < earliest else { return 0 }
        let passed = ((earliest - slot).nanoseconds + every.nanoseconds - 1) / every.nanoseconds
        slot = slot + every * passed
        return UInt64(passed)
    }
}

/// How long to leave a failing sensor alone: doubling from its period up to `limit`, with a quarter of jitter either
/// way so that sensors that failed together do not come back together.
struct Backoff {
    /// The longest wait, unless the period itself is longer.
    static let limit = Interval.seconds(60)

    private let base: Interval
    private var random: RandomSource
    /// Failures in a row.
    private(set) var failures: UInt64 = 0

    init(base: Interval, seed: UInt64) {
        self.base = base
        random = RandomSource(seed: seed)
    }

    mutating func reset() { failures = 0 }

    /// Counts a failure. The first costs one period and no more: most are single.
    mutating func fail() -> Interval {
        failures += 1
        if failures == 1 || base >= Self.limit { return base }
        let doublings = min(failures - 1, 32)
        let (product, overflow) = base.nanoseconds.multipliedReportingOverflow(by: 1 << doublings)
        let wait = overflow ? Self.limit.nanoseconds : min(product, Self.limit.nanoseconds)
        return Interval(nanoseconds: Int64(Double(wait) * (0.75 + 0.5 * random.fraction())))
    }
}
