import CShim

/// What the kernel tells about the wall clock, beside its reading. Injected, so that tests own it.
public protocol WallClock: AnyObject {
    /// Whether something (NTP, PTP, a GPS receiver) keeps the clock right, as far as the kernel knows.
    var isSynchronised: Bool { get }
    /// Called from the loop after the clock has been set, by whomever, to another time. Not for gradual corrections.
    var onStep: (() -> Void)? { get set }
}

/// The kernel's own word: `adjtimex(2)`, whose `STA_UNSYNC` every NTP daemon clears, and a `timerfd` that is cancelled by
/// each step of the clock.
public final class KernelWallClock: WallClock {
    public var onStep: (() -> Void)?

    private let loop: any Loop
    private let timer: Descriptor?

    /// Where a sandbox forbids the timer, steps go unnoticed: each wall time is right all the same, as it is read anew.
    public init(loop: any Loop) {
        self.loop = loop
        do throws(SystemError) {
            timer = Descriptor(owning: try systemCall("timerfd_create") { kedge_step_timer() })
        } catch {
            timer = nil
        }
        guard let timer else { return }
        do throws(SystemError) {
            try loop.watch(timer.number) { [unowned(unsafe) self] in self.read() }
        } catch {
            // As without the timer.
        }
    }

    deinit { if let timer { loop.unwatch(timer.number) } }

    public var isSynchronised: Bool { Self.isSynchronised }

    /// Asks the kernel. Where it does not tell (a sandbox may forbid the call) the clock counts as not synchronised.
    public static var isSynchronised: Bool { kedge_clock_is_synchronised() }

    private func read() {
        guard let timer, kedge_step_timer_read(timer.number) else { return }
        onStep?()
    }
}
