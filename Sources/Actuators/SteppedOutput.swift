import Platform
import Records

/// An output with many steps between off and full: a pulse width or a voltage. Subclasses write and read the steps; this
/// converts values to them, and goes from one value to the next at the speed that `ramp` allows.
///
/// The safe value is never approached slowly: it is there with the first write.
class SteppedOutput: ActuatorDriver {
    /// How far apart the writes of a ramp are.
    static var stepTime: Interval { .milliseconds(20) }

    /// Values to shares of the full output.
    let scale: ValueScale
    /// The number of the highest step, which is the full output.
    let steps: Int64
    let safe: Double
    /// How long the way through the whole range takes; zero goes at once.
    private let ramp: Interval
    /// As last driven: the value, and its step.
    private var value: Double
    private var target: Int64
    /// The step that is written now.
    private var current: Int64
    /// How many more writes the ramp has.
    private var left: Int64 = 0

    init(scale: ValueScale, steps: Int64, safe: Double, ramp: Interval = .zero) {
        self.scale = scale
        self.steps = steps
        self.safe = safe
        self.ramp = ramp
        value = safe
        target = Self.step(safe, scale, steps)
        current = target
    }

    /// Makes the output show a step, 0 to `steps`.
    func write(_ step: Int64) throws(ActuatorError) {}

    /// The step that the output shows.
    func read() throws(ActuatorError) -> Int64 { 0 }

    /// The step of the safe value.
    final var safeStep: Int64 { Self.step(safe, scale, steps) }

    /// The step for a value.
    static func step(_ value: Double, _ scale: ValueScale, _ steps: Int64) -> Int64 {
        let exact = (scale.share(value) * Double(steps)).rounded()
        return max(0, min(steps, Int64(exact)))
    }

    final func drive(_ value: Value) throws(ActuatorError) -> Interval {
        let number = value.number ?? safe
        self.value = number
        target = Self.step(number, scale, steps)
        left = 0
        // How many steps one write may go.
        let share = Double((target - current).magnitude) / Double(steps) / (scale.highest - scale.lowest).magnitude
        if number != safe, ramp > .zero {
            left = Int64((share * Double(ramp.nanoseconds) / Double(Self.stepTime.nanoseconds)).rounded(.up))
        }
        if left == 0 {
            try move(to: target)
            return .zero
        }
        let time = Self.stepTime * left
        try step()
        return time
    }

    final var pause: Interval? { left > 0 ? Self.stepTime : nil }

    final func step() throws(ActuatorError) {
        if left <= 0 { return }
        // The remaining way in equal parts, so that it ends exactly at the target.
        let next = current + (target - current) / left
        left -= 1
        try move(to: left == 0 ? target : next)
    }

    private func move(to step: Int64) throws(ActuatorError) {
        do throws(ActuatorError) {
            try write(step)
            current = step
        } catch {
            left = 0
            throw error
        }
    }

    final func readBack() throws(ActuatorError) -> Value {
        // Somebody was late: the ramp ends here rather than being taken for a failure.
        if left > 0 {
            left = 0
            try move(to: target)
        }
        let found = try read()
        // What was asked for lies between two steps.
        if found == target { return .number(value) }
        return .number(scale.value(step: found, of: steps))
    }
}
