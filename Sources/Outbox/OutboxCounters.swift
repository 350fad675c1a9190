import Platform

/// What became of the records of one lane since the start.
/// `appended` = `acknowledged` + `failed` + `dropped` + `evicted` + those that are pending in memory.
public struct OutboxCounters: Equatable, Sendable {
    /// Taken into the outbox.
    public var appended: UInt64 = 0
    /// Taken by the transport; a record offered again counts again.
    public var handedOver: UInt64 = 0
    /// Acknowledged by the broker.
    public var acknowledged: UInt64 = 0
    /// Failed deliveries that are, or were, tried again.
    public var retried: UInt64 = 0
    /// Given up: the failure was one that another attempt cannot help.
    public var failed: UInt64 = 0
    /// Dropped after they had been appended, to make room (`drop-oldest`).
    public var dropped: UInt64 = 0
    /// Left memory for the disk alone; they come back in the lane `backlog`.
    public var evicted: UInt64 = 0
    /// Not appended: no room (`drop-newest`, or the transport holds everything).
    public var refused: UInt64 = 0
    /// Not appended: larger than a slab, or than its own maximum.
    public var oversized: UInt64 = 0

    public init() {}
}

/// Failed deliveries by the name of the error. Kept short: names beyond the first 31 count as one.
public struct FailureTally {
    public struct Entry: Equatable, Sendable {
        /// As `DeliveryFailure.name`.
        public let name: String
        /// Deliveries that failed with it, retried or given up.
        public fileprivate(set) var count: UInt64
        fileprivate var logged: Instant
    }

    public private(set) var entries: [Entry] = []

    /// A line about the same error comes once in this interval.
    static var logInterval: Interval { .seconds(600) }

    /// - Returns: whether a line about it is due.
    mutating func add(_ name: String, at now: Instant) -> Bool {
        for index in entries.indices where index == 31 || sameBytes(entries[index].name, name) {
            entries[index].count += 1
            if now - entries[index].logged < Self.logInterval { return false }
            entries[index].logged = now
            return true
        }
        entries.append(Entry(name: entries.count < 31 ? name : "other", count: 1, logged: now))
        return true
    }

    /// How many deliveries failed with this error so far.
    public func count(of name: String) -> UInt64 {
        for entry in entries where sameBytes(entry.name, name) { return entry.count }
        return 0
    }
}
