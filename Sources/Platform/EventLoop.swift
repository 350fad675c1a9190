import CShim

/// The agent's one thread: timers, descriptors and signals through `epoll(7)`.
public final class EventLoop: Loop {
    public let time: any TimeSource
    private let epoll: Descriptor
    private var timers = TimerQueue()
    /// Few: one for each Kafka client, bus and GPIO line.
    private var watchers: [(descriptor: Int32, action: () -> Void)] = []
    private var signals: Descriptor?
    private var running = false

    public init(time: any TimeSource = SystemTime()) throws(SystemError) {
        self.time = time
        epoll = Descriptor(owning: try systemCall("epoll_create1") { epoll_create1(Int32(EPOLL_CLOEXEC)) })
    }

    @discardableResult
    public func at(_ instant: Instant, _ action: @escaping () -> Void) -> TimerID { timers.add(instant, action) }

    public func cancel(_ timer: TimerID) { timers.cancel(timer) }

    public func watch(_ descriptor: Int32, _ action: @escaping () -> Void) throws(SystemError) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.fd = descriptor
        try systemCall("epoll_ctl") { epoll_ctl(epoll.number, EPOLL_CTL_ADD, descriptor, &event) }
        watchers.append((descriptor, action))
    }

    public func unwatch(_ descriptor: Int32) {
        guard let index = watcher(of: descriptor) else { return }
        watchers.remove(at: index)
        _ = epoll_ctl(epoll.number, EPOLL_CTL_DEL, descriptor, nil)
    }

    /// Takes the given signals as events, in this thread and in all started later.
    /// Call it before any other thread exists: librdkafka's and the workers' inherit the mask.
    public func onSignals(_ numbers: [Int32], _ action: @escaping (Int32) -> Void) throws(SystemError) {
        let descriptor = Descriptor(owning: try systemCall("signalfd") { kedge_signalfd(numbers, numbers.count) })
        signals = descriptor
        try watch(descriptor.number) {
            var info = signalfd_siginfo()
            let size = MemoryLayout<signalfd_siginfo>.size
            while read(descriptor.number, &info, size) == size { action(Int32(info.ssi_signo)) }
        }
    }

    /// What to do when the end is asked for; forgotten after the first time.
    public var onEnd: (() -> Void)?

    /// Asks for the end: `onEnd` first, `stop()` when that has been had already, or was never there.
    public func endRequested() {
        guard let onEnd else {
            stop()
            return
        }
        self.onEnd = nil
        onEnd()
    }

    /// Runs until `stop()`.
    public func run() throws(SystemError) {
        running = true
        while running { try turn(atMost: nil) }
    }

    /// `run()` returns after the action that calls this.
    public func stop() { running = false }

    /// Waits for the next event and handles what is due.
    /// - Parameter limit: the longest wait; `nil` waits until something happens.
    public func turn(atMost limit: Interval?) throws(SystemError) {
        var wait = limit
        if let due = timers.earliest() {
            let left = max(.zero, due - time.now)
            wait = min(wait ?? left, left)
        }
        // Rounded up: a wait that ends too early would turn the loop once for nothing.
        let milliseconds = wait.map { Int32(clamping: $0.millisecondsRoundedUp) } ?? -1
        let count = try systemCall("epoll_wait") {
            epoll_wait(epoll.number, events, Self.eventCapacity, milliseconds)
        }
        for index in 0..<Int(count) {
            // An earlier action of this round may have ended the watch.
            if let watcher = watcher(of: events[index].data.fd) { watchers[watcher].action() }
        }
        // Only what is due now: a timer that sets itself again must not keep the descriptors waiting.
        let now = time.now
        while let action = timers.take(due: now) { action() }
    }

    private func watcher(of descriptor: Int32) -> Int? { watchers.firstIndex { $0.descriptor == descriptor } }

    private static let eventCapacity: Int32 = 32
    private let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: Int(eventCapacity))

    deinit { events.deallocate() }
}
