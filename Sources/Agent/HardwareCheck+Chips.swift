import Actuators
import CShim
import Hardware
import Platform
import Sensors

// What is wrong with a chip on a bus, in words, with what else can be seen there.
extension HardwareCheck {
    /// Where a chip should be.
    private struct Place {
        let bus: BusSettings
        let address: UInt8
        /// The addresses that its kind can have; `nil` when not known.
        let addresses: ClosedRange<UInt8>?
        /// An actuator's.
        var chip: ExpectedChip?
    }

    /// A sensor's failure.
    func explanation(of failure: SensorError, _ plan: SensorPlan) -> String {
        let text = failure.description
        switch failure {
        case .wrongChip: return joined(text, place(plan).map { elsewhere($0) } ?? "")
        case .i2c(let error): return place(plan).map { explanation(of: error, $0) } ?? text
        case .system(let error) where error.code == EACCES:
            return joined(text, "; ", permissionRemedy(error.subject, group: "root"))
        default: return text
        }
    }

    /// Whether an actuator's chip answers, and is none that is known to be another: reading a byte changes nothing in any
    /// of them.
    func problem(with claim: AddressClaim, _ chip: ExpectedChip?) -> String? {
        guard let settings = settings.buses.first(where: { sameBytes($0.name, claim.bus) }) else { return nil }
        // The bus itself says it already.
        guard let bus = open(settings) else { return joined("no bus ", settings.name) }
        let place = Place(bus: settings, address: claim.address, addresses: chip?.addresses, chip: chip)
        do throws(I2CError) {
            _ = try bus.readByte(claim.address)
        } catch {
            return explanation(of: error, place)
        }
        guard let chip, let found = stranger(at: claim.address, on: bus, chip) else { return nil }
        return joined(
            bus.name, " ", hexadecimal(claim.address), ": wrong chip: expected one for the driver ",
            string(chip.driver), ", found a ", found, elsewhere(place))
    }

    private func explanation(of error: I2CError, _ place: Place) -> String {
        let text = error.description
        if error.isNoAcknowledge { return joined(text, elsewhere(place)) }
        guard error.code == EBUSY, let path = place.bus.path,
            let holder = hardware.holder(of: place.address, on: path)
        else { return text }
        return joined(text, ": ", holder)
    }

    private func place(_ plan: SensorPlan) -> Place? {
        for claim in plan.claims {
            guard case .address(let name, let address, _) = claim,
                let bus = settings.buses.first(where: { sameBytes($0.name, name) })
            else { continue }
            return Place(bus: bus, address: address, addresses: KnownChip.addresses(ofDriver: plan.driver))
        }
        return nil
    }

    /// The name of the chip that answers where an actuator's should, if its id register tells that it is another.
    private func stranger(at address: UInt8, on bus: any I2CBus, _ chip: ExpectedChip) -> String? {
        guard let recognition = KnownChip.recognise(address, on: bus), recognition.isCertain else { return nil }
        // What another chip has in its id register an actuator's chip can have in one of its values.
        let isOurs = !chip.signature.isEmpty && chip.signature.allSatisfy { holds($0.value, $0.register, address, bus) }
        return isOurs ? nil : string(recognition.chip.name)
    }

    private func holds(_ value: UInt8, _ register: UInt8, _ address: UInt8, _ bus: any I2CBus) -> Bool {
        do throws(I2CError) { return try bus.readByte(address, register: register) == value } catch { return false }
    }

    /// What answers at the other addresses that the chip can have, or what the whole bus looks like.
    private func elsewhere(_ place: Place) -> String {
        guard let bus = open(place.bus) else { return "" }
        let scan = BusScan(bus)
        if scan.isHeldLow {
            return "; every address of the bus seems to answer: SDA is held low, or its pull-up resistor is missing"
        }
        if scan.failure != nil { return "; the bus times out: is SDA or SCL held low?" }
        if scan.devices.isEmpty { return "; nothing answers on this bus: is it wired, and has it power?" }
        guard let addresses = place.addresses else { return "" }
        var found = ""
        for device in scan.devices where device.state == .answers && addresses.contains(device.address) {
            if device.address == place.address || isTaken(device.address, on: place.bus) { continue }
            // An actuator's range is wide: what is certainly something else in it is no answer.
            if let chip = place.chip, stranger(at: device.address, on: bus, chip) != nil { continue }
            var chip = ""
            if place.chip == nil, let recognition = KnownChip.recognise(device.address, on: bus),
                recognition.isCertain
            {
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

    /// Whether another sensor or actuator has the address.
    private func isTaken(_ address: UInt8, on bus: BusSettings) -> Bool {
        for sensor in settings.sensors {
            for claim in sensor.plan.claims {
                if case .address(let name, address, _) = claim, sameBytes(name, bus.name) { return true }
            }
        }
        return settings.actuators.contains {
            $0.driver.addresses.contains { $0.address == address && sameBytes($0.bus, bus.name) }
        }
    }
}
