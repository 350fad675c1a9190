import CShim

/// A length of time in nanoseconds, from 292 years back to 292 years ahead.
public struct Interval: Equatable, Comparable, Hashable, Sendable {
    public var nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static let zero = Interval(nanoseconds: 0)
    public static func nanoseconds(_ count: Int64) -> Interval { Interval(nanoseconds: count) }
    public static func microseconds(_ count: Int64) -> Interval { Interval(nanoseconds: count &* 1_000) }
    public static func milliseconds(_ count: Int64) -> Interval { Interval(nanoseconds: count &* 1_000_000) }
    public static func seconds(_ count: Int64) -> Interval { Interval(nanoseconds: count &* 1_000_000_000) }

    /// Whole milliseconds, rounded up, so that a wait for them is never too short.
    public var millisecondsRoundedUp: Int64 { (nanoseconds &+ 999_999) / 1_000_000 }
    public var milliseconds: Int64 { nanoseconds / 1_000_000 }
    public var seconds: Double { Double(nanoseconds) / 1e9 }

    public static func < (left: Interval, right: Interval) -> Bool { left.nanoseconds < right.nanoseconds }
    public static func + (left: Interval, right: Interval) -> Interval {
        Interval(nanoseconds: left.nanoseconds &+ right.nanoseconds)
    }
    public static func - (left: Interval, right: Interval) -> Interval {
        Interval(nanoseconds: left.nanoseconds &- right.nanoseconds)
    }
    public static func * (left: Interval, right: Int64) -> Interval {
        Interval(nanoseconds: left.nanoseconds &* right)
    }
}

/// A point on the monotonic clock (`CLOCK_MONOTONIC`): never stepped, meaningless across boots.
/// The kernel stamps GPIO edges on the same clock.
public struct Instant: Equatable, Comparable, Hashable, Sendable {
    /// Since an arbitrary point, in practice the boot.
    public var nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }
    public static func + (left: Instant, right: Interval) -> Instant {
        Instant(nanoseconds: left.nanoseconds &+ right.nanoseconds)
    }
    public static func - (left: Instant, right: Interval) -> Instant {
        Instant(nanoseconds: left.nanoseconds &- right.nanoseconds)
    }
    public static func - (left: Instant, right: Instant) -> Interval {
        Interval(nanoseconds: left.nanoseconds &- right.nanoseconds)
    }
}

/// A point on the wall clock (`CLOCK_REALTIME`): may be stepped, and is wrong before the first synchronisation.
public struct WallTime: Equatable, Comparable, Hashable, Sendable {
    /// Since 1970-01-01T00:00:00Z, leap seconds not counted (POSIX).
    public var nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public var milliseconds: Int64 { nanoseconds / 1_000_000 }
    public static func < (left: WallTime, right: WallTime) -> Bool { left.nanoseconds < right.nanoseconds }
    public static func + (left: WallTime, right: Interval) -> WallTime {
        WallTime(nanoseconds: left.nanoseconds &+ right.nanoseconds)
    }
    public static func - (left: WallTime, right: WallTime) -> Interval {
        Interval(nanoseconds: left.nanoseconds &- right.nanoseconds)
    }
}

/// The two clocks. Injected everywhere, so that tests own time.
public protocol TimeSource: AnyObject {
    var now: Instant { get }
    var wallTime: WallTime { get }
    /// The wall time at which the monotonic clock showed `instant`, by today's offset between the two.
    // A requirement although it has a default: Embedded Swift cannot call an extension's method on an existential.
    func wallTime(at instant: Instant) -> WallTime
    /// Whether the wall time is known, as far as anybody has said (`setSynchronised`); until then it is taken for known.
    var isSynchronised: Bool { get }
    /// Says whether the wall time is known, to all who have this time.
    func setSynchronised(_ isSynchronised: Bool)
}

extension TimeSource {
    public func wallTime(at instant: Instant) -> WallTime { wallTime + (instant - now) }
}

/// The kernel's clocks.
public final class SystemTime: TimeSource {
    public init() {}

    public var now: Instant { Instant(nanoseconds: Self.read(CLOCK_MONOTONIC)) }
    public var wallTime: WallTime { WallTime(nanoseconds: Self.read(CLOCK_REALTIME)) }
    public private(set) var isSynchronised = true
    public func setSynchronised(_ isSynchronised: Bool) { self.isSynchronised = isSynchronised }

    public func wallTime(at instant: Instant) -> WallTime {
        Self.wallTime(at: instant, monotonic: { Self.read(CLOCK_MONOTONIC) }, wall: { Self.read(CLOCK_REALTIME) })
    }

    /// A thread that is held up between the looks at the two clocks would take that time for a difference between them. So the
    /// monotonic one is looked at before and after, and where that took long the shortest of a few attempts counts.
    @inline(__always)
    static func wallTime(at instant: Instant, monotonic: () -> Int64, wall: () -> Int64) -> WallTime {
        var shortest = Int64.max
        var found: Int64 = 0
        for _ in 0..<4 where shortest > longestLook {
            let before = monotonic()
            let time = wall()
            let span = monotonic() - before
            if span < shortest { (shortest, found) = (span, time - before - span / 2) }
        }
        return WallTime(nanoseconds: instant.nanoseconds &+ found)
    }

    /// In nanoseconds: many times what both looks take on a slow board.
    private static var longestLook: Int64 { 20_000 }

    private static func read(_ clock: Int32) -> Int64 {
        var time = timespec()
        // Cannot fail: both clocks exist on every Linux and the pointer is ours.
        _ = clock_gettime(clock, &time)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}
