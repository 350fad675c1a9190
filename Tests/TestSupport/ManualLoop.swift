import CShim
import Platform

/// A loop whose time stands still until a test moves it.
public final class ManualLoop: Loop, TimeSource {
    public private(set) var now: Instant
    /// May be stepped at will; also moves with `advance`.
    public var wallTime: WallTime
    public private(set) var isSynchronised = true
    public func setSynchronised(_ isSynchronised: Bool) { self.isSynchronised = isSynchronised }
    private var timers = TimerQueue()
    private var watchers: [Int32: () -> Void] = [:]

    /// Starts at a monotonic time of 1,000 s, on 2026-11-20 at 16:52:02 UTC.
    public init(
        now: Instant = Instant(nanoseconds: 1_000_000_000_000),
        wallTime: WallTime = WallTime(nanoseconds: 1_795_193_522_000_000_000)
    ) {
        self.now = now
        self.wallTime = wallTime
    }

    public var time: any TimeSource { self }

    @discardableResult
    public func at(_ instant: Instant, _ action: @escaping () -> Void) -> TimerID { timers.add(instant, action) }

    public func cancel(_ timer: TimerID) { timers.cancel(timer) }

    public func watch(_ descriptor: Int32, _ action: @escaping () -> Void) throws(SystemError) {
        watchers[descriptor] = action
    }

    public func unwatch(_ descriptor: Int32) { watchers[descriptor] = nil }

    /// Moves both clocks by `interval`; timers run at their own instants, in order, and readable descriptors
    /// are handled after each of them.
    public func advance(by interval: Interval) {
        let end = now + interval
        poll()
        while let due = timers.earliest(), due <= end {
            if due > now { move(to: due) }
            while let action = timers.take(due: now) { action() }
            poll()
        }
        move(to: end)
        poll()
    }

    /// Handles the descriptors that can be read now, without moving time.
    public func poll() {
        // An action may make another descriptor readable; a bound keeps a defect from hanging the test.
        for _ in 0..<1_000 {
            var ran = false
            for descriptor in watchers.keys.sorted() {
                var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                if CShim.poll(&entry, 1, 0) > 0, let action = watchers[descriptor] {
                    action()
                    ran = true
                }
            }
            if !ran { return }
        }
    }

    private func move(to instant: Instant) {
        wallTime = wallTime + (instant - now)
        now = instant
    }
}

/// Runs each job when it is handed over, and its completion with it.
public final class InlineWorkQueue: WorkQueue {
    public init() {}
    public let pending = 0
    public func perform(_ job: @escaping () -> Void, completion: @escaping () -> Void) {
        job()
        completion()
    }
}

/// A log that keeps its lines.
public final class LogRecorder {
    public private(set) var lines: [String] = []
    public init() {}
    public var log: Log {
        Log(level: .debug) { [self] level, text in lines.append("\(level): \(text)") }
    }
}
