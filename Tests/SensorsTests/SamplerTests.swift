import Configuration
import Platform
import Records
import TestSupport
import Testing

@testable import Sensors

@Suite struct SamplerTests {
    @Test func theGridDoesNotDriftOverTenThousandSlots() {
        let bench = Bench()
        let driver = ScriptedDriver()
        bench.add(driver, every: .milliseconds(100))
        let start = bench.loop.now
        bench.sampler.start()
        bench.loop.advance(by: .milliseconds(100) * 9_999)
        #expect(bench.samples.count == 10_000)
        for (index, sample) in bench.samples.enumerated() {
            #expect(sample.taken == start + .milliseconds(100) * Int64(index))
        }
        #expect(bench.sampler.status(0).missed == 0)
        #expect(driver.calls.filter { $0 == "prepare" }.count == 1)
    }

    @Test func aSlowMeasurementMissesSlotsAndMakesNoBurst() {
        let bench = Bench()
        let queue = HeldQueue()
        bench.add(ScriptedDriver(), every: .milliseconds(100), on: queue)
        let start = bench.loop.now
        bench.sampler.start()
        bench.loop.advance(by: .milliseconds(350))
        #expect(queue.pending == 1)
        queue.run()
        #expect(bench.samples.count == 1)
        // Slots at 100, 200 and 300 ms passed; the next is at 400 ms.
        #expect(bench.sampler.status(0).missed == 3)
        bench.loop.advance(by: .milliseconds(60))
        queue.run()
        #expect(bench.samples.count == 2)
        #expect(bench.samples[1].taken == start + .milliseconds(410))
        bench.loop.advance(by: .milliseconds(90))
        queue.run()
        #expect(bench.samples.count == 3)
        #expect(bench.samples[2].taken == start + .milliseconds(500))
    }

    @Test func aLateLoopSkipsWholeSlots() {
        var grid = Grid(first: Instant(nanoseconds: 0), every: .milliseconds(10))
        #expect(grid.catchUp(to: Instant(nanoseconds: 9_999_999)) == 0)
        #expect(grid.slot.nanoseconds == 0)
        #expect(grid.catchUp(to: Instant(nanoseconds: 35_000_000)) == 3)
        #expect(grid.slot.nanoseconds == 30_000_000)
        #expect(grid.advance(notBefore: Instant(nanoseconds: 35_000_000)) == 0)
        #expect(grid.slot.nanoseconds == 40_000_000)
        #expect(grid.advance(notBefore: Instant(nanoseconds: 70_000_000)) == 2)
        #expect(grid.slot.nanoseconds == 70_000_000)
    }

    @Test func firstSamplesAreSpreadOverTheFirstSecond() {
        let bench = Bench()
        for index in 0..<10 { bench.add(ScriptedDriver(), every: .seconds(3600), base: index) }
        let start = bench.loop.now
        bench.sampler.start()
        bench.loop.advance(by: .seconds(1))
        #expect(bench.samples.map { $0.series.index } == Array(0..<10))
        #expect(bench.samples.map { ($0.taken - start).milliseconds } == (0..<10).map { $0 * 100 })
    }

    /// Each moment costs a wake-up of the processor, however many sensors are measured in it.
    @Test func manySensorsShareTheMomentsOfTheSpread() {
        let bench = Bench()
        for index in 0..<200 { bench.add(ScriptedDriver(), every: .seconds(1), base: index) }
        let start = bench.loop.now
        bench.sampler.start()
        bench.loop.advance(by: .milliseconds(1_999))
        let moments = Set(bench.samples.map { ($0.taken - start).milliseconds })
        #expect(bench.samples.count == 400)
        #expect(moments == Set((0..<100).map { $0 * 20 }))
    }

    @Test func theConversionIsWaitedForOffTheQueue() {
        let bench = Bench()
        let queue = HeldQueue()
        let slow = ScriptedDriver()
        slow.wait = .milliseconds(50)
        bench.add(slow, on: queue)
        bench.sampler.start()
        bench.loop.advance(by: .zero)
        queue.run()
        let triggered = bench.loop.now
        #expect(slow.calls == ["prepare", "trigger"])
        #expect(queue.pending == 0)
        bench.loop.advance(by: .milliseconds(49))
        #expect(queue.pending == 0)
        bench.loop.advance(by: .milliseconds(1))
        #expect(queue.pending == 1)
        queue.run()
        #expect(slow.calls == ["prepare", "trigger", "collect"])
        #expect(bench.samples.map { $0.taken } == [triggered])
    }

    @Test func channelsAreConsecutiveSeriesAndDisabledOnesSilent() {
        let bench = Bench()
        let driver = ScriptedDriver()
        driver.values = [.number(1), .number(2), .number(3)]
        bench.add(
            driver,
            channels: [
                ChannelPlan(Channel("x", unit: nil)), ChannelPlan(Channel("y", unit: nil), isEnabled: false),
                ChannelPlan(Channel("z", unit: nil)),
            ], base: 40)
        bench.sampler.start()
        bench.loop.advance(by: .zero)
        #expect(bench.samples.map { $0.series.index } == [40, 42])
        #expect(bench.samples.map { $0.value } == [.number(1), .number(3)])
    }

