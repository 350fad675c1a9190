import Actuators
import Configuration
import Hardware
import Platform
import Sensors

/// A bus of the configuration, and where it stands.
struct MarkedBus {
    let settings: BusSettings
    let mark: Mark
}

/// Looks for hardware that two parts of a configuration want, as far as its words tell: what a label or a line's name
/// stands for only the hardware knows (`HardwareCheck`).
struct ClaimCheck {
    private let diagnostics: Diagnostics

    init(_ diagnostics: Diagnostics) { self.diagnostics = diagnostics }

    /// Two users of one line, or of one address on one bus: the second is reported, and names the first.
    /// - Parameter buses: `nil` where they could not be read.
    func check(
        _ sensors: [AgentSettings.SensorSettings], _ actuators: [ActuatorPlan], _ buses: [MarkedBus]?,
        _ heartbeat: HeartbeatSettings?
    ) {
        var lines: [(reference: LineReference, user: String)] = []
        for bus in buses ?? [] {
            guard let recovery = bus.settings.recovery else { continue }
            claimLine(recovery.scl, bus.mark, "bus \(bus.settings.name)", &lines)
            claimLine(recovery.sda, bus.mark, "bus \(bus.settings.name)", &lines)
        }
        var addresses: [(claim: AddressClaim, user: String)] = []
        for sensor in sensors {
            let user = "sensor \(sensor.plan.id)"
            if case .onBus(let bus, let mark, _) = sensor.plan.make { checkBus(bus, mark, user, buses) }
            for claim in sensor.plan.claims {
                switch claim {
                case .line(let reference, let mark): claimLine(reference, mark, user, &lines)
                case .address(let bus, let address, let mark):
                    claimAddress(AddressClaim(bus: bus, address: address, mark: mark), user, &addresses)
                }
            }
        }
        for actuator in actuators {
            let user = "actuator \(actuator.id)"
            if let bus = actuator.driver.bus { checkBus(bus.name, bus.mark, user, buses) }
            for claim in actuator.claims { claimLine(claim.reference, claim.mark, user, &lines) }
            for claim in actuator.driver.addresses { claimAddress(claim, user, &addresses) }
        }
        if let heartbeat { claimLine(heartbeat.line, heartbeat.mark, "heartbeat", &lines) }
    }

    private func checkBus(_ bus: String, _ mark: Mark, _ user: String, _ buses: [MarkedBus]?) {
        guard let buses, !buses.contains(where: { sameBytes($0.settings.name, bus) }) else { return }
        let known = buses.map { $0.settings.name }.joined(separator: ", ")
        diagnostics.report(
            mark, "\(user): bus \"\(bus)\" is not under buses",
            expected: known.utf8.isEmpty ? "buses: { \(bus): { path: /dev/\(bus) } }" : "one of \(known)")
    }

    private func claimAddress(
        _ claim: AddressClaim, _ user: String, _ addresses: inout [(claim: AddressClaim, user: String)]
    ) {
        if let first = addresses.first(where: { $0.claim.excludes(claim) }) {
            let output = claim.output.map { " output \($0)" } ?? ""
            diagnostics.report(
                claim.mark,
                "\(user): address \(hexadecimal(claim.address))\(output) on \(claim.bus) is used by \(first.user) already"
            )
        } else {
            addresses.append((claim, user))
        }
    }

    private func claimLine(
        _ reference: LineReference, _ mark: Mark, _ user: String,
        _ lines: inout [(reference: LineReference, user: String)]
    ) {
        if let first = lines.first(where: { $0.reference.isSameLine(as: reference) }) {
            diagnostics.report(mark, "\(user): GPIO \(reference.description) is used by \(first.user) already")
        } else {
            lines.append((reference, user))
        }
    }
}
