import Foundation
import Platform
import Records
import TestSupport
import Testing

@testable import Sensors

@Suite struct SimulatedTests {
    private func values(_ settings: Simulated.Settings, _ count: Int) -> [Double] {
        let driver = Simulated(settings: settings)
        return (0..<count).compactMap { _ in
            var values: [Value] = []
            _ = try? driver.trigger()
            try? driver.collect(into: &values)
            return values.first?.number
        }
    }

    private func settings(_ waveform: Simulated.Waveform, every: Interval = .seconds(1)) -> Simulated.Settings {
        Simulated.Settings(waveform: waveform, every: every)
    }

    @Test func generatorIsSplitMix64() {
        // The reference implementation's first numbers.
        var random = RandomSource(seed: 1_234_567)
        #expect(
            [random.next(), random.next(), random.next()] == [
                6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
            ])
        for _ in 0..<1_000 { #expect((0..<1).contains(random.fraction())) }
    }

    @Test func waveforms() {
        #expect(values(settings(.constant(4.5)), 3) == [4.5, 4.5, 4.5])
        #expect(values(settings(.counter(start: 0)), 4) == [0, 1, 2, 3])
        #expect(values(settings(.step(low: 1, high: 9, period: .seconds(4))), 6) == [1, 1, 9, 9, 1, 1])
        let sine = values(settings(.sine(amplitude: 2, offset: 20, period: .seconds(4), phase: 0)), 8)
        for (value, expected) in zip(sine, [20, 22, 20, 18, 20, 22, 20, 18.0]) {
            #expect(abs(value - expected) < 1e-9)
        }
        let cosine = values(settings(.sine(amplitude: 1, offset: 0, period: .seconds(4), phase: 0.25)), 2)
        #expect(abs(cosine[0] - 1) < 1e-12 && abs(cosine[1]) < 1e-12)
    }

    @Test func theWalkIsReproducibleBoundedAndSeeded() {
        let walk = Simulated.Waveform.randomWalk(start: 5, step: 2, minimum: 0, maximum: 10)
        let first = values(settings(walk), 10_000)
        #expect(first == values(settings(walk), 10_000))
        #expect(first[0] == 5)
        #expect(first.allSatisfy { (0...10).contains($0) })
        #expect(zip(first, first.dropFirst()).allSatisfy { abs($0 - $1) <= 2 })
        #expect(Set(first).count > 9_000)
        var other = settings(walk)
        other.seed = 2
        #expect(values(other, 100) != Array(first.prefix(100)))
        // A step larger than the range cannot leave it.
        let wild = Simulated.Waveform.randomWalk(start: 0, step: 100, minimum: -1, maximum: 1)
        #expect(values(settings(wild), 1_000).allSatisfy { (-1...1).contains($0) })
    }

    @Test func failuresComeAtTheirRateAndLoseNoValue() {
        var faulty = settings(.counter(start: 0))
        faulty.errorRate = 0.25
        let driver = Simulated(settings: faulty)
        var failures = 0
        var next: Int64 = 0
        for _ in 0..<4_000 {
            var values: [Value] = []
            do {
                _ = try driver.trigger()
                try driver.collect(into: &values)
                #expect(values == [.integer(next)])
                next += 1
            } catch {
                #expect(error == .simulated)
                failures += 1
            }
        }
        #expect((900...1_100).contains(failures))
        var walk = settings(.randomWalk(start: 0, step: 1, minimum: -1e9, maximum: 1e9))
        let clean = values(walk, 50)
        walk.errorRate = 0.5
        #expect(Array(values(walk, 500).prefix(50)) == clean)
    }

    @Test func aStallTakesItsTimeAndHoldsUpNothing() {
        let bench = Bench()
        var stalling = settings(.counter(start: 0))
        stalling.stall = .seconds(2)
        bench.add(Simulated(settings: stalling), every: .seconds(1), base: 0)
        bench.add(Simulated(settings: settings(.counter(start: 0))), every: .seconds(1), base: 1)
        bench.sampler.start()
        bench.loop.advance(by: .seconds(11))
        #expect(bench.samples.filter { $0.series.index == 0 }.map { $0.value } == [0, 1, 2, 3, 4].map { .integer($0) })
        #expect(bench.samples.filter { $0.series.index == 1 }.count == 11)
        var never = stalling
        never.stall = .seconds(86_400)
        never.stallRate = 0
        let quick = Bench()
        quick.add(Simulated(settings: never))
        quick.sampler.start()
        quick.loop.advance(by: .seconds(9))
        #expect(quick.good.count == 10)
        never.stallRate = 1
        let hung = Bench()
        hung.add(Simulated(settings: never))
        hung.sampler.start()
        hung.loop.advance(by: .seconds(60))
        #expect(hung.samples.map { $0.quality } == [.bad(reason: "timeout")])
    }
}

@Suite struct ReplayTests {
    private func replay(
        _ file: TemporaryFile, _ field: Replay.Field, repeats: Bool = false, separator: UInt8 = UInt8(ascii: ",")
    ) -> Replay {
        Replay(Replay.Settings(path: file.path, field: field, separator: separator, repeats: repeats))
    }

