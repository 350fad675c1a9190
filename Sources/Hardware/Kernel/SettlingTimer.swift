import CShim
import Platform

/// A line's descriptor and a `timerfd` behind one `epoll` descriptor, so that whoever waits for the line's edges
/// also wakes when a debounced level has lasted.
final class SettlingTimer {
    private let epoll: Descriptor
    private let timer: Descriptor

    private init(epoll: Descriptor, timer: Descriptor) {
        self.epoll = epoll
        self.timer = timer
    }

    /// - Parameter line: stays its owner's, who closes it after this.
    static func merged(with line: Int32) throws(SystemError) -> SettlingTimer {
        let epoll = Descriptor(owning: try systemCall("epoll_create1") { epoll_create1(Int32(EPOLL_CLOEXEC)) })
        let timer = Descriptor(
            owning: try systemCall("timerfd_create") {
                timerfd_create(CLOCK_MONOTONIC, Int32(TFD_CLOEXEC) | Int32(TFD_NONBLOCK))
            })
        for descriptor in [line, timer.number] {
            var event = epoll_event()
            event.events = EPOLLIN.rawValue
            event.data.fd = descriptor
            try systemCall("epoll_ctl") { epoll_ctl(epoll.number, EPOLL_CTL_ADD, descriptor, &event) }
        }
        return SettlingTimer(epoll: epoll, timer: timer)
    }

    /// Readable when the line has an edge or the time has come.
    var descriptor: Int32 { epoll.number }

    /// Sets the time, or with `nil` none; either way a time that has come is forgotten.
    func set(_ instant: Instant?) throws(SystemError) {
        var setting = itimerspec()
        if let instant {
            // All zeros would mean "never".
            let nanoseconds = max(1, instant.nanoseconds)
            setting.it_value.tv_sec = .init(nanoseconds / 1_000_000_000)
            setting.it_value.tv_nsec = .init(nanoseconds % 1_000_000_000)
        }
        try systemCall("timerfd_settime") {
            timerfd_settime(timer.number, Int32(TFD_TIMER_ABSTIME), &setting, nil)
        }
    }
}
