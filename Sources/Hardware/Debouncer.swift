import Platform

/// Reports a change of level once the new level has lasted, as the kernel's own debouncer does: every edge starts the
/// wait anew, what falls back in time was never there, and the change is stamped with the end of the wait.
///
/// For libgpiod 1.6, whose kernel interface does not debounce, and for the simulated lines.
struct Debouncer {
    /// How long a level must last.
    let interval: Interval
    /// The level that lasted: what a reader of the line is to see.
    private(set) var level: Bool
    private var pending: EdgeEvent?

    /// - Parameter level: the line's level now.
    init(interval: Interval, level: Bool) {
        self.interval = interval
        self.level = level
    }

    /// When to call `settle`; `nil` while no edge waits.
    var deadline: Instant? { pending.map { $0.timestamp + interval } }

    /// Takes an edge. Returns the change that had come before it and lasted long enough, if any.
    mutating func note(_ edge: EdgeEvent) -> EdgeEvent? {
        let settled = pending.flatMap { settle(at: edge.timestamp, level: $0.active) }
        pending = edge
        return settled
    }

    /// Returns the change whose level has lasted by `now`, if any.
    /// - Parameter measured: the line's level at `now`. Where it is not what the last edge led to, edges were lost
    ///   and the wait begins anew.
    mutating func settle(at now: Instant, level measured: Bool) -> EdgeEvent? {
        guard let edge = pending, let deadline, deadline <= now else { return nil }
        guard measured == edge.active else {
            pending = EdgeEvent(active: measured, timestamp: now)
            return nil
        }
        pending = nil
        guard edge.active != level else { return nil }
        level = edge.active
        return EdgeEvent(active: edge.active, timestamp: deadline)
    }
}
