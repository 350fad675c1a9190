import Platform
import Records
import TestSupport
import Testing

@testable import Filters

@Suite struct GateTests {
    @Test func deadbandComparesWithTheLastOneSent() {
        var stream = Stream(Deadband(band: 0.5, isRelative: false))
        // A slow drift adds up until it is reported.
        #expect(stream.numbers([20, 20.2, 20.4, 20.6, 20.9, 20.1]) == [20, nil, nil, 20.6, nil, 20.1])
    }

    /// 21.7 - 21.6 is 0.09999999999999787: still one step of 0.1.
    @Test func aChangeByExactlyTheBandPasses() {
        var stream = Stream(Deadband(band: 0.1, isRelative: false))
        let steps = (0..<100).map { Double(210 + $0) / 10 }
        #expect(stream.numbers(steps) == steps)
    }

    @Test func relativeDeadband() {
        var stream = Stream(Deadband(band: 0.05, isRelative: true))
        #expect(
            stream.numbers([100, 104, 105, 109, 111, 0, 0, 0.001, -100, -104, -105])
                == [100, nil, 105, nil, 111, 0, nil, 0.001, -100, nil, -105])
    }

    @Test func theFirstAfterABadOnePasses() {
        for filter in [Deadband(band: 1, isRelative: false), Unique(), Throttle(interval: .seconds(60))] as [Filter] {
            var stream = Stream(filter)
            #expect(stream.numbers([20, 20]) == [20, nil])
            #expect(stream.send(.number(20), .bad(reason: "no answer")) != nil)
            #expect(stream.send(.number(20), .bad(reason: "no answer")) != nil)
            #expect(stream.numbers([20, 20]) == [20, nil])
        }
    }

    @Test func aChangeOfQualityPasses() {
        for filter in [Deadband(band: 1, isRelative: false), Unique()] as [Filter] {
            var stream = Stream(filter)
            #expect(stream.numbers([20, 20]) == [20, nil])
            #expect(stream.send(.number(20), .uncertain(reason: "drift")) != nil)
            #expect(stream.send(.number(20), .uncertain(reason: "drift")) == nil)
            #expect(stream.send(.number(20)) != nil)
        }
    }

    @Test func deadbandPassesWhatIsNoNumber() {
        var stream = Stream(Deadband(band: 1, isRelative: false))
        #expect(stream.send(.boolean(true)) != nil)
        #expect(stream.send(.boolean(true)) != nil)
    }

    @Test func uniqueTakesEveryKindOfValue() {
        var stream = Stream(Unique())
        let values: [Value] = [
            .boolean(true), .boolean(true), .boolean(false), .text("a"), .text("a"), .text("b"), .integer(1),
            .integer(1),
        ]
        #expect(values.map { stream.send($0) != nil } == [true, false, true, true, false, true, true, false])
    }

    @Test func throttleByTheSamplesTime() {
        var stream = Stream(Throttle(interval: .seconds(3)))
        #expect(stream.numbers([1, 2, 3, 4, 5, 6, 7]) == [1, nil, nil, 4, nil, nil, 7])
        #expect(stream.send(.number(8), after: .seconds(2)) == nil)
        #expect(stream.send(.number(9), after: .seconds(1)) != nil)
    }

    @Test func heartbeatSendsTheUnchangedValueAfterTheInterval() {
        var stream = Stream(Deadband(band: 1, isRelative: false), Heartbeat(interval: .seconds(5)))
        #expect(
            stream.numbers([20, 20, 20, 20, 20, 20.5, 20, 22, 22, 22, 22, 22, 22])
                == [20, nil, nil, nil, nil, 20.5, nil, 22, nil, nil, nil, nil, 22])
    }

    /// After a heartbeat the consumer knows that value: the band is around it.
    @Test func deadbandGoesOnFromWhatTheHeartbeatSent() {
        var stream = Stream(Deadband(band: 1, isRelative: false), Heartbeat(interval: .seconds(2)))
        #expect(stream.numbers([20, 20.5, 20.9, 21.5, 21.9]) == [20, nil, 20.9, nil, 21.9])
    }

    @Test func anOutputAtLeastEveryInterval() {
        var random = SeededGenerator(seed: 9)
        var stream = Stream(
            Median(size: 5), Deadband(band: 0.5, isRelative: false), Throttle(interval: .seconds(20)),
            Round(decimals: 1),
            Heartbeat(interval: .seconds(60)))
        var last: Instant?
        var sent = 0
        for _ in 0..<5_000 {
            let value = Double.random(in: 19...21, using: &random)
            let gap = Interval.milliseconds(Int64.random(in: 1...10_000, using: &random))
            if stream.send(.number(value), after: gap) != nil {
                last = stream.time
                sent += 1
            } else {
                // Nothing was sent: then the last output is less than the interval ago.
                let quiet = last.map { stream.time - $0 } ?? .seconds(1_000)
                #expect(quiet < .seconds(60))
            }
        }
        #expect(sent < 2_500)
    }

    @Test func whatIsHeldStillGoesThroughTheFiltersBehind() {
        var stream = Stream(
            Deadband(band: 1, isRelative: false), Multiply(10), Clamp(low: 0, high: 204), Average(size: 4),
            Heartbeat(interval: .seconds(2)))
        // The held values do not enter the average; its last output is sent.
        #expect(stream.numbers([20, 20.3, 20.4, 30]) == [200, nil, 200, 202])
    }

    @Test func heartbeatSendsNothingThatWasDropped() {
        var stream = Stream(
            Bounds(low: 0, high: 50, drops: true), Deadband(band: 1, isRelative: false),
            Heartbeat(interval: .seconds(2)))
        #expect(stream.numbers([20, 20, 99, 99, 20]) == [20, nil, nil, nil, 20])
        var behind = Stream(
            Deadband(band: 100, isRelative: false), Bounds(low: 0, high: 50, drops: true),
            Heartbeat(interval: .seconds(2)))
        #expect(behind.numbers([20, 20, 99, 99, 20]) == [20, nil, nil, nil, 20])
    }

    @Test func aBadSampleCountsAsSentForTheHeartbeat() {
        var stream = Stream(Unique(), Heartbeat(interval: .seconds(3)))
        #expect(stream.numbers([1, 1]) == [1, nil])
        #expect(stream.send(.number(0), .bad(reason: "crc")) != nil)
        #expect(stream.numbers([1, 1, 1, 1]) == [1, nil, nil, 1])
    }

    /// What a filter behind holds was not sent: it must not be what the next ones are compared with.
    @Test func aChangeThatAThrottleHoldsIsSentWhenItLetsGo() {
        for gate in [Deadband(band: 0.1, isRelative: false), Unique()] as [Filter] {
            var stream = Stream(gate, Throttle(interval: .seconds(1)))
            var sent: [Double?] = []
            for value in [20, 20] + Array(repeating: 25.0, count: 8) {
                sent.append(stream.send(.number(value), after: .milliseconds(200))?.value.number)
            }
            #expect(sent == [20, nil, nil, nil, nil, 25, nil, nil, nil, nil])
        }
    }

    /// A gate learns of what was sent past it, because a gate before it held it and a heartbeat let it go.
    @Test func aReleasedSampleIsTheLastOneSentForAllGates() {
        for (gate, next) in [(Deadband(band: 1, isRelative: false), 21.2), (Unique(), 20.5)] as [(Filter, Double)] {
            var stream = Stream(Throttle(interval: .seconds(2)), gate, Heartbeat(interval: .seconds(5)))
            #expect(
                stream.numbers([20, 20, 20, 20, 20, 20.5, 20.5, next]) == [20, nil, nil, nil, nil, 20.5, nil, nil])
        }
    }

    /// In any order: what lasts is sent in the end, and what was sent last is never far from what is.
    @Test func aChangeThatLastsArrivesInAnyOrderOfTheGates() {
        var random = SeededGenerator(seed: 4)
        for _ in 0..<500 {
            let gates: [Filter] = [
                Deadband(band: 0.1, isRelative: false), Deadband(band: 0.01, isRelative: true), Unique(),
                Throttle(interval: .seconds(1)), Throttle(interval: .milliseconds(1_500)),
                Bounds(low: 0, high: 40, drops: true),
            ]
            let chosen = Array(gates.shuffled(using: &random).prefix(Int.random(in: 1...6, using: &random)))
            let chain = FilterChain(chosen)
            var time = Instant(nanoseconds: 0)
            var last: Double?
            func send(_ value: Double) {
                time = time + .milliseconds(200)
                let sample = Sample(series: SeriesID(0), value: .number(value), taken: time)
                if let sent = chain.apply(sample) { last = sent.value.number }
            }
            for _ in 0..<Int.random(in: 1...30, using: &random) {
                send([20, 20.05, 25, 99].randomElement(using: &random) ?? 20)
            }
            for _ in 0..<40 { send(30) }
            #expect(last == 30, "\(chosen)")
        }
    }

    /// Windows behind a throttle get its rhythm, whatever is sent.
    @Test func aThrottleSetsTheRhythmOfAWindow() {
        var stream = Stream(Throttle(interval: .seconds(3)), Median(size: 3), Deadband(band: 1, isRelative: false))
        // A disturbance of two seconds is one value of the window at most.
        #expect(stream.numbers([20, 20, 20, 20, 20, 20, 90, 90, 20, 20]) == [20] + Array(repeating: nil, count: 9))
    }

    @Test func theEmptyChainPassesEverything() {
        let sample = Sample(series: SeriesID(3), value: .number(.nan), taken: Instant(nanoseconds: 5))
        let result = FilterChain().apply(sample)
        #expect(result?.series == SeriesID(3))
        #expect(result?.value.number?.isNaN == true)
        #expect(FilterChain().isEmpty)
    }
}
