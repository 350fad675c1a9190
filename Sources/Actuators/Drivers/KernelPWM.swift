import CShim
import Configuration
import Hardware
import Platform
import Records

/// The driver `pwm`: a channel of a PWM chip that a driver of the kernel serves, through `/sys/class/pwm`
/// (Documentation/driver-api/pwm.rst and Documentation/ABI/testing/sysfs-class-pwm of the kernel). The hardware keeps the
/// pulses going by itself.
///
/// A channel that nobody has enabled yet gets period and pulse width before it is enabled, so its first pulse is one of the safe value; what the
/// line shows before is the board's business (on a Raspberry Pi it is an input until the channel is enabled). A channel that runs already with the
/// right period (the agent was restarted) only gets its pulse width; otherwise it is off for as long as the change takes. The
/// channel is left exported and enabled at the end, or the safe value would end there, too.
final class KernelPWM: SteppedOutput {
    struct Settings: Equatable {
        /// Such as `/sys/class/pwm/pwmchip0`.
        var chip: String
        var channel: Int64
        /// In nanoseconds.
        var period: Int64
        var isInversed: Bool
    }

    private let settings: Settings
    private let folder: String

    /// Takes the channel and sets its safe value.
    init(_ settings: Settings, scale: ValueScale, safe: Double, ramp: Interval) throws(ActuatorError) {
        self.settings = settings
        folder = joined(settings.chip, "/pwm", decimal(settings.channel))
        super.init(scale: scale, steps: settings.period, safe: safe, ramp: ramp)
        do throws(SystemError) {
            try setUp(safeStep)
        } catch {
            throw .system(error)
        }
    }

    private func setUp(_ width: Int64) throws(SystemError) {
        if access(folder, F_OK) != 0 {
            try put(joined(settings.chip, "/export"), decimal(settings.channel))
        }
        let isEnabled = try number("enable") == 1
        let polarity: StaticString = settings.isInversed ? "inversed" : "normal"
        // Not every chip can turn its output round; one that cannot has no such file, or refuses to have it written.
        var isTurned = settings.isInversed
        if access(path("polarity"), F_OK) == 0 { isTurned = try !text("polarity").isEqual(to: polarity) }
        let period = try number("period")
        if isEnabled, isTurned || period != settings.period { try set("enable", Int64(0)) }
        if isTurned || period != settings.period {
            // The pulse must never be longer than the period.
            if try number("duty_cycle") != 0 { try set("duty_cycle", Int64(0)) }
            if isTurned { try put(path("polarity"), string(polarity)) }
            try set("period", settings.period)
        }
        try set("duty_cycle", width)
        if try number("enable") != 1 { try set("enable", Int64(1)) }
    }

    override func write(_ step: Int64) throws(ActuatorError) {
        do throws(SystemError) {
            // Somebody may have taken the channel away, or switched it off.
            if access(folder, F_OK) == 0, try isRunning() {
                try set("duty_cycle", step)
            } else {
                try setUp(step)
            }
        } catch {
            throw .system(error)
        }
    }

    override func read() throws(ActuatorError) -> Int64 {
        do throws(SystemError) {
            if try isRunning() { return try number("duty_cycle") }
        } catch {
            throw .system(error)
        }
        throw .device(joined(folder, " is not enabled, or has another period"))
    }

    private func isRunning() throws(SystemError) -> Bool {
        let (isEnabled, period) = (try number("enable"), try number("period"))
        return isEnabled == 1 && period == settings.period
    }

    // MARK: Files

    private func path(_ name: StaticString) -> String { joined(folder, "/", string(name)) }

    private func set(_ name: StaticString, _ number: Int64) throws(SystemError) {
        try put(path(name), decimal(number))
    }

    private func put(_ path: String, _ text: String) throws(SystemError) {
        let descriptor = try Descriptor.open(path, flags: O_WRONLY | O_TRUNC)
        let bytes = Array(text.utf8)
        try systemCall("write", on: path) {
            bytes.withUnsafeBytes { CShim.write(descriptor.number, $0.baseAddress, $0.count) }
        }
    }

    private func text(_ name: StaticString) throws(SystemError) -> String {
        var bytes = try readFile(path(name), limit: 64)
        while bytes.last == 10 { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func number(_ name: StaticString) throws(SystemError) -> Int64 {
        guard let number = wholeNumber(try text(name)) else {
            throw SystemError(call: "read", code: EINVAL, subject: path(name))
        }
        return number
    }

    /// What keeps this process from using the channel. Opening a file of it for writing, without doing so, tells.
    private static func problem(_ settings: Settings) -> String? {
        if access(settings.chip, F_OK) != 0 { return joined(settings.chip, ": not there") }
        let channel = joined(settings.chip, "/pwm", decimal(settings.channel))
        let file = access(channel, F_OK) == 0 ? joined(channel, "/duty_cycle") : joined(settings.chip, "/export")
        do throws(SystemError) {
            _ = try Descriptor.open(file, flags: O_WRONLY)
            return nil
        } catch {
            let remedy = error.code == EACCES ? joined("; ", permissionRemedy(file, group: "gpio")) : ""
            return joined(error.description, remedy)
        }
    }

    // MARK: Configuration

    /// Reads `chip`, `channel`, `frequency` or `period`, `polarity`, `min`, `max`, `output_min`, `output_max`, `safe` and `ramp`.
    static func decode(_ reader: Reader, _ chips: SharedChips) -> DriverPlan? {
        let scale = ValueScale.decode(reader)
        let safe = scale.flatMap { safeNumber(reader, $0.range) }
        let ramp = rampTime(reader)
        let frequency = reader.number("frequency", in: 0.01...1_000_000)
        let period = reader.interval("period", in: .microseconds(1)...Interval.seconds(100))
        if frequency != nil, period != nil {
            reader.report("period", "stands beside frequency", expected: "one of them")
        }
        let wanted = period?.nanoseconds ?? Int64((1e9 / (frequency ?? 1_000)).rounded())
        guard let settings = place(reader, chips, period: wanted), let scale, let safe else { return nil }
        return plan(settings, scale, safe, ramp)
    }

    static func plan(_ settings: Settings, _ scale: ValueScale, _ safe: Double, _ ramp: Interval) -> DriverPlan {
        var plan = DriverPlan(
            domain: .number(scale.range), safe: .number(safe),
            open: { (_) throws(ActuatorError) -> any ActuatorDriver in
                try KernelPWM(settings, scale: scale, safe: safe, ramp: ramp)
            })
        plan.problem = { problem(settings) }
        return plan
    }

    /// Reads `chip`, `channel` and `polarity`; a channel that another actuator has is a problem.
    static func place(_ reader: Reader, _ chips: SharedChips, period: Int64) -> Settings? {
        let name = reader.nonEmpty("chip") ?? "pwmchip0"
        let polarity = reader.choice("polarity", ["normal", "inversed"])
        guard let channel = reader.requiredInteger("channel", in: 0...63), !reader.isRefused("chip") else { return nil }
        let path = normalisedPath(name.utf8.first == 47 ? name : joined("/sys/class/pwm/", name))
        if chips.chip("pwm", bus: path, address: channel, reader, "channel")?.take() == false {
            reader.report(
                "channel", joined("of ", name, " is another actuator's already"), expected: "a channel of its own")
        }
        return Settings(chip: path, channel: channel, period: period, isInversed: polarity == 1)
    }
}
