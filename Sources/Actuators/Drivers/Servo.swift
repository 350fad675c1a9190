import Configuration
import Platform
import Records

/// The driver `servo`: the angle of a hobby servo, by the width of a pulse that comes fifty times a second, from a channel
/// of the kernel's PWM (`chip`, `channel`) or of a PCA9685 (`bus`, `address`, `channel`).
///
/// A pulse of 1.5 ms is the middle. What the ends are differs from one servo to the next: 1 and 2 ms, which are the
/// standard here, are within the reach of all. A servo moves to its safe angle as fast as it can.
enum Servo {
    private static var frequency: Double { 50 }

    /// Reads `min` and `max` (0 and 180), `pulse_min` and `pulse_max` (their pulses), `safe`, `ramp`, and the place.
    static func decode(_ reader: Reader, _ chips: SharedChips) -> DriverPlan? {
        let range = numberRange(reader, 0...180)
        let pulses = Interval.microseconds(100)...Interval.milliseconds(5)
        let lowest = reader.interval("pulse_min", in: pulses) ?? .milliseconds(1)
        let highest = reader.interval("pulse_max", in: pulses) ?? .milliseconds(2)
        if lowest == highest, !reader.isRefused("pulse_min"), !reader.isRefused("pulse_max") {
            reader.report("pulse_max", "is the same as pulse_min", expected: "two different pulses")
        }
        let safe = range.flatMap { safeNumber(reader, $0) }
        let ramp = rampTime(reader)
        func scale(period: Double) -> ValueScale? {
            range.map { ValueScale(range: $0, lowest: lowest.seconds / period, highest: highest.seconds / period) }
        }
        if reader.has("bus") {
            let wanted = PCA9685Output.prescale(frequency)
            guard let place = PCA9685Output.place(reader, chips, wanted, isAsked: true),
                let scale = scale(period: PCA9685Output.period(wanted)), let safe
            else { return nil }
            return place.plan(scale, safe, ramp)
        }
        guard let place = KernelPWM.place(reader, chips, period: Int64(1e9 / frequency)),
            let scale = scale(period: 1 / frequency), let safe
        else { return nil }
        return KernelPWM.plan(place, scale, safe, ramp)
    }
}
