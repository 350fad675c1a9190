import CShim
import Configuration
import Hardware
import Platform
import Records
import TestSupport
import Testing

@testable import Sensors

@Suite struct GPIOLevelTests {
    private let line = LineReference(chip: "pinctrl-bcm2711", line: .offset(17))

    private func level(_ gpio: FakeGPIO, edges: Edges = .both, every: Interval? = nil) -> GPIOLevel {
        GPIOLevel(
            gpio: gpio, settings: GPIOLevel.Settings(input: GPIOInput(line: line, edges: edges), every: every))
    }

    @Test func theFirstLevelThenEachEdgeInOrderWithTheKernelsTime() {
        let bench = Bench()
        let gpio = FakeGPIO()
        gpio.level = true
        bench.add(level(gpio))
        let start = bench.loop.now
        bench.sampler.start()
        #expect(bench.samples == [Sample(series: SeriesID(0), value: .integer(1), taken: start)])
        bench.loop.advance(by: .seconds(1))
        for index in 0..<500 {
            gpio.line?.edge(index % 2 == 1, at: start + .milliseconds(10 + Int64(index)))
        }
        bench.loop.poll()
        #expect(bench.samples.count == 501)
        for index in 0..<500 {
            let expected = Sample(
                series: SeriesID(0), value: .integer(Int64(index % 2)),
                taken: start + .milliseconds(10 + Int64(index)))
            #expect(bench.samples[index + 1] == expected)
        }
    }

