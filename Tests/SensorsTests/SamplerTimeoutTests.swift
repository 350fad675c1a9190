import Configuration
import Platform
import Records
import TestSupport
import Testing

@testable import Sensors

@Suite struct SamplerTimeoutTests {
    @Test func aHungQueueHoldsUpNothingElse() {
        let bench = Bench()
        let hung = HeldQueue()
        let healthy = HeldQueue()
        bench.add(ScriptedDriver(), id: "hung", on: hung, base: 0)
        bench.add(ScriptedDriver(), id: "bus", on: healthy, base: 1)
        bench.add(ScriptedDriver(), id: "loop", base: 2)
        bench.sampler.start()
        for _ in 0..<100 {
            bench.loop.advance(by: .milliseconds(100))
            healthy.run()
        }
        #expect(bench.good.filter { $0.series.index == 0 }.isEmpty)
        #expect(bench.good.filter { $0.series.index == 1 }.count == 10)
        #expect(bench.good.filter { $0.series.index == 2 }.count == 10)
        #expect(bench.bad.map { $0.series.index } == [0])
        #expect(bench.bad.first?.quality == .bad(reason: "timeout"))
        #expect(hung.pending == 1)
        #expect(bench.recorder.lines == ["warning: sensor hung: no answer within 5000 ms"])
    }

    @Test func aLateResultIsThrownAwayAndTheSensorRecovers() {
        let bench = Bench()
        let queue = HeldQueue()
        let driver = ScriptedDriver()
        bench.add(driver, on: queue)
        bench.sampler.start()
        bench.loop.advance(by: .seconds(30))
        #expect(bench.samples.count == 1)
        queue.run()
        #expect(bench.samples.count == 1)
        #expect(queue.pending == 0)
        bench.loop.advance(by: .seconds(2))
        queue.run()
        #expect(bench.good.count == 1)
        #expect(driver.calls == ["prepare", "trigger", "collect", "prepare", "trigger", "collect"])
        #expect(bench.sampler.status(0).recovered == 1)
    }

    @Test func aHangInCollectTimesOutToo() {
        let bench = Bench()
        let queue = HeldQueue()
        let driver = ScriptedDriver()
        driver.wait = .milliseconds(10)
        bench.add(driver, on: queue)
        bench.sampler.start()
        bench.loop.advance(by: .zero)
        queue.run()
        bench.loop.advance(by: .seconds(6))
        #expect(bench.samples.map { $0.quality } == [.bad(reason: "timeout")])
        queue.run()
        #expect(bench.samples.count == 1)
        driver.wait = .zero
        bench.loop.advance(by: .seconds(3))
        queue.run()
        #expect(bench.good.count == 1)
    }

    @Test func waitingInLineIsNoTimeout() {
        let bench = Bench()
        let queue = HeldQueue()
        for index in 0..<20 { bench.add(ScriptedDriver(), every: .seconds(60), on: queue, base: index) }
        bench.sampler.start()
        bench.loop.advance(by: .seconds(1))
        #expect(queue.pending == 20)
        // 20 jobs of 0.75 s on one queue: the last waits for 15 s, each works for less than the limit.
        for _ in 0..<20 {
            bench.loop.advance(by: .milliseconds(750))
            queue.run(1)
        }
        #expect(bench.bad.isEmpty)
        #expect(bench.good.count == 20)
    }

    @Test func aConversionBeyondTheLimitTimesOutAndIsLeftAloneUntilItIsOver() {
        let bench = Bench(limit: .seconds(5))
        let driver = ScriptedDriver()
        driver.wait = .seconds(20)
        bench.add(driver)
        bench.sampler.start()
        bench.loop.advance(by: .seconds(5))
        #expect(bench.samples.map { $0.quality } == [.bad(reason: "timeout")])
        driver.wait = .zero
        bench.loop.advance(by: .milliseconds(14_999))
        #expect(driver.calls == ["prepare", "trigger"])
        bench.loop.advance(by: .seconds(2))
        #expect(bench.good.count >= 1)
    }
}
