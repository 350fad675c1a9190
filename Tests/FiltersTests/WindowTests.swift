import Platform
import Records
import TestSupport
import Testing

@testable import Filters

@Suite struct WindowTests {
    @Test func medianTakesOutASpike() {
        var stream = Stream(Median(size: 3))
        #expect(stream.numbers([20, 20.2, 85, 20.4, 20.6, 20.5]) == [20, 20.1, 20.2, 20.4, 20.6, 20.5])
    }

    /// All window filters against their definitions, over random values with many equal ones.
    @Test(arguments: [1, 2, 3, 5, 10, 64]) func againstTheDefinitions(_ size: Int) {
        var random = SeededGenerator(seed: UInt64(size))
        var median = Stream(Median(size: size))
        var average = Stream(Average(size: size))
        var least = Stream(Minimum(size: size))
        var greatest = Stream(Maximum(size: size))
        var window: [Double] = []
        for _ in 0..<1_000 {
            let value = Double(Int.random(in: -20...20, using: &random)) / 4
            window.append(value)
            if window.count > size { window.removeFirst() }
            let sorted = window.sorted()
            let middle = (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
            #expect(median.numbers([value]) == [middle])
            #expect(least.numbers([value]) == [sorted.first])
            #expect(greatest.numbers([value]) == [sorted.last])
            let mean = window.reduce(0, +) / Double(window.count)
            let found = average.numbers([value])[0] ?? .nan
            #expect((found - mean).magnitude < 1e-12)
        }
    }

    @Test func averageOfHugeValuesIsFinite() {
        var stream = Stream(Average(size: 4))
        #expect(stream.numbers([1e308, 1e308, 1e308]) == [1e308, 1e308, 1e308])
    }

    @Test func exponential() {
        var stream = Stream(Exponential(alpha: 0.25))
        #expect(stream.numbers([10, 20, 20]) == [10, 12.5, 14.375])
    }

    @Test func badSamplesPassUnchangedAndDoNotEnter() {
        for filter in [Median(size: 3), Average(size: 3), Minimum(size: 3), Maximum(size: 3), Exponential(alpha: 0.5)] {
            var stream = Stream(filter)
            #expect(stream.numbers([1]) == [1])
            let bad = stream.send(.number(1_000), .bad(reason: "crc"))
            #expect(bad?.value == .number(1_000))
            #expect(bad?.quality == .bad(reason: "crc"))
            let none = stream.send(.number(.nan))
            #expect(none?.value.number?.isNaN == true)
            #expect(stream.send(.text("x"))?.value == .text("x"))
            #expect(stream.numbers([1]) == [1])
        }
    }

    @Test func theOutputKeepsTheSamplesTimeAndQuality() {
        var stream = Stream(Median(size: 3))
        _ = stream.numbers([1, 2])
        let sample = stream.send(.number(3), .uncertain(reason: "drift"))
        #expect(sample?.taken == stream.time)
        #expect(sample?.quality == .uncertain(reason: "drift"))
    }
}
