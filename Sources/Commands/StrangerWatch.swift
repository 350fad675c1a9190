import Configuration
import Platform

/// Messages of nobody known, where there are keys. Few of them are answered: who writes to the topic without a key must not
/// make the node flood the topic of replies. The log says that they come, the first at once, then how many in a minute.
final class StrangerWatch {
    /// How many were not answered.
    private(set) var unanswered: UInt64 = 0
    private let limiter = ReplyLimiter()
    private let loop: any Loop
    private let log: Log
    /// Those that the log does not know of.
    private var unsaid: UInt64 = 0
    /// The topic of the first of them, and what was wrong with it.
    private var first = ""
    private var timer: TimerID?

    /// From one line to the next.
    static var pause: Interval { .seconds(60) }

    init(loop: any Loop, log: Log) {
        self.loop = loop
        self.log = log
    }

    /// A message is refused.
    /// - Returns: whether to answer.
    func admit(_ topic: String, _ reason: String) -> Bool {
        if unsaid == 0 { first = joined(" on ", topic, ": ", escaped(reason, limit: 256)) }
        unsaid += 1
        if timer == nil { say() }
        if limiter.admit(at: loop.time.now) { return true }
        unanswered += 1
        return false
    }

    /// Says what has not been said.
    func stop() {
        if let timer { loop.cancel(timer) }
        timer = nil
        if unsaid > 0 { write() }
    }

    private func say() {
        if unsaid == 0 { return }
        write()
        timer = loop.after(Self.pause) { [unowned(unsafe) self] in
            timer = nil
            say()
        }
    }

    private func write() {
        log.warning(joined("commands: ", decimal(unsaid), " of nobody known refused, the first", first))
        unsaid = 0
    }
}
