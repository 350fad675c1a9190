import Actuators
import CShim
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

    private let settings: AgentSettings
    private let hardware: any Hardware
    private let sampler: Sampler

    private init(_ settings: AgentSettings, _ hardware: any Hardware, _ sampler: Sampler) {
        self.settings = settings
        self.hardware = hardware
        self.sampler = sampler
    }

    /// Measures every sensor, looks at every line, and calls `completion` with what was found, in the order of the
    /// configuration: buses, sensors, actuators. It always comes to an end.
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
        var devices: [Device] = []
        for bus in settings.buses { devices.append(Device(name: joined("bus ", bus.name), error: problem(with: bus))) }
        for index in 0..<min(readings.count, settings.sensors.count) {
            let plan = settings.sensors[index].plan
            var error: String?
            if case .failed(let failure) = readings[index].outcome, !failure.isOwnLine {
                error = explanation(of: failure, plan)
            }
            devices.append(Device(name: joined("sensor ", plan.id), error: error))
        }
        for actuator in settings.actuators {
            var error: String?
            for claim in actuator.claims { error = problem(with: claim.reference) ?? error }
            for claim in actuator.driver.addresses where error == nil { error = problem(with: claim) }
            if let path = actuator.driver.path, access(path, F_OK) != 0 { error = joined(path, ": not there") }
            devices.append(Device(name: joined("actuator ", actuator.id), error: error))
        }
        return devices
    }

    private func problem(with bus: BusSettings) -> String? {
        do throws(SystemError) {
            _ = try hardware.openBus(bus)
        } catch {
            return joined(error.description, error.busRemedy.map { joined("; ", $0) } ?? "")
        }
        guard let lines = bus.recovery else { return nil }
        return (problem(with: lines.sda) ?? problem(with: lines.scl)).map { joined("recovery: ", $0) }
    }

    private func problem(with line: LineReference) -> String? {
        do throws(GPIOError) {
            try hardware.gpio.inspect(line)
            return nil
        } catch {
            return error.isOwnLine ? nil : error.description
        }
    }

    /// Whether an actuator's chip answers: reading a byte changes nothing in any of them.
    private func problem(with claim: AddressClaim) -> String? {
        guard let settings = settings.buses.first(where: { sameBytes($0.name, claim.bus) }) else { return nil }
        do throws(SystemError) {
            let bus = try hardware.openBus(settings)
            do throws(I2CError) {
                _ = try bus.readByte(claim.address)
                return nil
            } catch {
                return error.description
            }
        } catch {
            // The bus itself says it already.
            return joined("no bus ", settings.name)
        }
    }

    /// The failure in words, with what else can be seen.
    private func explanation(of failure: SensorError, _ plan: SensorPlan) -> String {
        let text = failure.description
        switch failure {
        case .wrongChip: return joined(text, elsewhere(plan))
        case .i2c(let error) where error.isNoAcknowledge: return joined(text, elsewhere(plan))
        case .i2c(let error) where error.code == EBUSY:
            guard let (bus, address) = place(plan), let path = bus.path,
                let holder = hardware.holder(of: address, on: path)
            else { return text }
            return joined(text, ": ", holder)
        case .system(let error) where error.code == EACCES:
            return joined(text, "; ", permissionRemedy(error.subject, group: "root"))
        default: return text
        }
    }

    private func place(_ plan: SensorPlan) -> (bus: BusSettings, address: UInt8)? {
        for claim in plan.claims {
            guard case .address(let name, let address, _) = claim,
                let bus = settings.buses.first(where: { sameBytes($0.name, name) })
            else { continue }
            return (bus, address)
        }
        return nil
    }

    /// What answers at the other addresses that the sensor's chip can have, or what the whole bus looks like.
    private func elsewhere(_ plan: SensorPlan) -> String {
        guard let (settings, address) = place(plan), let bus = open(settings) else { return "" }
        let scan = BusScan(bus)
        if scan.isHeldLow {
            return "; every address of the bus seems to answer: SDA is held low, or its pull-up resistor is missing"
        }
        if scan.failure != nil { return "; the bus times out: is SDA or SCL held low?" }
        if scan.devices.isEmpty { return "; nothing answers on this bus: is it wired, and has it power?" }
        guard let addresses = KnownChip.addresses(ofDriver: plan.driver) else { return "" }
        var found = ""
        for device in scan.devices where device.state == .answers && addresses.contains(device.address) {
            if device.address == address || isTaken(device.address, on: settings) { continue }
            var chip = ""
            if let recognition = KnownChip.recognise(device.address, on: bus), recognition.isCertain {
                chip = joined(" (a ", string(recognition.chip.name), ")")
            }
            found = joined(
                found, found.utf8.isEmpty ? "; but something answers at " : ", ", hexadecimal(device.address), chip)
        }
        return found
    }

    private func open(_ settings: BusSettings) -> (any I2CBus)? {
        do throws(SystemError) { return try hardware.openBus(settings) } catch { return nil }
    }

    /// Whether another sensor has the address.
    private func isTaken(_ address: UInt8, on bus: BusSettings) -> Bool {
        for sensor in settings.sensors {
            for claim in sensor.plan.claims {
                if case .address(let name, address, _) = claim, sameBytes(name, bus.name) { return true }
            }
        }
        return false
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
