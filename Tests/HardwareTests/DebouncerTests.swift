import CShim
import Platform
import Testing

@testable import Hardware

@Suite struct DebouncerTests {
    private func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }
    private func edge(_ active: Bool, _ milliseconds: Int64) -> EdgeEvent {
        EdgeEvent(active: active, timestamp: at(milliseconds))
    }

    @Test func aLevelThatLastsIsReportedAtTheEndOfTheWait() {
        var debouncer = Debouncer(interval: .milliseconds(20), level: false)
        #expect(debouncer.note(edge(true, 100)) == nil)
        #expect(debouncer.deadline == at(120))
        #expect(debouncer.settle(at: at(119), level: true) == nil)
        #expect(!debouncer.level)
        // The loop may be late; the stamp is not.
        #expect(debouncer.settle(at: at(125), level: true) == edge(true, 120))
        #expect(debouncer.level)
        #expect(debouncer.deadline == nil)
        #expect(debouncer.settle(at: at(500), level: true) == nil)
    }

    @Test func bouncesStartTheWaitAnew() {
        var debouncer = Debouncer(interval: .milliseconds(20), level: false)
        for (index, time) in [100, 105, 112, 118, 125].enumerated() {
            #expect(debouncer.note(edge(index.isMultiple(of: 2), Int64(time))) == nil)
        }
        #expect(debouncer.settle(at: at(144), level: true) == nil)
        #expect(debouncer.settle(at: at(145), level: true) == edge(true, 145))
    }

    @Test func aGlitchIsNeverReported() {
        var debouncer = Debouncer(interval: .milliseconds(20), level: false)
        #expect(debouncer.note(edge(true, 100)) == nil)
        #expect(debouncer.note(edge(false, 110)) == nil)
        #expect(debouncer.settle(at: at(130), level: false) == nil)
        #expect(debouncer.deadline == nil)
        #expect(!debouncer.level)
    }

    @Test func edgesReadLateInOneBatchSettleInTheirOwnTime() {
        var debouncer = Debouncer(interval: .milliseconds(20), level: false)
        #expect(debouncer.note(edge(true, 100)) == nil)
        #expect(debouncer.note(edge(false, 200)) == edge(true, 120))
        #expect(debouncer.note(edge(true, 300)) == edge(false, 220))
        #expect(debouncer.settle(at: at(1_000), level: true) == edge(true, 320))
    }

    @Test func aLevelThatContradictsTheLastEdgeIsWaitedForAnew() {
        // Edges were lost: the last one said high, the line is low.
        var debouncer = Debouncer(interval: .milliseconds(20), level: true)
        #expect(debouncer.note(edge(true, 100)) == nil)
        #expect(debouncer.settle(at: at(130), level: false) == nil)
        #expect(debouncer.deadline == at(150))
        #expect(debouncer.settle(at: at(150), level: false) == edge(false, 150))
    }

    @Test func theTimerWakesWhoWaitsForTheLine() throws {
        let line = try Descriptor.event()
        let timer = try SettlingTimer.merged(with: line.number)
        #expect(!isReadable(timer.descriptor))
        line.signal()
        #expect(isReadable(timer.descriptor))
        line.drain()
        #expect(!isReadable(timer.descriptor))
        // Long past, and the instant that a timerfd takes for "never".
        for nanoseconds: Int64 in [1, 0, -5] {
            try timer.set(Instant(nanoseconds: nanoseconds))
            #expect(isReadable(timer.descriptor))
            try timer.set(nil)
            #expect(!isReadable(timer.descriptor))
        }
        try timer.set(SystemTime().now + .seconds(3_600))
        #expect(!isReadable(timer.descriptor))
    }
}

/// Whether a wait for `descriptor` would return at once.
func isReadable(_ descriptor: Int32) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, 0) == 1
}

/// The error that `body` throws.
func failure<E: Error>(_ type: E.Type = E.self, _ body: () throws(E) -> Void) -> E? {
    do throws(E) {
        try body()
        return nil
    } catch {
        return error
    }
}
