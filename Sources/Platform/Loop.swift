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

    /// The timer will not run. No effect when it has run already.
    func cancel(_ timer: TimerID)

    /// Runs `action` whenever `descriptor` can be read (level-triggered: until it has been read empty).
    func watch(_ descriptor: Int32, _ action: @escaping () -> Void) throws(SystemError)

    /// Ends `watch`. Call it before the descriptor is closed.
    func unwatch(_ descriptor: Int32)
}

extension Loop {
    /// Runs `action` once, `interval` from now.
    // Always inlined: Embedded Swift makes a trap of a protocol extension's method that is called on `any Loop`.
    @discardableResult
    @inline(__always)
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
    /// Jobs handed over whose completion has not run yet.
    var pending: Int { get }
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
    private var waiting: Set<UInt64> = []
    private var next: UInt64 = 1

    public init() {}

    public mutating func add(_ instant: Instant, _ action: @escaping () -> Void) -> TimerID {
        let entry = Entry(instant: instant, number: next, action: action)
        next += 1
        waiting.insert(entry.number)
        heap.append(entry)
        var index = heap.count - 1
        while index > 0 {
            let parent = (index - 1) / 2
            if !precedes(index, parent) { break }
            heap.swapAt(index, parent)
            index = parent
        }
        return TimerID(number: entry.number)
    }

    public mutating func cancel(_ timer: TimerID) {
        waiting.remove(timer.number)
        // Cancelled entries leave when they come up; many of them at once leave now, so that they cannot pile up.
        if heap.count > 64, waiting.count < heap.count / 2 {
            let live = heap.filter { waiting.contains($0.number) }
            heap = live.sorted { $0.instant != $1.instant ? $0.instant < $1.instant : $0.number < $1.number }
        }
    }

    /// When the next timer is due.
    public mutating func earliest() -> Instant? {
        while let first = heap.first {
            if waiting.contains(first.number) { return first.instant }
            removeFirst()
        }
        return nil
    }

    /// Takes the next timer due at or before `now`.
    public mutating func take(due now: Instant) -> (() -> Void)? {
        guard let instant = earliest(), instant <= now, let first = heap.first else { return nil }
        removeFirst()
        waiting.remove(first.number)
        return first.action
    }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        heap[left].instant != heap[right].instant
            ? heap[left].instant < heap[right].instant : heap[left].number < heap[right].number
    }

    private mutating func removeFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var index = 0
        while true {
            var smallest = index
            for child in [2 * index + 1, 2 * index + 2] where child < heap.count && precedes(child, smallest) {
                smallest = child
            }
            if smallest == index { return }
            heap.swapAt(index, smallest)
            index = smallest
        }
    }
}
