import Platform

/// Knows whether wall time can be trusted: from the kernel's word and from each step of the clock, or because the
/// configuration says so. Whoever has the loop's time sees the answer in `isSynchronised`.
///
/// Nothing tells when the clock becomes synchronised without a step, so until then the kernel is asked: each second in
/// the time that samples wait, more and more seldom after that. Once it is synchronised only a step is a reason to ask
/// again. That the kernel takes its word back hours after the network has gone is not one: the clock has drifted by a
/// second then, and the timestamps are still worth more than the word.
public final class ClockWatch {
    public enum State: Equatable, Sendable {
        /// Not synchronised, with hope: samples wait.
        case waiting
        /// Not synchronised, for longer than samples wait.
        case unsynced
        case synchronised
    }

    public private(set) var state = State.synchronised
    /// When it became synchronised while the agent ran: what was taken before is corrected. `nil` if it was from the start.
    public private(set) var knownSince: Instant?
    /// Steps of the clock since the start.
    public private(set) var steps: UInt64 = 0
    /// Called with the former state.
    public var onChange: ((State) -> Void)?

    let loop: any Loop
    private let log: Log
    private let wallClock: (any WallClock)?
    private var timer: TimerID?
    private var pause = ClockWatch.shortestPause
    /// When samples stop waiting.
    private let deadline: Instant
    /// Wall time less monotonic time: only a step changes it by much.
    private var offset: Interval

    static var shortestPause: Interval { .seconds(1) }
    static var longestPause: Interval { .seconds(30) }

    /// - Parameter wallClock: what the kernel says; `nil` takes the wall clock for right.
    public init(settings: ClockSettings, wallClock: (any WallClock)?, loop: any Loop, log: Log) {
        self.loop = loop
        self.log = log
        self.wallClock = wallClock
        // CLOCK_MONOTONIC counts from the start of the machine.
        deadline = Instant(nanoseconds: 0) + settings.wait
        offset = Self.offset(loop.time)
        guard let wallClock, !wallClock.isSynchronised else {
            loop.time.setSynchronised(true)
            wallClock?.onStep = { [unowned(unsafe) self] in self.stepped() }
            return
        }
        loop.time.setSynchronised(false)
        wallClock.onStep = { [unowned(unsafe) self] in self.stepped() }
        if loop.time.now < deadline {
            state = .waiting
            let seconds = (deadline - loop.time.now).millisecondsRoundedUp / 1_000
            log.warning(
                joined(
                    "the clock is not synchronised: records wait for it, for up to ", decimal(seconds),
                    " s (clock.wait); commands with `expires` are rejected"))
        } else {
            state = .unsynced
            sayUnsynced()
        }
        ask()
    }

    deinit {
        wallClock?.onStep = nil
        if let timer { loop.cancel(timer) }
    }

    /// Asks the kernel in a while.
    private func ask() {
        if let timer { loop.cancel(timer) }
        var next = loop.time.now + pause
        if state == .waiting { next = min(next, deadline) }
        timer = loop.at(next) { [unowned(unsafe) self] in
            timer = nil
            if state == .unsynced { pause = min(pause * 2, Self.longestPause) }
            look()
        }
    }

    private func look() {
        guard let wallClock else { return }
        let before = state
        if wallClock.isSynchronised {
            if let timer { loop.cancel(timer) }
            timer = nil
            if state == .synchronised { return }
            state = .synchronised
            knownSince = loop.time.now
            log.info(
                joined(
                    "the clock is synchronised, ", decimal(loop.time.now.nanoseconds / 1_000_000_000),
                    " s after the start of the machine"))
        } else {
            if state == .synchronised || (state == .waiting && loop.time.now >= deadline) {
                state = .unsynced
                pause = Self.shortestPause
                sayUnsynced()
            }
            ask()
        }
        if state == before { return }
        loop.time.setSynchronised(state == .synchronised)
        onChange?(before)
    }

    private func stepped() {
        let now = Self.offset(loop.time)
        let change = now - offset
        offset = now
        steps += 1
        let milliseconds = change.milliseconds
        log.info(
            joined(
                "the wall clock was set ", milliseconds < 0 ? "back" : "forward", " by ",
                decimal(milliseconds.magnitude / 1_000), ".", decimal(milliseconds.magnitude % 1_000 / 100), " s"))
        // A daemon that has set it will call it synchronised soon; somebody else who has makes it unsynchronised.
        pause = Self.shortestPause
        look()
    }

    private func sayUnsynced() {
        log.warning(
            "the clock is not synchronised: records carry \"clock\":\"unsynced\", commands with `expires` are rejected; "
                + "see to NTP (timedatectl), or say `clock: trust` where the clock is right without it")
    }

    private static func offset(_ time: any TimeSource) -> Interval {
        Interval(nanoseconds: time.wallTime.nanoseconds &- time.now.nanoseconds)
    }
}
