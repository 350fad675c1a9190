import Agent
import Filters
import Foundation
import Outbox
import Platform
import Records
import TestSupport
import Testing

/// A telemetry path of one sensor that samples each second, on a loop whose two clocks the test moves.
private final class Bench {
    /// A machine that has just started: its wall clock is where the last shutdown left it.
    static let boot = WallTime(nanoseconds: 1_790_000_000_000_000_000)
    /// What the time is really.
    static let truth = WallTime(nanoseconds: 1_795_193_522_000_000_000)

    let loop: ManualLoop
    let wallClock: FakeWallClock
    let recorder = LogRecorder()
    let clock: ClockWatch
    let path: TelemetryPath
    let outbox: Outbox
    private let transport = Transport()
    private var isSampling = true
    private var taken = 0
    private let every: Interval

    init(
        _ settings: ClockSettings = ClockSettings(), up: Interval = .seconds(10), isSynchronised: Bool = false,
        every: Interval = .seconds(1)
    ) {
        loop = ManualLoop(now: Instant(nanoseconds: 0) + up, wallTime: Self.boot + up)
        wallClock = FakeWallClock(isSynchronised: isSynchronised)
        self.every = every
        outbox = Outbox(
            settings: OutboxSettings(), node: "n", boot: "b", transport: transport, loop: loop, log: recorder.log)
        clock = ClockWatch(
            settings: settings, wallClock: settings.source == .trust ? nil : wallClock, loop: loop, log: recorder.log)
        path = TelemetryPath(
            lanes: [.init(series: Series(sensorID: "s", unit: nil), filters: FilterChain(), topic: TopicID(0))],
            settings: RecordSettings(), outbox: outbox, time: loop, clock: clock, maxWaiting: settings.maxMemory)
        sample()
    }

    private func sample() {
        guard isSampling else { return }
        path.accept(Sample(series: SeriesID(0), value: .integer(Int64(taken)), taken: loop.now))
        taken += 1
        loop.after(every) { [unowned self] in sample() }
    }

    var count: Int { taken }

    /// As somebody or something sets the clock.
    func step(by interval: Interval) {
        loop.wallTime = loop.wallTime + interval
        wallClock.onStep?()
    }

    /// As an NTP daemon does.
    func synchronise() {
        loop.wallTime = Self.truth + (loop.now - Instant(nanoseconds: 0))
        wallClock.isSynchronised = true
        wallClock.onStep?()
    }

    func finish() {
        isSampling = false
        path.finish()
    }

    struct Row: Equatable {
        let number: Int
        let clock: String?
        let timestamp: Double
        let id: String
    }

    var rows: [Row] {
        transport.taken.map { entry in
            let fields = (try? JSONSerialization.jsonObject(with: entry.payload)) as? [String: Any] ?? [:]
            return Row(
                number: (fields["value"] as? NSNumber)?.intValue ?? -1, clock: fields["clock"] as? String,
                timestamp: (fields["timestamp"] as? NSNumber)?.doubleValue ?? .nan, id: entry.id)
        }
    }

    var states: [String?] { rows.map { $0.clock } }

    /// Every sample is there once, in order, with the id that belongs to its place.
    func expectAllInOrder(_ location: SourceLocation = #_sourceLocation) {
        let rows = rows
        #expect(rows.map { $0.number } == Array(0..<taken), sourceLocation: location)
        #expect(rows.map { $0.id } == (0..<taken).map { "n/b/\($0 + 1)" }, sourceLocation: location)
        #expect(path.samples == UInt64(taken), sourceLocation: location)
    }

    /// Takes everything and acknowledges it at once.
    private final class Transport: RecordTransport {
        var onDelivery: ((DeliveryToken, DeliveryFailure?) -> Void)?
        var onRoom: (() -> Void)?
        var taken: [(payload: Data, id: String)] = []
        func offer(
            topic: TopicID, key: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, id: UnsafeRawBufferPointer,
            position: Int64, token: DeliveryToken
        ) -> Offer {
            taken.append((Data(payload), String(decoding: id, as: UTF8.self)))
            onDelivery?(token, nil)
            return .taken
        }
    }
}

@Suite struct ClockTests {
    private static let hour = Interval.seconds(3_600)
    private static let tenYears = Interval.seconds(3_652 * 86_400)

    private func time(_ second: Int64) -> Double {
        (Bench.truth + .seconds(second)).nanoseconds == 0
            ? 0 : Double(Bench.truth.milliseconds) / 1_000 + Double(second)
    }

    @Test func aSynchronisedClockIsNotMentioned() {
        let bench = Bench(isSynchronised: true)
        bench.loop.advance(by: .seconds(5))
        bench.expectAllInOrder()
        #expect(bench.count == 6)
        #expect(bench.states.allSatisfy { $0 == nil })
        #expect(bench.loop.isSynchronised)
        #expect(bench.recorder.lines.isEmpty)
    }

