import Actuators
import Hardware
import Platform
import Sensors

/// Asks every device of a configuration once, and says what is wrong with those that do not answer: for
/// `kedge check --hardware`.
public final class HardwareCheck {
    /// A bus, a sensor or an actuator, and what is wrong with it.
    public struct Device: Equatable, Sendable {
        /// Such as `sensor greenhouse`.
        public let name: String
        public let error: String?

        public static func == (left: Device, right: Device) -> Bool {
            guard sameBytes(left.name, right.name) else { return false }
            guard let leftError = left.error, let rightError = right.error else {
                return left.error == nil && right.error == nil
            }
            return sameBytes(leftError, rightError)
        }
    }

    let settings: AgentSettings
    let hardware: any Hardware
    private let sampler: Sampler
    /// The lines that were looked at so far.
    private var lines: [(info: LineInfo, reference: LineReference, user: String)] = []

    private init(_ settings: AgentSettings, _ hardware: any Hardware, _ sampler: Sampler) {
        self.settings = settings
        self.hardware = hardware
        self.sampler = sampler
    }

    /// Measures every sensor, looks at every line, and calls `completion` with what was found, in the order of the
    /// configuration: buses, sensors, actuators, heartbeat. It always comes to an end.
    /// - Returns: what must be kept until then.
    /// - Throws: `SystemError` when a thread is not to be had.
    public static func start(
        _ settings: AgentSettings, hardware: any Hardware, loop: any Loop, log: Log,
        completion: @escaping ([Device]) -> Void
    ) throws(SystemError) -> HardwareCheck {
        let sampler = Sampler(loop: loop, log: log) { _ in }
        let buses = BusThreads(settings.buses, hardware: hardware, loop: loop)
        try sampler.add(settings.sensors, buses: buses, hardware: hardware, loop: loop)
        let check = HardwareCheck(settings, hardware, sampler)
        loop.after(.zero) { [unowned(unsafe) check] in
            sampler.readAll { readings in completion(check.devices(readings)) }
        }
        return check
    }

    deinit { sampler.stop() }

    private func devices(_ readings: [SensorReading]) -> [Device] {
        // What the sensors had is free from here on.
        sampler.stop()
        var devices: [Device] = []
        for bus in settings.buses {
            let name = joined("bus ", bus.name)
            var error = problem(with: bus)
            if let recovery = bus.recovery {
                for line in [recovery.sda, recovery.scl] {
                    let problem = problem(with: line, of: name).map { joined("recovery: ", $0) }
                    error = error ?? problem
                }
            }
            devices.append(Device(name: name, error: error))
        }
        for index in 0..<min(readings.count, settings.sensors.count) {
            let plan = settings.sensors[index].plan
            let name = joined("sensor ", plan.id)
            var error: String?
            if case .failed(let failure) = readings[index].outcome, !failure.isOwnLine {
                error = explanation(of: failure, plan)
            }
            for case .line(let line, _) in plan.claims {
                let problem = problem(with: line, of: name)
                error = error ?? problem
            }
            devices.append(Device(name: name, error: error))
        }
        for actuator in settings.actuators {
            let name = joined("actuator ", actuator.id)
            var error: String?
            for claim in actuator.claims { error = problem(with: claim.reference, of: name) ?? error }
            for claim in actuator.driver.addresses where error == nil {
                error = problem(with: claim, actuator.driver.chip)
            }
            if let problem = actuator.driver.problem?() { error = problem }
            devices.append(Device(name: name, error: error))
        }
        if let heartbeat = settings.heartbeat {
            devices.append(Device(name: "heartbeat", error: problem(with: heartbeat.line, of: "heartbeat")))
        }
        return devices
    }

    private func problem(with bus: BusSettings) -> String? {
        do throws(SystemError) {
            _ = try hardware.openBus(bus)
            return nil
        } catch {
            return joined(error.description, error.busRemedy.map { joined("; ", $0) } ?? "")
        }
    }

    /// Whether the line is there, and neither another user's in this configuration, by whatever name, nor somebody else's.
    private func problem(with line: LineReference, of user: String) -> String? {
        do throws(GPIOError) {
            let info = try hardware.gpio.inspect(line)
            if let first = lines.first(where: { $0.info.isSameLine(as: info) }) {
                return joined(
                    "GPIO ", line.description, " is the line of ", first.user, ", too (GPIO ",
                    first.reference.description, "): both are line ", decimal(Int64(info.offset)), " of ", info.chip)
            }
            lines.append((info, line, user))
            guard let consumer = info.consumer else { return nil }
            throw GPIOError(line: line, cause: .busy(consumer: consumer))
        } catch {
            return error.isOwnLine ? nil : error.description
        }
    }
}

extension GPIOError {
    /// Whether the line is held by kedge: by the agent that runs while its configuration is checked.
    fileprivate var isOwnLine: Bool {
        if case .busy(let consumer) = cause { return consumer.isEqual(to: "kedge") }
        return false
    }
}

extension SensorError {
    fileprivate var isOwnLine: Bool {
        if case .gpio(let error) = self { return error.isOwnLine }
        return false
    }
}
