import Platform

/// A kernel whose word a test puts in its mouth.
final class FakeWallClock: WallClock {
    var isSynchronised: Bool
    var onStep: (() -> Void)?
    init(isSynchronised: Bool = false) { self.isSynchronised = isSynchronised }
}

/// The clocks of a machine that has just started.
final class YoungTime: TimeSource {
    private let system = SystemTime()
    private let boot: Interval

    init() { boot = system.now - Instant(nanoseconds: 0) }

    var now: Instant { system.now - boot }
    var wallTime: WallTime { system.wallTime }
    var isSynchronised: Bool { system.isSynchronised }
    func setSynchronised(_ isSynchronised: Bool) { system.setSynchronised(isSynchronised) }
}
