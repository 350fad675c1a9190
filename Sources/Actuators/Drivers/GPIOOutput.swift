import Configuration
import Hardware
import Platform
import Records

/// The driver `gpio`: a line that is off (0, false) or on (1, true).
///
/// The line is requested as an output with its safe level in the same request, so it never shows another one in between.
///
/// With `pulse` every order for the other level than the safe one is a pulse of that length. With `blink` the line does not stay at
/// that level, but goes to and fro, and begins there; the value is then still the level that was asked for.
public final class GPIOOutput: ActuatorDriver {
    public struct Settings: Sendable {
        public var line: LineReference
        /// Where `line` stands in the configuration.
        public var mark: Mark
        public var activeLow: Bool
        public var bias: Bias
        public var safe: Bool
        /// How long a pulse is; `nil` is until the next order.
        public var pulse: Interval?
        /// How long a blinking line is at the level that was asked for, and how long at the other one.
        public var blink: (on: Interval, off: Interval)?

        public init(
            line: LineReference, mark: Mark = Mark(line: 0, column: 0), activeLow: Bool = false, bias: Bias = .asIs,
            safe: Bool = false, pulse: Interval? = nil, blink: (on: Interval, off: Interval)? = nil
        ) {
            self.line = line
            self.mark = mark
            self.activeLow = activeLow
            self.bias = bias
            self.safe = safe
            self.pulse = pulse
            self.blink = blink
        }

        public var plan: DriverPlan {
            var plan = DriverPlan(
                domain: .level, safe: .integer(safe ? 1 : 0), claims: [LineClaim(reference: line, mark: mark)],
                open: { [self] (hardware) throws(ActuatorError) -> any ActuatorDriver in
                    try GPIOOutput.open(self, gpio: hardware.gpio)
                })
            plan.longest = pulse
            return plan
        }
    }

    private let line: any GPIOLine
    private let safe: Bool
    private let blink: (on: Interval, off: Interval)?
    /// As last driven.
    private var wanted: Bool
    /// As last written: another one in the dark part of a blink.
    private var level: Bool
    public private(set) var pause: Interval?

    private init(_ settings: Settings, line: any GPIOLine) {
        safe = settings.safe
        blink = settings.blink
        wanted = settings.safe
        level = settings.safe
        self.line = line
    }

    /// Requests the line with its safe level.
    static func open(_ settings: Settings, gpio: any GPIO) throws(ActuatorError) -> GPIOOutput {
        do throws(GPIOError) {
            let line = try gpio.request(
                settings.line,
                LineSettings(
                    direction: .output(active: settings.safe), bias: settings.bias, activeLow: settings.activeLow))
            return GPIOOutput(settings, line: line)
        } catch {
            throw .gpio(error)
        }
    }

    public func drive(_ value: Value) throws(ActuatorError) -> Interval {
        pause = nil
        wanted = value.number == 1
        try write(wanted)
        if let blink, wanted != safe { pause = blink.on }
        return .zero
    }

    public func step() throws(ActuatorError) {
        guard let blink, pause != nil else { return }
        pause = nil
        try write(!level)
        pause = level == wanted ? blink.on : blink.off
    }

    private func write(_ active: Bool) throws(ActuatorError) {
        do throws(GPIOError) {
            try line.write(active)
        } catch {
            throw .gpio(error)
        }
        level = active
    }

    public func readBack() throws(ActuatorError) -> Value {
        do throws(GPIOError) {
            let found = try line.read()
            // A blinking line is right when it is where the last step has put it.
            let shown = pause == nil ? found : (found == level) == wanted
            return .integer(shown ? 1 : 0)
        } catch {
            throw .gpio(error)
        }
    }

    /// Reads `chip`, `line` (an offset, or a name), `active_low`, `bias`, `safe`, `pulse` and `blink`.
    static func decode(_ reader: Reader, _ chips: SharedChips) -> DriverPlan? {
        let line = LineReference.decode(reader)
        let activeLow = reader.boolean("active_low") ?? false
        let biases: [Bias] = [.asIs, .disabled, .pullUp, .pullDown]
        let bias = reader.choice("bias", ["as-is", "disabled", "pull-up", "pull-down"]) ?? 0
        let safe = safeLevel(reader)
        let pulse = pulseTime(reader)
        var blink: (on: Interval, off: Interval)?
        if let times = reader.mapping("blink") {
            let range = Interval.milliseconds(10)...Interval.seconds(3_600)
            let on = times.requiredInterval("on", in: range)
            let off = times.requiredInterval("off", in: range)
            times.finish()
            if let on, let off { blink = (on, off) }
        }
        guard let line else { return nil }
        return Settings(
            line: line, mark: reader.mark(of: "line"), activeLow: activeLow, bias: biases[bias], safe: safe,
            pulse: pulse, blink: blink
        ).plan
    }
}
