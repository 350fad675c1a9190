import Configuration
import Platform
import Records
import TestSupport
import Testing

@testable import Sensors

@Suite struct SamplerReadTests {
    @Test func readAllMeasuresOnceWithoutSamples() {
        let bench = Bench()
        let queue = HeldQueue()
        let hung = HeldQueue()
        let slow = ScriptedDriver()
        slow.wait = .milliseconds(100)
        slow.values = [.number(2)]
        let broken = ScriptedDriver()
        broken.prepareFailure = .wrongChip(expected: "0x60", found: "0x58")
        bench.add(slow, id: "slow", on: queue)
        bench.add(broken, id: "broken")
        bench.add(ScriptedDriver(), id: "hung", on: hung)
        var readings: [SensorReading]?
        bench.sampler.readAll { readings = $0 }
        let begun = bench.loop.now
        queue.run()
        bench.loop.advance(by: .milliseconds(100))
        queue.run()
        #expect(readings == nil)
        bench.loop.advance(by: .seconds(5))
        #expect(
            readings == [
                SensorReading(sensor: "slow", outcome: .values([.number(2)], taken: begun)),
                SensorReading(
                    sensor: "broken", outcome: .failed(.wrongChip(expected: "0x60", found: "0x58"))),
                SensorReading(sensor: "hung", outcome: .failed(.timeout(.seconds(5)))),
            ])
        #expect(bench.samples.isEmpty)
        #expect(bench.recorder.lines.isEmpty)
        // Asked again, the hung one answers at once that it is.
        readings = nil
        bench.sampler.readAll { readings = $0 }
        queue.run()
        bench.loop.advance(by: .milliseconds(100))
        queue.run()
        #expect(readings?.count == 3)
    }

    @Test func readAllOfNothingAnswers() {
        let bench = Bench()
        var answered = false
        bench.sampler.readAll { answered = $0.isEmpty }
        #expect(answered)
    }

    @Test func readAllWhileSamplingKeepsTheGrid() {
        let bench = Bench()
        let queue = HeldQueue()
        bench.add(ScriptedDriver(), every: .milliseconds(100), on: queue)
        let start = bench.loop.now
        bench.sampler.start()
        bench.loop.advance(by: .zero)
        queue.run()
        bench.loop.advance(by: .milliseconds(50))
        var answers = 0
        bench.sampler.readAll { _ in answers += 1 }
        bench.loop.advance(by: .milliseconds(60))
        #expect(queue.pending == 1)
        queue.run()
        #expect(answers == 1)
        #expect(bench.sampler.status(0).missed == 1)
        bench.loop.advance(by: .milliseconds(90))
        queue.run()
        #expect(bench.samples.last?.taken == start + .milliseconds(200))
    }
}
