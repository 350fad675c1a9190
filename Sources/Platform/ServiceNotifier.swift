import CShim

/// Tells the service manager how the agent is (`Type=notify`, `WatchdogSec=`); silent where there is none.
public final class ServiceNotifier {
    private let loop: any Loop
    private let log: Log
    private var failed = false

    public init(loop: any Loop, log: Log) {
        self.loop = loop
        self.log = log
    }

    /// The agent does its work from now on. Begins to answer the watchdog where the unit asks for it.
    public func ready(status: String) {
        notify("READY=1\nSTATUS=\(status)")
        guard let period = watchdogPeriod() else { return }
        ping(every: Interval(nanoseconds: period.nanoseconds / 2))
    }

    /// What `systemctl status` shows.
    public func status(_ text: String) { notify("STATUS=\(text)") }

    public func stopping() { notify("STOPPING=1") }

    // From the loop's own timer: a loop that hangs pings no more, and that is the purpose.
    private func ping(every interval: Interval) {
        notify("WATCHDOG=1")
        loop.after(interval) { [unowned(unsafe) self] in ping(every: interval) }
    }

    /// From `WATCHDOG_USEC`, where it is meant for this process (sd_watchdog_enabled(3)).
    private func watchdogPeriod() -> Interval? {
        if let text = getenv("WATCHDOG_PID"), wholeNumber(String(cString: text)) != Int64(getpid()) { return nil }
        guard let text = getenv("WATCHDOG_USEC"), let period = wholeNumber(String(cString: text)), period > 0,
            period < Int64.max / 1_000
        else { return nil }
        return .microseconds(period)
    }

    private func notify(_ message: String) {
        do throws(SystemError) {
            try systemCall("sendto", on: "NOTIFY_SOCKET") { message.withCString { kedge_notify($0) } }
            failed = false
        } catch {
            if !failed { log.warning("the service manager cannot be told: \(error.description)") }
            failed = true
        }
    }
}