    /// All values and the texts of the failures in between, until the end or `limit`.
    private func all(_ replay: Replay, limit: Int = 100) -> (values: [Value], problems: [String]) {
        var values: [Value] = []
        var problems: [String] = []
        for _ in 0..<limit {
            do {
                values.append(try replay.next())
            } catch {
                if error == .ended { break }
                problems.append(error.description)
            }
        }
        return (values, problems)
    }

    @Test func aColumnByName() throws {
        let file = try TemporaryFile("time,\"temp, in\",humidity\r\n1,20.5,40\r\n\r\n2,\"21.5\",41\r\n3,-1e1,42")
        #expect(all(replay(file, .column("temp, in"))).values == [.number(20.5), .number(21.5), .number(-10)])
        #expect(all(replay(file, .column("humidity"))).values == [.number(40), .number(41), .number(42)])
    }

    @Test func aColumnByNumberWithAndWithoutHeader() throws {
        let bare = try TemporaryFile("1;10\n2;20\n")
        let semicolon = UInt8(ascii: ";")
        #expect(all(replay(bare, .columnNumber(2), separator: semicolon)).values == [.number(10), .number(20)])
        let headed = try TemporaryFile("a;b\n2;20\n")
        let result = all(replay(headed, .columnNumber(1), separator: semicolon))
        #expect(result.values == [.number(2)])
        #expect(result.problems.isEmpty)
    }

    @Test func aMissingColumnNamesTheHeader() throws {
        let file = try TemporaryFile("a,b\n1,2\n")
        let result = all(replay(file, .column("c")))
        #expect(result.values.isEmpty)
        #expect(result.problems.count == 1)
        #expect(result.problems[0].contains("\(file.path):1: no column \"c\" in \"a,b\""))
    }

    @Test func malformedLinesAreNamedAndCostNoValue() throws {
        let file = try TemporaryFile("v\n1\nx\n\u{1}y\n2\n\n3\nnan\n")
        let replay = replay(file, .column("v"))
        let result = all(replay)
        #expect(result.values == [.number(1), .number(2), .number(3)])
        #expect(
            result.problems == [
                "invalid data: \(file.path):3: not a number: \"x\" (lines skipped so far: 1)",
                "invalid data: \(file.path):8: not a number: \"nan\" (lines skipped so far: 3)",
            ])
        #expect(replay.malformed == 3)
    }

    @Test func jsonLinesOfEveryKind() throws {
        let file = try TemporaryFile(
            """
            {"sensorID":"a","value":1.5,"nested":{"value":9}}
            {"value":7}
            {"value":true}
            {"value":"open \\u00e4"}
            {"value":null}
            {"other":1}
            {"value":1,"value":2}
            [1]
            {"value":
            {"value":8}

            """)
        let result = all(replay(file, .key("value")))
        #expect(
            result.values == [.number(1.5), .integer(7), .boolean(true), .text("open ä"), .integer(8)])
        #expect(result.problems.count == 1)
        #expect(result.problems[0].contains(":5: no number, text or boolean under \"value\""))
        #expect(replay(file, .key("value")).malformed == 0)
    }

    @Test func itRepeatsOrEnds() throws {
        let file = try TemporaryFile("v\n1\n2\n")
        #expect(
            all(replay(file, .column("v"), repeats: true), limit: 5).values
                == [.number(1), .number(2), .number(1), .number(2), .number(1)])
        let once = replay(file, .column("v"))
        #expect(all(once).values.count == 2)
        #expect(throws: SensorError.ended) { try once.next() }
    }

    @Test func aFileWithoutValuesFailsInsteadOfTurningForEver() throws {
        for text in ["", "v\n", "v\nx\ny\n"] {
            let file = try TemporaryFile(text)
            #expect(throws: SensorError.self) { try replay(file, .column("v"), repeats: true).next() }
        }
        let long = try TemporaryFile("v\n" + String(repeating: "x\n", count: 5_000) + "1\n")
        let result = all(replay(long, .column("v")))
        #expect(result.values == [.number(1)])
        #expect(result.problems.count == 6)
    }

    @Test func anAbsentFileIsNamedAndMayComeLater() throws {
        let path = NSTemporaryDirectory() + "kedge-\(UUID().uuidString)"
        let replay = Replay(Replay.Settings(path: path, field: .column("v")))
        #expect(throws: SensorError.system(SystemError(call: "open", code: ENOENT, subject: path))) {
            try replay.next()
        }
        try Data("v\n5\n".utf8).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(try replay.next() == .number(5))
    }

    @Test func linesLongerThanTheBufferAndThanTheLimit() throws {
        let padding = String(repeating: "p", count: 6_000)
        let tooLong = String(repeating: "q", count: 20_000)
        let file = try TemporaryFile("v,w\n1,\(padding)\n2,\(tooLong)\n3,z\n")
        let result = all(replay(file, .column("v")))
        #expect(result.values == [.number(1), .number(3)])
        #expect(result.problems.count == 1)
        #expect(result.problems[0].contains(":3: a line of more than 16384 bytes"))
    }
}
