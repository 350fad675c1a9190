/// Names a timer that may be cancelled. Never reused.
public struct TimerID: Hashable, Sendable {
    let number: UInt64
    public init(number: UInt64) { self.number = number }
}

/// What a stage sees of the event loop: timers on the monotonic clock and descriptors to wait for.
///
/// Everything runs on the loop's one thread; actions must not block.
/// `EventLoop` is the real one; tests use one whose time they move by hand.
public protocol Loop: AnyObject {
    var time: any TimeSource { get }

    /// Runs `action` once, when the monotonic clock has reached `instant` (at once, but never
    /// before this call returns, when that has passed). Timers of one instant run in the order they were set.
    @discardableResult
    func at(_ instant: Instant, _ action: @escaping () -> Void) -> TimerID

    /// Runs `action` once, `interval` from now.
    // A requirement although it has a default: Embedded Swift cannot call an extension's method on an existential.
    @discardableResult
    func after(_ interval: Interval, _ action: @escaping () -> Void) -> TimerID

    /// The timer will not run. No effect when it has run already.
    func cancel(_ timer: TimerID)

    /// Runs `action` whenever `descriptor` can be read (level-triggered: until it has been read empty).
    func watch(_ descriptor: Int32, _ action: @escaping () -> Void) throws(SystemError)

    /// Ends `watch`. Call it before the descriptor is closed.
    func unwatch(_ descriptor: Int32)
}

extension Loop {
    @discardableResult
    public func after(_ interval: Interval, _ action: @escaping () -> Void) -> TimerID {
        at(time.now + interval, action)
    }
}

/// Runs what may block away from the loop. One per I2C bus: its jobs run one after the other, so that
/// a bus that hangs holds up nothing but itself.
public protocol WorkQueue: AnyObject {
    /// Runs `job` on the queue's thread, then `completion` on the loop.
    /// What `job` touches belongs to the queue's thread until `completion` runs.
    func perform(_ job: @escaping () -> Void, completion: @escaping () -> Void)
    /// As `perform`, for a job that may be withdrawn.
    /// - Parameter isUrgent: goes ahead of all that have not begun.
    /// - Returns: the job's number, for `withdraw`.
    // Requirements although they have defaults: see `Loop.after`.
    func perform(_ job: @escaping () -> Void, isUrgent: Bool, completion: @escaping () -> Void) -> UInt64
    /// Takes a job back that has not begun; neither it nor its completion will run. What it had in hand is the loop's again.
    /// - Returns: `false` when it has begun, or the queue takes none back: its completion comes.
    func withdraw(_ job: UInt64) -> Bool
    /// Jobs handed over whose completion has not run yet.
    var pending: Int { get }
}

extension WorkQueue {
    public func perform(
        _ job: @escaping () -> Void, isUrgent: Bool, completion: @escaping () -> Void
    ) -> UInt64 {
        perform(job, completion: completion)
        return 0
    }

    public func withdraw(_ job: UInt64) -> Bool { false }
}

/// Timers in the order of their instants: what every `Loop` keeps its timers in.
public struct TimerQueue {
    private struct Entry {
        let instant: Instant
        let number: UInt64
        let action: () -> Void
    }

    /// A binary heap; the earliest is first.
    private var heap: [Entry] = []
    private var next: UInt64 = 1

    public init() {}

    public mutating func add(_ instant: Instant, _ action: @escaping () -> Void) -> TimerID {
        let entry = Entry(instant: instant, number: next, action: action)
        next += 1
        heap.append(entry)
        rise(heap.count - 1)
        return TimerID(number: entry.number)
    }

    /// Looks through all timers: there are a few for each sensor, most run, and few are cancelled.
    public mutating func cancel(_ timer: TimerID) {
        if let index = heap.firstIndex(where: { $0.number == timer.number }) { remove(at: index) }
    }

    /// When the next timer is due.
    public func earliest() -> Instant? { heap.first?.instant }

    /// Takes the next timer due at or before `now`.
    public mutating func take(due now: Instant) -> (() -> Void)? {
        guard let first = heap.first, first.instant <= now else { return nil }
        remove(at: 0)
        return first.action
    }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        heap[left].instant != heap[right].instant
            ? heap[left].instant < heap[right].instant : heap[left].number < heap[right].number
    }

    private mutating func remove(at index: Int) {
        let last = heap.count - 1
        heap.swapAt(index, last)
        heap.removeLast()
        guard index < last else { return }
        // What came from the end may belong further down, or, in another branch, further up.
        sink(index)
        rise(index)
    }

    private mutating func rise(_ start: Int) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            if !precedes(index, parent) { return }
            heap.swapAt(index, parent)
            index = parent
        }
    }

    private mutating func sink(_ start: Int) {
        var index = start
        while true {
            var smallest = index
            let left = 2 * index + 1
            if left < heap.count, precedes(left, smallest) { smallest = left }
            if left + 1 < heap.count, precedes(left + 1, smallest) { smallest = left + 1 }
            if smallest == index { return }
            heap.swapAt(index, smallest)
            index = smallest
        }
    }
}
