import Testing

@testable import Platform

/// Each in a process of its own, which the guard may end.
@Suite struct StallGuardTests {
    @Test func aLoopThatStandsStillEndsTheProcess() async {
        await #expect(processExitsWith: .exitCode(70)) {
            let loop = try EventLoop()
            let guardian = StallGuard(loop: loop, limit: .seconds(1))
            guardian.start()
            _ = loop.after(.zero) { while true {} }
            try loop.run()
        }
    }

    @Test func aLoopThatTurnsWindsTheAlarmAgain() async {
        await #expect(processExitsWith: .success) {
            let loop = try EventLoop()
            let guardian = StallGuard(loop: loop, limit: .seconds(3))
            guardian.start()
            _ = loop.after(.seconds(4)) { loop.stop() }
            try loop.run()
        }
    }

    @Test func afterTheStopNothingRings() async {
        await #expect(processExitsWith: .success) {
            let loop = try EventLoop()
            let guardian = StallGuard(loop: loop, limit: .seconds(1))
            guardian.start()
            guardian.stop()
            // Two seconds of processor time, which are at least two seconds.
            let end = loop.time.now + .seconds(2)
            while loop.time.now < end {}
        }
    }
}
