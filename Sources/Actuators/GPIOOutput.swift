import Configuration
import Hardware
import Platform
import Records

/// The driver `gpio`: a line that is off (0, false) or on (1, true).
///
/// The line is requested as an output with its safe level in the same request, so it never shows another one in between.
public final class GPIOOutput: ActuatorDriver {
    public struct Settings: Equatable, Sendable {
        public var line: LineReference
        /// Where `line` stands in the configuration.
        public var mark: Mark
        public var activeLow: Bool
        public var bias: Bias
        public var safe: Bool

        public init(
            line: LineReference, mark: Mark = Mark(line: 0, column: 0), activeLow: Bool = false, bias: Bias = .asIs,
            safe: Bool = false
        ) {
            self.line = line
            self.mark = mark
            self.activeLow = activeLow
            self.bias = bias
            self.safe = safe
        }

        public var plan: DriverPlan {
            DriverPlan(
                domain: .level, safe: .integer(safe ? 1 : 0), claims: [LineClaim(reference: line, mark: mark)],
                open: { [self] (hardware) throws(ActuatorError) -> any ActuatorDriver in
                    try GPIOOutput(self, gpio: hardware.gpio)
                })
        }
    }

    private let line: any GPIOLine

    /// Requests the line with its safe level.
    public init(_ settings: Settings, gpio: any GPIO) throws(ActuatorError) {
        do throws(GPIOError) {
            line = try gpio.request(
                settings.line,
                LineSettings(
                    direction: .output(active: settings.safe), bias: settings.bias, activeLow: settings.activeLow))
        } catch {
            throw .gpio(error)
        }
    }

    public func drive(_ value: Value) throws(ActuatorError) -> Interval {
        do throws(GPIOError) {
            try line.write(value.number == 1)
        } catch {
            throw .gpio(error)
        }
        return .zero
    }

    public func readBack() throws(ActuatorError) -> Value {
        do throws(GPIOError) {
            return .integer(try line.read() ? 1 : 0)
        } catch {
            throw .gpio(error)
        }
    }

    /// Reads `chip`, `line` (an offset, or a name), `active_low`, `bias` and `safe`.
    static func decode(_ reader: Reader) -> DriverPlan? {
        let chip = reader.string("chip")
        let activeLow = reader.boolean("active_low") ?? false
        let biases: [Bias] = [.asIs, .disabled, .pullUp, .pullDown]
        let bias = reader.choice("bias", ["as-is", "disabled", "pull-up", "pull-down"]) ?? 0
        let safe = safeLevel(reader)
        guard let line = line(reader) else { return nil }
        return Settings(
            line: LineReference(chip: chip, line: line), mark: reader.mark(of: "line"), activeLow: activeLow,
            bias: biases[bias], safe: safe
        ).plan
    }

    private static func line(_ reader: Reader) -> LineReference.Line? {
        guard let text = reader.requiredString("line") else { return nil }
        var isQuoted = false
        if case .scalar(let scalar) = reader.node("line") { isQuoted = scalar.isQuoted }
        // A line's name that begins with a digit can be put in quotes; a minus begins a wrong offset, not a name.
        guard let first = text.utf8.first, !isQuoted, (48...57).contains(first) || first == 45 else {
            return .name(text)
        }
        guard let offset = reader.integer("line", in: 0...Int64(UInt32.max)) else { return nil }
        return .offset(UInt32(truncatingIfNeeded: offset))
    }

    private static func safeLevel(_ reader: Reader) -> Bool {
        if case .scalar(let scalar) = reader.node("safe"), !scalar.isQuoted {
            if sameBytes(scalar.text, "0") { return false }
            if sameBytes(scalar.text, "1") { return true }
        }
        return reader.boolean("safe") ?? false
    }
}
