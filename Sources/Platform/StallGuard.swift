import CShim

/// Ends the process when the loop has stood still for too long, because a loop that stands still ends no lease and
/// hears no command.
///
/// The kernel's alarm clock does it (alarm(2)), which no stuck thread can hold up: the loop winds it again and again,
/// and when it rings the process writes a line and exits. The service manager starts it anew, and a start begins with all
/// actuators at their safe values. Driving them from a second thread instead would mean to drive what the stuck loop
/// may be in the middle of driving. systemd's watchdog does the same later, and only where there is a systemd.
public final class StallGuard {
    private let loop: any Loop
    private let limit: Interval
    private var timer: TimerID?

    /// - Parameter limit: longer than anything that the loop may rightly be busy with; whole seconds.
    public init(loop: any Loop, limit: Interval = .seconds(20)) {
        self.loop = loop
        self.limit = limit
    }

    deinit { stop() }

    public func start() {
        kedge_exit_after(UInt32(clamping: limit.milliseconds / 1_000))
        timer = loop.after(Interval(nanoseconds: limit.nanoseconds / 5)) { [unowned(unsafe) self] in start() }
    }

    public func stop() {
        guard let timer else { return }
        loop.cancel(timer)
        self.timer = nil
        kedge_exit_after(0)
    }
}