    @Test func theRequestIsAsConfigured() {
        let bench = Bench()
        let gpio = FakeGPIO()
        let input = GPIOInput(
            line: line, bias: .pullUp, activeLow: true, edges: .falling, debounce: .milliseconds(20))
        bench.add(GPIOLevel(gpio: gpio, settings: GPIOLevel.Settings(input: input, every: nil)))
        bench.sampler.start()
        #expect(
            gpio.requests == [
                LineSettings(
                    direction: .input, bias: .pullUp, activeLow: true, edges: .falling, debounce: .milliseconds(20))
            ])
    }

    /// The level that is read already contains an edge that nobody has seen.
    @Test func anEdgeDuringTheStartIsNeitherLostNorDoubled() {
        let bench = Bench()
        let gpio = FakeGPIO()
        let start = bench.loop.now
        gpio.onRequest = { $0.edge(true, at: start + .microseconds(5)) }
        bench.add(level(gpio))
        bench.sampler.start()
        bench.loop.poll()
        #expect(bench.samples.map { $0.value } == [.integer(0), .integer(1)])
        #expect(bench.samples.map { $0.taken } == [start, start + .microseconds(5)])

        let after = Bench()
        let late = FakeGPIO()
        late.onRequest = { line in
            line.onRead = { [unowned line] in
                line.onRead = nil
                line.edge(true, at: start + .microseconds(7))
            }
        }
        after.add(level(late))
        after.sampler.start()
        after.loop.poll()
        #expect(after.samples.map { $0.value } == [.integer(0), .integer(1)])
    }

    @Test func periodicReportsComeOnTheGridBetweenTheEdges() {
        let bench = Bench()
        let gpio = FakeGPIO()
        bench.add(level(gpio, every: .seconds(10)))
        let start = bench.loop.now
        bench.sampler.start()
        bench.loop.advance(by: .seconds(15))
        gpio.line?.edge(true, at: start + .seconds(15))
        bench.loop.advance(by: .seconds(15))
        #expect(bench.samples.map { ($0.taken - start).milliseconds } == [0, 10_000, 15_000, 20_000, 30_000])
        #expect(bench.samples.map { $0.value } == [0, 0, 1, 1, 1].map { .integer($0) })
        bench.sampler.stop()
        bench.clear()
        bench.loop.advance(by: .seconds(100))
        #expect(bench.samples.isEmpty)
    }

    @Test func withoutEdgesItIsPolled() {
        let bench = Bench()
        let gpio = FakeGPIO()
        bench.add(level(gpio, edges: .none, every: .milliseconds(500)))
        bench.sampler.start()
        gpio.line?.level = true
        bench.loop.advance(by: .seconds(2))
        #expect(bench.samples.map { $0.value } == [0, 1, 1, 1, 1].map { .integer($0) })
    }

    @Test func aGapIsMarkedAndCounted() {
        let bench = Bench()
        let gpio = FakeGPIO()
        bench.add(level(gpio))
        bench.sampler.start()
        gpio.line?.lostEdges = 3
        gpio.line?.edge(true, at: bench.loop.now)
        gpio.line?.edge(false, at: bench.loop.now)
        bench.loop.poll()
        #expect(bench.samples.map { $0.quality } == [.good, .uncertain(reason: "lost-edges"), .good])
        #expect(bench.sampler.status(0).lost == 3)
        #expect(
            bench.recorder.lines == ["warning: sensor a: 3 edges lost: they came faster than they could be read"])
    }

    /// As on a kernel that wakes nobody when a chip goes.
    @Test func aLineThatVanishesInSilenceIsMissed() {
        let bench = Bench()
        let gpio = FakeGPIO()
        bench.add(level(gpio))
        bench.sampler.start()
        let gone = SystemError(call: "read", code: ENODEV, subject: "line")
        gpio.line?.failure = GPIOError(line: line, cause: .system(gone))
        gpio.failure = GPIOError(line: line, cause: .noSuchChip)
        bench.loop.advance(by: .seconds(60))
        #expect(bench.samples.map { $0.quality } == [.good, .bad(reason: "gpio")])
        gpio.failure = nil
        bench.loop.advance(by: .seconds(60))
        #expect(bench.samples.map { $0.quality } == [.good, .bad(reason: "gpio"), .good])
    }

    @Test func anOverrunMarksTheNextLevel() {
        let bench = Bench()
        let gpio = FakeGPIO()
        bench.add(level(gpio))
        bench.sampler.start()
        gpio.line?.edge(true, at: bench.loop.now)
        bench.loop.poll()
        gpio.line?.overruns = 1
        gpio.line?.edge(false, at: bench.loop.now)
        gpio.line?.edge(true, at: bench.loop.now)
        bench.loop.poll()
        #expect(bench.samples.map { $0.quality } == [.good, .good, .uncertain(reason: "lost-edges"), .good])
        #expect(
            bench.recorder.lines == [
                "warning: sensor a: edges may have been lost: they came faster than they could be read"
            ])
    }

    @Test func aLineThatIsBusyIsTriedAgainAndReportedOnce() {
        let bench = Bench()
        let gpio = FakeGPIO()
        gpio.failure = GPIOError(line: line, cause: .busy(consumer: "spi0 CS1"))
        bench.add(level(gpio), id: "door")
        bench.sampler.start()
        bench.loop.advance(by: .seconds(300))
        #expect(bench.samples.map { $0.quality } == [.bad(reason: "gpio")])
        #expect(
            bench.recorder.lines == [
                "warning: sensor door: GPIO pinctrl-bcm2711 17: in use by \"spi0 CS1\""
            ])
        #expect(bench.sampler.status(0).failures > 5)
        gpio.failure = nil
        bench.loop.advance(by: .seconds(76))
        #expect(bench.good.count == 1)
        #expect(bench.sampler.status(0).recovered == 1)
        #expect(bench.recorder.lines.count == 2)
    }

    @Test func aLineThatFailsLaterIsReleasedAndRequestedAgain() {
        let bench = Bench()
        let gpio = FakeGPIO()
        bench.add(level(gpio))
        bench.sampler.start()
        gpio.line?.failure = GPIOError(
            line: line, cause: .system(SystemError(call: "read", code: 19, subject: "")))
        gpio.line?.wake()
        bench.loop.poll()
        #expect(bench.bad.count == 1)
        #expect(gpio.line == nil)
        bench.loop.advance(by: .seconds(1))
        #expect(bench.good.count == 2)
        #expect(gpio.requests.count == 2)
    }

    @Test func readingNowRequestsForAMomentOnly() {
        let bench = Bench()
        let gpio = FakeGPIO()
        gpio.level = true
        bench.add(level(gpio))
        var readings: [SensorReading] = []
        bench.sampler.readAll { readings = $0 }
        #expect(readings.map { $0.outcome } == [.values([.integer(1)], taken: bench.loop.now)])
        #expect(gpio.line == nil)
        #expect(bench.samples.isEmpty)
    }
}

@Suite struct GPIOCounterTests {
    private let line = LineReference(chip: nil, line: .name("GPIO22"))

    private func counter(_ gpio: FakeGPIO, scale: Double = 1) -> GPIOCounter {
        GPIOCounter(
            gpio: gpio,
            settings: GPIOCounter.Settings(
                input: GPIOInput(line: line, edges: .rising), every: .seconds(60), scale: scale))
    }

    private let channels = [ChannelPlan(Channel("count", unit: nil)), ChannelPlan(Channel("total", unit: nil))]

    private func pairs(_ bench: Bench) -> [[Value]] {
        stride(from: 0, to: bench.samples.count, by: 2).map {
            [bench.samples[$0].value, bench.samples[$0 + 1].value]
        }
    }

