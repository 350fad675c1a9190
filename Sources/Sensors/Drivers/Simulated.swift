import CShim
import Configuration
import Platform
import Records

/// Values without hardware, for demonstrations and tests.
///
/// A value depends on the settings and on how many came before it, never on a clock or on failures in between: two runs
/// yield the same, and a consumer can tell from the values of `counter` whether one is missing.
final class Simulated: SensorDriver {
    enum Waveform: Equatable {
        case constant(Double)
        /// `phase` is a fraction of the period.
        case sine(amplitude: Double, offset: Double, period: Interval, phase: Double)
        /// `low` for the first half of the period, then `high`.
        case step(low: Double, high: Double, period: Interval)
        /// Each value differs from the last by at most `step` and is reflected at the limits.
        case randomWalk(start: Double, step: Double, minimum: Double, maximum: Double)
        /// 0, 1, 2 …
        case counter(start: Int64)
        case replay(Replay.Settings)
    }

    struct Settings: Equatable {
        var waveform: Waveform
        /// The time from value to value, for the waveforms that have a period.
        var every: Interval
        var seed: UInt64 = 1
        /// The share of measurements that fail, 0 to 1.
        var errorRate: Double = 0
        /// How long a measurement takes that stalls; longer than the sampler waits is for ever.
        var stall: Interval = .zero
        /// The share of measurements that stall, 0 to 1.
        var stallRate: Double = 1
    }

    private let settings: Settings
    private let replay: Replay?
    private var walk: RandomSource
    private var position = 0.0
    /// Apart from the walk's, so that failures do not change its values.
    private var faults: RandomSource
    /// Values handed out.
    private var number: Int64 = 0
    private var fails = false

    init(settings: Settings) {
        self.settings = settings
        walk = RandomSource(seed: settings.seed)
        faults = RandomSource(seed: ~settings.seed)
        replay = if case .replay(let replay) = settings.waveform { Replay(replay) } else { nil }
        if case .randomWalk(let start, _, _, _) = settings.waveform { position = start }
    }

    func trigger() throws(SensorError) -> Interval {
        fails = settings.errorRate > 0 && faults.fraction() < settings.errorRate
        guard settings.stall > .zero else { return .zero }
        return faults.fraction() < settings.stallRate ? settings.stall : .zero
    }

    func collect(into values: inout [Value]) throws(SensorError) {
        if fails { throw .simulated }
        values.append(try next())
        number += 1
    }

    private func next() throws(SensorError) -> Value {
        switch settings.waveform {
        case .constant(let value): return .number(value)
        case .sine(let amplitude, let offset, let period, let phase):
            return .number(offset + amplitude * sin(2 * Double.pi * (fraction(of: period) + phase)))
        case .step(let low, let high, let period): return .number(fraction(of: period) < 0.5 ? low : high)
        case .randomWalk(_, let step, let minimum, let maximum):
            if number > 0 {
                position += (2 * walk.fraction() - 1) * step
                if position > maximum { position = max(minimum, 2 * maximum - position) }
                if position < minimum { position = min(maximum, 2 * minimum - position) }
            }
            return .number(position)
        case .counter(let start): return .integer(start &+ number)
        case .replay:
            guard let replay else { throw .ended }
            return try replay.next()
        }
    }

    /// Where this value stands in its period, 0 to 1. In integers, so that it does not lose precision with time.
    private func fraction(of period: Interval) -> Double {
        let length = max(1, period.nanoseconds)
        let (_, rest) = length.dividingFullWidth(number.multipliedFullWidth(by: settings.every.nanoseconds % length))
        return Double(rest) / Double(length)
    }
}

extension Simulated {
    private static var waveformKeys: [StaticString] {
        [
            "value", "amplitude", "offset", "period", "phase", "low", "high", "min", "max", "start", "step", "path",
            "column", "key", "separator", "repeat",
        ]
    }

    static func decode(_ reader: Reader, every: Interval?) -> DriverPlan? {
        let names: [StaticString] = ["constant", "sine", "step", "random-walk", "counter", "replay"]
        let choice = reader.has("waveform") ? reader.choice("waveform", names) : 0
        let any = -1e15...1e15
        let times: ClosedRange<Interval> = .milliseconds(1) ... .seconds(366 * 86_400)
        var waveform: Waveform?
        switch choice {
        // Which of the keys are right depends on it.
        case nil: for key in waveformKeys { _ = reader.has(key) }
        case 0: waveform = .constant(reader.number("value", in: any) ?? 0)
        case 1:
            waveform = .sine(
                amplitude: reader.number("amplitude", in: any) ?? 1, offset: reader.number("offset", in: any) ?? 0,
                period: reader.interval("period", in: times) ?? .seconds(60),
                phase: reader.number("phase", in: 0...1) ?? 0)
        case 2:
            waveform = .step(
                low: reader.number("low", in: any) ?? 0, high: reader.number("high", in: any) ?? 1,
                period: reader.interval("period", in: times) ?? .seconds(60))
        case 3:
            let least = reader.number("min", in: any)
            let most = reader.number("max", in: any)
            let first = reader.number("start", in: any)
            let step = reader.number("step", in: 0...1e15) ?? 1
            let (minimum, maximum) = (least ?? -1e15, most ?? 1e15)
            let start = first ?? min(max(0, minimum), maximum)
            if least == nil && reader.has("min") || most == nil && reader.has("max")
                || first == nil && reader.has("start")
            {
                // Reported already.
            } else if minimum > maximum || start < minimum || start > maximum {
                reader.diagnostics.report(
                    reader.mark(of: "start"), "min, start and max out of order", expected: "min <= start <= max")
            } else {
                waveform = .randomWalk(start: start, step: step, minimum: minimum, maximum: maximum)
            }
        case 4: waveform = .counter(start: reader.integer("start", in: -(1 << 53)...(1 << 53)) ?? 0)
        default: waveform = Replay.decode(reader).map { .replay($0) }
        }
        var settings = Settings(waveform: waveform ?? .constant(0), every: every ?? defaultPeriod)
        settings.seed = UInt64(bitPattern: reader.integer("seed", in: 0...Int64.max) ?? 1)
        settings.errorRate = reader.number("error_rate", in: 0...1) ?? 0
        settings.stall = reader.interval("stall", in: .zero...times.upperBound) ?? .zero
        if reader.has("stall") { settings.stallRate = reader.number("stall_rate", in: 0...1) ?? 1 }
        let unit = reader.nonEmpty("unit")
        guard waveform != nil else { return nil }
        let final = settings
        // A replay reads its file, which may block.
        let make: DriverMaker =
            choice == 5 ? .onFiles { Simulated(settings: final) } : .onLoop { Simulated(settings: final) }
        return DriverPlan(channels: [Channel("", unit: unit)], make: make)
    }
}
