import Platform

/// Sends actuators to their safe values when the brokers have been away for as long as each permits.
public final class DisconnectGuard {
    private struct Watched {
        let actuator: Actuator
        let after: Interval
    }

    private let watched: [Watched]
    private let loop: any Loop
    private let log: Log
    private var isAway = false
    private var timers: [TimerID] = []

    /// - Parameter standard: what holds for an actuator that says nothing itself.
    public init(_ actuators: [Actuator], standard: DisconnectRule, loop: any Loop, log: Log) {
        self.loop = loop
        self.log = log
        var watched: [Watched] = []
        for actuator in actuators {
            if case .safe(let after) = actuator.plan.restraints.onDisconnect ?? standard {
                watched.append(Watched(actuator: actuator, after: after))
            }
        }
        self.watched = watched
    }

    deinit { cancel() }

    /// Tells whether the brokers are there.
    /// - Parameter since: when they went away; `nil` is now.
    public func linkChanged(isUp: Bool, since: Instant? = nil) {
        // Told twice that they are away, it counts from the first time.
        if isUp != isAway { return }
        isAway = !isUp
        cancel()
        if isUp {
            for entry in watched { entry.actuator.held = nil }
            return
        }
        let start = since ?? loop.time.now
        for entry in watched {
            timers.append(
                loop.at(start + entry.after) { [unowned(unsafe) self] in
                    // What waits for the disk or its turn comes too late.
                    entry.actuator.held = .disconnect
                    if entry.actuator.isSafe, !entry.actuator.isBusy { return }
                    log.warning(
                        joined(
                            "actuator ", entry.actuator.id, ": the brokers have been away for ",
                            decimal(entry.after.milliseconds), " ms (on_disconnect); going to the safe value"))
                    entry.actuator.makeSafe(.disconnect) { _ in }
                })
        }
    }

    private func cancel() {
        for timer in timers { loop.cancel(timer) }
        timers = []
    }
}