    @Test func countsEachPeriodAndInAll() {
        let bench = Bench()
        let gpio = FakeGPIO()
        bench.add(counter(gpio), channels: channels)
        let start = bench.loop.now
        bench.sampler.start()
        for second in [1, 2, 59, 61, 200] as [Int64] {
            bench.loop.advance(by: start + .seconds(second) - bench.loop.now)
            gpio.line?.edge(true, at: bench.loop.now)
            bench.loop.poll()
        }
        bench.loop.advance(by: start + .seconds(240) - bench.loop.now)
        #expect(
            pairs(bench) == [
                [.integer(3), .integer(3)], [.integer(1), .integer(4)], [.integer(0), .integer(4)],
                [.integer(1), .integer(5)],
            ])
        #expect(bench.samples.map { ($0.taken - start).seconds } == [60, 60, 120, 120, 180, 180, 240, 240])
        #expect(bench.samples.map { $0.series.index } == [0, 1, 0, 1, 0, 1, 0, 1])
    }

    @Test func edgesBelongToTheirPeriodByTheirTime() {
        let bench = Bench()
        let gpio = FakeGPIO()
        bench.add(counter(gpio), channels: channels)
        let start = bench.loop.now
        bench.sampler.start()
        bench.loop.advance(by: .seconds(59))
        // Read together, before the timer: one is of the next period.
        gpio.line?.edge(true, at: start + .milliseconds(59_999))
        gpio.line?.edge(true, at: start + .milliseconds(60_001))
        bench.loop.advance(by: .seconds(61))
        #expect(pairs(bench) == [[.integer(1), .integer(1)], [.integer(1), .integer(2)]])
    }

    @Test func scaledCountsAreNumbers() {
        let bench = Bench()
        let gpio = FakeGPIO()
        bench.add(counter(gpio, scale: 0.2794), channels: channels)
        bench.sampler.start()
        // 15 * 0.2794 is 4.191000000000001.
        for _ in 0..<15 { gpio.line?.edge(true, at: bench.loop.now) }
        bench.loop.advance(by: .seconds(120))
        let all = Value.number(4.191)
        let expected: [[Value]] = [[all, all], [.number(0), all]]
        #expect(pairs(bench) == expected)
    }

    @Test func lostEdgesAreCountedAndNeverHidden() {
        let bench = Bench()
        let gpio = FakeGPIO()
        bench.add(counter(gpio), channels: channels)
        bench.sampler.start()
        gpio.line?.edge(true, at: bench.loop.now)
        gpio.line?.lostEdges = 40
        bench.loop.advance(by: .seconds(120))
        #expect(pairs(bench) == [[.integer(41), .integer(41)], [.integer(0), .integer(41)]])
        let uncertain = Quality.uncertain(reason: "lost-edges")
        #expect(bench.samples.map { $0.quality } == [uncertain, uncertain, .good, .good])
        #expect(bench.sampler.status(0).lost == 40)
        #expect(bench.recorder.lines.count == 1)
    }

    @Test func edgesThatMayBeLostMakeThePeriodUncertain() {
        let bench = Bench()
        let gpio = FakeGPIO()
        bench.add(counter(gpio), channels: channels)
        bench.sampler.start()
        for _ in 0..<16 { gpio.line?.edge(true, at: bench.loop.now) }
        gpio.line?.overruns = 1
        bench.loop.advance(by: .seconds(120))
        #expect(pairs(bench) == [[.integer(16), .integer(16)], [.integer(0), .integer(16)]])
        let uncertain = Quality.uncertain(reason: "lost-edges")
        #expect(bench.samples.map { $0.quality } == [uncertain, uncertain, .good, .good])
        #expect(bench.recorder.lines.count == 1)
    }

    @Test func aStopReportsTheLastPeriod() {
        let bench = Bench()
        let gpio = FakeGPIO()
        bench.add(counter(gpio), channels: channels)
        bench.sampler.start()
        bench.loop.advance(by: .seconds(70))
        gpio.line?.edge(true, at: bench.loop.now)
        bench.clear()
        bench.sampler.stop()
        #expect(pairs(bench) == [[.integer(1), .integer(1)]])
        #expect(bench.samples.allSatisfy { $0.taken == bench.loop.now })
        #expect(gpio.line == nil)
        bench.clear()
        bench.sampler.stop()
        bench.loop.advance(by: .seconds(200))
        #expect(bench.samples.isEmpty)
    }

    @Test func aFailureKeepsTheCount() {
        let bench = Bench()
        let gpio = FakeGPIO()
        bench.add(counter(gpio), channels: channels)
        bench.sampler.start()
        gpio.line?.edge(true, at: bench.loop.now)
        bench.loop.poll()
        gpio.line?.failure = GPIOError(line: line, cause: .permission)
        gpio.line?.wake()
        bench.loop.poll()
        #expect(bench.samples.map { $0.quality } == [.bad(reason: "gpio"), .bad(reason: "gpio")])
        bench.clear()
        bench.loop.advance(by: .seconds(61))
        #expect(pairs(bench) == [[.integer(1), .integer(1)]])
        #expect(bench.samples.allSatisfy { $0.quality == .uncertain(reason: "lost-edges") })
    }
}
