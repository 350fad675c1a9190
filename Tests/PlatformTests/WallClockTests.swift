import Platform
import TestSupport
import Testing

@Suite struct WallClockTests {
    /// Nobody steps the clock of a machine that runs tests; what can be seen is that the watch is quiet then.
    @Test func withoutAStepThereIsNoNews() throws {
        let loop = try EventLoop()
        let clock = KernelWallClock(loop: loop)
        var steps = 0
        clock.onStep = { steps += 1 }
        var turns = 0
        loop.after(.milliseconds(50)) { turns += 1 }
        #expect(try loop.wait { turns == 1 })
        #expect(steps == 0)
        #expect(clock.isSynchronised == KernelWallClock.isSynchronised)
    }

    @Test func whatIsSaidOfATimeIsKnownToAllWhoHaveIt() throws {
        let loop = try EventLoop()
        #expect(loop.time.isSynchronised)
        loop.time.setSynchronised(false)
        #expect(!loop.time.isSynchronised)
    }
}
