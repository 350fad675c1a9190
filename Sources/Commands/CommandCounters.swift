import Platform

/// How many messages came, and how they were answered.
public struct CommandCounters: Equatable, Sendable {
    public var received: UInt64 = 0
    public var done: UInt64 = 0
    public var rejected: UInt64 = 0
    public var expired: UInt64 = 0
    public var duplicate: UInt64 = 0
    public var interlocked: UInt64 = 0
    public var preempted: UInt64 = 0
    public var failed: UInt64 = 0
    /// Messages of nobody known that were one too many to be answered.
    public var unanswered: UInt64 = 0

    public init() {}

    /// All replies; what is missing to `received` is unanswered or being carried out.
    public var answered: UInt64 { done + rejected + expired + duplicate + interlocked + preempted + failed }

    /// Such as ", 3 commands: 2 done, 1 rejected", to go behind other counts; empty when none came.
    public var words: String {
        if received == 0 { return "" }
        var text = joined(", ", decimal(received), " commands")
        var start = ": "
        func add(_ count: UInt64, _ name: StaticString) {
            if count == 0 { return }
            text += joined(start, decimal(count), " ", string(name))
            start = ", "
        }
        add(done, "done")
        add(rejected, "rejected")
        add(expired, "expired")
        add(duplicate, "duplicate")
        add(interlocked, "interlocked")
        add(preempted, "preempted")
        add(failed, "failed")
        add(unanswered, "not answered")
        return text
    }

    mutating func count(_ status: Status) {
        switch status {
        case .done: done += 1
        case .rejected: rejected += 1
        case .expired: expired += 1
        case .duplicate: duplicate += 1
        case .interlocked: interlocked += 1
        case .preempted: preempted += 1
        case .failed: failed += 1
        }
    }
}