    @Test func trustAsksNobody() {
        let bench = Bench(ClockSettings(source: .trust))
        bench.loop.advance(by: .seconds(5))
        bench.expectAllInOrder()
        #expect(bench.states.allSatisfy { $0 == nil })
        #expect(bench.loop.isSynchronised)
    }

    /// NTP steps the clock from the last shutdown's time: what waited gets its right time, to the millisecond.
    @Test func whatWaitedIsCorrected() {
        let bench = Bench()
        #expect(!bench.loop.isSynchronised)
        bench.loop.advance(by: .milliseconds(20_500))
        #expect(bench.rows.isEmpty)
        #expect(bench.path.waitingCount == 21)
        bench.synchronise()
        #expect(bench.loop.isSynchronised)
        bench.loop.advance(by: .seconds(10))
        bench.expectAllInOrder()
        #expect(bench.states == Array(repeating: "corrected", count: 21) + Array(repeating: nil, count: 10))
        // The first was taken 10 s after the start of the machine.
        for row in bench.rows { #expect(abs(row.timestamp - time(Int64(10 + row.number))) < 0.000_5) }
        #expect(bench.recorder.lines.filter { $0.contains("the clock is synchronised, 30 s after") }.count == 1)
    }

    /// A small offset is corrected gradually: there is no step to hear of.
    @Test func synchronisationWithoutAStepIsNoticed() {
        let bench = Bench()
        bench.loop.advance(by: .seconds(3))
        bench.wallClock.isSynchronised = true
        bench.loop.advance(by: .seconds(2))
        bench.expectAllInOrder()
        #expect(bench.states.first == "corrected")
        #expect(bench.states.last == .some(nil))
        // Also long after the wait.
        let late = Bench()
        late.loop.advance(by: .seconds(1_000))
        late.wallClock.isSynchronised = true
        late.loop.advance(by: .seconds(31))
        late.expectAllInOrder()
        #expect(late.states.last == .some(nil))
    }

    @Test func theWaitIsBoundedInTime() {
        let bench = Bench()
        bench.loop.advance(by: .milliseconds(49_900))
        #expect(bench.rows.isEmpty)
        bench.loop.advance(by: .milliseconds(600))
        #expect(bench.rows.count == 51)
        // From here on nothing waits.
        for second in 52...60 {
            bench.loop.advance(by: .seconds(1))
            #expect(bench.rows.count == second)
        }
        bench.expectAllInOrder()
        #expect(bench.states.allSatisfy { $0 == "unsynced" })
        #expect(bench.recorder.lines.filter { $0.contains("clock: trust") }.count == 1)
        // It is not too late.
        bench.synchronise()
        bench.loop.advance(by: .seconds(3))
        bench.expectAllInOrder()
        #expect(bench.states.suffix(3).allSatisfy { $0 == nil })
        #expect(bench.states.prefix(60).allSatisfy { $0 == "unsynced" })
    }

    /// A container, or an agent that is started again: the machine has had its minute.
    @Test func aMachineThatHasBeenUpForLongDoesNotWait() {
        let bench = Bench(up: .seconds(61))
        #expect(bench.states == ["unsynced"])
        #expect(Bench(ClockSettings(wait: .zero), up: .seconds(1)).states == ["unsynced"])
    }

    @Test func theWaitIsBoundedInBytes() {
        let bench = Bench(ClockSettings(maxMemory: 16_000), every: .milliseconds(10))
        bench.loop.advance(by: .seconds(30))
        let held = bench.path.waitingCount
        #expect(held * MemoryLayout<Sample>.stride <= 16_000)
        #expect((held + 1) * MemoryLayout<Sample>.stride > 16_000)
        #expect(bench.rows.count == bench.count - held)
        bench.synchronise()
        bench.loop.advance(by: .seconds(1))
        bench.finish()
        bench.expectAllInOrder()
        let corrected = bench.states.filter { $0 == "corrected" }.count
        #expect(corrected == held)
        #expect(bench.states.prefix(bench.count - held - 100).allSatisfy { $0 == "unsynced" })
    }

    @Test func textCountsAgainstTheBound() {
        let bench = Bench(ClockSettings(maxMemory: 16_000))
        for _ in 0..<20 {
            let text = Value.text(String(repeating: "x", count: 1_500))
            bench.path.accept(Sample(series: SeriesID(0), value: text, taken: bench.loop.now))
        }
        #expect((8...10).contains(bench.path.waitingCount))
        #expect(bench.rows.count + bench.path.waitingCount == 21)
    }

    @Test func aStopBeforeSynchronisationKeepsWhatWaits() {
        let bench = Bench()
        bench.loop.advance(by: .seconds(5))
        #expect(bench.rows.isEmpty)
        bench.finish()
        // An edge that was under way at the stop.
        bench.path.accept(Sample(series: SeriesID(0), value: .integer(6), taken: bench.loop.now))
        #expect(bench.rows.map { $0.number } == Array(0...6))
        #expect(bench.states.allSatisfy { $0 == "uncertain" })
    }

    /// Much that waited is let go in pieces; what comes meanwhile must stay behind it.
    @Test func manyThatWaitedKeepTheirOrder() {
        let bench = Bench(every: .milliseconds(7))
        bench.loop.advance(by: .seconds(20))
        bench.synchronise()
        #expect(!bench.rows.isEmpty)
        #expect(bench.path.waitingCount > 0)
        let taken = bench.count
        bench.path.accept(Sample(series: SeriesID(0), value: .integer(-5), taken: bench.loop.now))
        bench.finish()
        bench.loop.advance(by: .seconds(1))
        #expect(bench.rows.map { $0.number } == Array(0..<taken) + [-5])
    }

    @Test(arguments: [hour, Interval.zero - hour, tenYears, .zero - tenYears], [Interval.seconds(20), .seconds(100)])
    func aStepChangesNeitherOrderNorCount(by step: Interval, at when: Interval) {
        // Before synchronisation, within the wait and after it; then NTP puts it right.
        let before = Bench()
        before.loop.advance(by: when)
        before.step(by: step)
        before.loop.advance(by: .seconds(15))
        let atStep = Int(when.milliseconds / 1_000)
        if when < .seconds(50) {
            #expect(before.rows.isEmpty)
        } else {
            // At once with the time that the clock shows then.
            #expect(before.rows.count == before.count)
            let row = before.rows[atStep + 2]
            let shown = Double((Bench.boot + .seconds(Int64(10 + row.number)) + step).milliseconds) / 1_000
            #expect(abs(row.timestamp - shown) < 0.002)
        }
        before.synchronise()
        before.loop.advance(by: .seconds(15))
        before.expectAllInOrder()
        #expect(before.count == atStep + 31)
        #expect(before.clock.steps == 2)
        #expect(before.states.last == .some(nil))
        #expect(abs(before.rows[before.count - 1].timestamp - time(Int64(9 + before.count))) < 0.002)

        // After synchronisation, by somebody: the kernel then takes its word back, until NTP has put it right.
        let after = Bench(isSynchronised: true)
        after.loop.advance(by: when)
        after.wallClock.isSynchronised = false
        after.step(by: step)
        #expect(!after.loop.isSynchronised)
        after.loop.advance(by: .seconds(15))
        #expect(after.rows.count == after.count, "nothing waits again")
        after.wallClock.isSynchronised = true
        after.step(by: .zero - step)
        after.loop.advance(by: .seconds(15))
        after.expectAllInOrder()
        #expect(after.count == atStep + 31)
        #expect(after.states.filter { $0 == "unsynced" }.count == 15)
        #expect(after.recorder.lines.filter { $0.contains("the wall clock was set") }.count == 2)
    }

    @Test func aStepByTheDaemonItselfChangesNothing() {
        let bench = Bench(isSynchronised: true)
        bench.loop.advance(by: .seconds(5))
        bench.step(by: .seconds(-2))
        bench.loop.advance(by: .seconds(5))
        bench.expectAllInOrder()
        #expect(bench.states.allSatisfy { $0 == nil })
        #expect(bench.recorder.lines == ["info: the wall clock was set back by 2.0 s"])
    }

    @Test func aSynchronisedClockIsNotAskedAgain() {
        let asked = CountingClock()
        let loop = ManualLoop()
        let watch = ClockWatch(settings: ClockSettings(), wallClock: asked, loop: loop, log: LogRecorder().log)
        #expect(watch.state == .synchronised)
        loop.advance(by: .seconds(86_400))
        #expect(asked.count == 1)
        asked.answer = false
        asked.onStep?()
        loop.advance(by: .seconds(3_600))
        #expect(asked.count < 140)
    }

    private final class CountingClock: WallClock {
        var onStep: (() -> Void)?
        var answer = true
        var count = 0
        var isSynchronised: Bool {
            count += 1
            return answer
        }
    }

    @Test func theConfiguration() {
        let rest = "node: n\nkafka: { all: { bootstrap.servers: \"b:1\" } }\n"
        #expect(decode(rest).settings?.clock == ClockSettings(source: .kernel, wait: .seconds(60), maxMemory: 512_000))
        #expect(decode(rest + "clock: trust").settings?.clock == ClockSettings(source: .trust))
        #expect(decode(rest + "clock: kernel").settings?.clock == ClockSettings())
        #expect(
            decode(rest + "clock: { source: trust, wait: 5m, max_memory: 1MB }").settings?.clock
                == ClockSettings(source: .trust, wait: .seconds(300), maxMemory: 1_000_000))
        for (text, words) in [
            ("clock: ntp", "3:8: clock is \"ntp\", expected kernel or trust"),
            ("clock: { wait: 2d }", "clock.wait is \"2d\""),
            ("clock: { max_memory: 1kB }", "clock.max_memory is \"1kB\""),
            ("clock: { sorce: trust }", "clock.sorce is no known key, did you mean source?"),
        ] {
            let problems = decode(rest + text).problems
            #expect(problems.count == 1 && problems[0].contains(words), "\(problems)")
        }
    }
}