    @Test func anOutageMakesOneBadSampleAChannelAndOneLineEachWay() {
        let bench = Bench()
        let driver = ScriptedDriver()
        let channels = [ChannelPlan(Channel("x", unit: nil)), ChannelPlan(Channel("y", unit: nil))]
        driver.values = [.number(1), .number(2)]
        bench.add(driver, id: "greenhouse", every: .seconds(1), channels: channels)
        bench.sampler.start()
        bench.loop.advance(by: .milliseconds(2_500))
        #expect(bench.good.count == 6)
        bench.clear()
        driver.calls = []
        driver.collectFailure = .simulated
        bench.loop.advance(by: .seconds(600))
        #expect(bench.good.isEmpty)
        #expect(bench.bad.map { $0.series.index } == [0, 1])
        #expect(bench.bad.allSatisfy { $0.quality == .bad(reason: "simulated") })
        #expect(bench.recorder.lines == ["warning: sensor greenhouse: simulated failure"])
        let status = bench.sampler.status(0)
        #expect(status.error == .simulated)
        // 1, 2, 4 … 32 s, then 60 s, each a quarter more or less: 14 tries are likely in 600 s, 600 would be none.
        #expect(status.failures >= 12 && status.failures <= 20)
        #expect(status.missed == 0)
        // Set up anew each time: the chip may have been unplugged.
        #expect(driver.calls.filter { $0 == "prepare" }.count == Int(status.failures) - 1)

        bench.clear()
        driver.collectFailure = nil
        bench.loop.advance(by: .seconds(76))
        #expect(bench.good.count >= 2)
        #expect(bench.bad.isEmpty)
        #expect(bench.sampler.status(0).recovered == 1)
        #expect(bench.sampler.status(0).error == nil)
        #expect(bench.recorder.lines.count == 2)
        #expect(
            bench.recorder.lines.last == "info: sensor greenhouse: works again after \(status.failures) failures")
        // It is back on its own grid.
        let start = Instant(nanoseconds: 1_000_000_000_000)
        #expect(bench.good.allSatisfy { ($0.taken - start).nanoseconds % 1_000_000_000 == 0 })
        // A second outage is reported again.
        bench.clear()
        driver.prepareFailure = .wrongChip(expected: "a", found: "b")
        driver.triggerFailure = .simulated
        bench.loop.advance(by: .seconds(10))
        #expect(bench.bad.count == 2)
    }

    @Test func aSingleFailureCostsOneSlot() {
        let bench = Bench()
        let driver = ScriptedDriver()
        bench.add(driver, every: .seconds(1))
        bench.sampler.start()
        driver.triggerFailure = .simulated
        bench.loop.advance(by: .zero)
        driver.triggerFailure = nil
        bench.loop.advance(by: .seconds(1))
        #expect(bench.good.count == 1)
        #expect(bench.bad.count == 1)
        #expect(driver.calls == ["prepare", "trigger", "prepare", "trigger", "collect"])
    }

    @Test func backOffDoublesToItsBoundAndIsReproducible() {
        var first = Backoff(base: .seconds(1), seed: 3)
        var second = Backoff(base: .seconds(1), seed: 3)
        var nominal: Double = 1
        #expect(first.fail() == .seconds(1))
        _ = second.fail()
        for _ in 0..<100 {
            nominal = min(nominal * 2, 60)
            let wait = first.fail()
            #expect(wait.seconds >= nominal * 0.75 && wait.seconds <= nominal * 1.25)
            #expect(second.fail() == wait)
        }
        first.reset()
        #expect(first.fail() == .seconds(1))
        var slow = Backoff(base: .seconds(3600), seed: 1)
        #expect([slow.fail(), slow.fail(), slow.fail()] == [.seconds(3600), .seconds(3600), .seconds(3600)])
    }

    @Test func valuesThatAreNoneOfAMeasurementAreNotPassedOn() {
        for values in [[Value.number(.nan)], [.number(.infinity)], [], [.integer(1), .integer(2)]] {
            let bench = Bench()
            let driver = ScriptedDriver()
            driver.values = values
            bench.add(driver)
            bench.sampler.start()
            bench.loop.advance(by: .zero)
            #expect(bench.good.isEmpty)
            #expect(bench.bad.map { $0.quality } == [.bad(reason: "invalid-data")])
        }
    }

    @Test func afterStopNothingIsEmitted() {
        let bench = Bench()
        let queue = HeldQueue()
        bench.add(ScriptedDriver(), on: queue)
        bench.add(ScriptedDriver(), base: 1)
        let slow = ScriptedDriver()
        slow.wait = .milliseconds(100)
        bench.add(slow, base: 2)
        bench.sampler.start()
        bench.loop.advance(by: .milliseconds(700))
        bench.clear()
        bench.sampler.stop()
        queue.run()
        bench.loop.advance(by: .seconds(100))
        queue.run()
        #expect(bench.samples.isEmpty)
        #expect(queue.pending == 0)
        #expect(slow.calls == ["prepare", "trigger"])
    }

    @Test func anEndedReplayFallsSilentWithoutABadSample() {
        let bench = Bench()
        let driver = ScriptedDriver()
        bench.add(driver)
        bench.sampler.start()
        bench.loop.advance(by: .seconds(2))
        driver.collectFailure = .ended
        bench.loop.advance(by: .seconds(100))
        #expect(bench.samples.count == 3)
        #expect(bench.bad.isEmpty)
        #expect(bench.sampler.status(0).hasEnded)
        #expect(bench.recorder.lines == ["info: sensor a: the replay has ended after 3 samples"])
        #expect(driver.calls.filter { $0 == "collect" }.count == 4)
    }

    @Test func aThousandSensorsRunOnTheLoop() {
        let bench = Bench()
        for index in 0..<1_000 {
            let settings = Simulated.Settings(waveform: .counter(start: 0), every: .milliseconds(100))
            bench.add(Simulated(settings: settings), every: .milliseconds(100), base: index)
        }
        bench.sampler.start()
        bench.loop.advance(by: .microseconds(999_950))
        #expect(bench.samples.count == 10_000)
        var next = [Int64](repeating: 0, count: 1_000)
        for sample in bench.samples {
            #expect(sample.value == .integer(next[sample.series.index]))
            next[sample.series.index] += 1
        }
    }
}
