import Platform
import Records
import Testing

@testable import Filters

@Suite struct ArithmeticTests {
    @Test func offsetAndMultiplyInTheOrderOfTheList() {
        var first = Stream(Offset(1), Multiply(2))
        #expect(first.numbers([1, -1]) == [4, 0])
        var second = Stream(Multiply(2), Offset(1))
        #expect(second.numbers([1, -1]) == [3, -1])
    }

    @Test func multiplyAddsNoNoise() {
        var stream = Stream(Multiply(0.001))
        #expect(stream.numbers([30_487, 30_488]) == [30.487, 30.488])
    }

    @Test func roundGivesTheNearestDoubleToTheDecimal() {
        var one = Stream(Round(decimals: 1))
        #expect(one.numbers([21.549, 21.55, -21.55, 0.25, -0.25, 1e300]) == [21.5, 21.6, -21.6, 0.3, -0.3, 1e300])
        var none = Stream(Round(decimals: 0))
        #expect(none.numbers([2.5, -2.5, 0.49]) == [3, -3, 0])
        var nine = Stream(Round(decimals: 9))
        #expect(nine.numbers([0.1234567894, 9e15 + 0.5]) == [0.123456789, 9e15])
    }

    @Test func clampAndOneSidedClamp() {
        var both = Stream(Clamp(low: 0, high: 100))
        #expect(both.numbers([-1, 0, 50, 101]) == [0, 0, 50, 100])
        var low = Stream(Clamp(low: 0, high: .infinity))
        #expect(low.numbers([-1, 1e9]) == [0, 1e9])
    }

    @Test func rangeMarksOrDrops() {
        var marks = Stream(Bounds(low: -40, high: 85, drops: false))
        #expect(marks.send(.number(85))?.quality == .good)
        let outside = marks.send(.number(85.1))
        #expect(outside?.value == .number(85.1))
        #expect(outside?.quality == .uncertain(reason: "out-of-range"))
        #expect(marks.send(.number(-41), .uncertain(reason: "drift"))?.quality == .uncertain(reason: "drift"))
        var drops = Stream(Bounds(low: -40, high: 85, drops: true), Median(size: 3))
        #expect(drops.numbers([20, 180, 180, 21, -127, 22]) == [20, nil, nil, 20.5, nil, 21])
    }

    @Test func integersAreNumbersAndOtherValuesPassUnchanged() {
        var stream = Stream(
            Offset(1), Multiply(2), Round(decimals: 0), Clamp(low: 0, high: 1), Bounds(low: 0, high: 0, drops: true))
        #expect(stream.send(.boolean(true))?.value == .boolean(true))
        #expect(stream.send(.text("open"))?.value == .text("open"))
        var offset = Stream(Offset(0.5))
        #expect(offset.send(.integer(2))?.value == .number(2.5))
    }

    /// What overflows does not poison the windows behind it.
    @Test func anOverflowEntersNoWindow() {
        var stream = Stream(Multiply(1e10), Average(size: 3))
        #expect(stream.send(.number(1))?.value == .number(1e10))
        #expect(stream.send(.number(1e300))?.value == .number(.infinity))
        #expect(stream.send(.number(3))?.value == .number(2e10))
    }
}
