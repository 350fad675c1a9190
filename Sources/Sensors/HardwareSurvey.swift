import Hardware
import Platform

/// What there is on a machine: buses with what answers on them, and GPIO chips. For `kedge scan`.
public struct HardwareSurvey {
    /// A bus, and either what was found on it or why it could not be opened.
    public final class Bus {
        public let found: FoundBus
        public let functions: BusFunctions?
        public let devices: [Device]
        /// Why there is no more to tell.
        public let failure: String?

        init(_ found: FoundBus, _ functions: BusFunctions?, _ devices: [Device], failure: String?) {
            self.found = found
            self.functions = functions
            self.devices = devices
            self.failure = failure
        }
    }

    public final class Device {
        public let address: UInt8
        public let state: BusScan.State
        public let recognition: Recognition?

        init(_ address: UInt8, _ state: BusScan.State, _ recognition: Recognition?) {
            self.address = address
            self.state = state
            self.recognition = recognition
        }

        /// The name of the driver to configure, where the chip is certain and kedge has one.
        public var driver: StaticString? {
            guard let recognition, recognition.isCertain, recognition.chip.isSupported else { return nil }
            return recognition.chip.driver
        }
    }

    public private(set) var buses: [Bus] = []
    public private(set) var chips: [FoundChip] = []

    /// Looks at `buses`, and at the GPIO chips where `gpio`.
    /// - Parameter reading: whether id registers may be read.
    public init(_ hardware: any Hardware, buses found: [FoundBus], gpio: Bool, reading: Bool) {
        for bus in found { buses.append(Self.look(at: bus, hardware, reading)) }
        if gpio { chips = hardware.gpio.survey() }
    }

    private static func look(at found: FoundBus, _ hardware: any Hardware, _ reading: Bool) -> Bus {
        let bus: any I2CBus
        do throws(SystemError) {
            bus = try hardware.openBus(BusSettings(name: found.name, path: found.path))
        } catch {
            let remedy = error.busRemedy.map { joined("; ", $0) } ?? ""
            return Bus(found, nil, [], failure: joined(error.description, remedy))
        }
        let scan = BusScan(bus) { hardware.holder(of: $0, on: found.path) }
        if scan.isHeldLow {
            return Bus(
                found, bus.functions, [],
                failure: "every address seems to answer: SDA is held low, or its pull-up resistor is missing")
        }
        var devices: [Device] = []
        for device in scan.devices {
            let mayRead = device.state == .answers
            let recognition =
                mayRead ? KnownChip.recognise(device.address, on: bus, reading: reading && scan.failure == nil) : nil
            devices.append(Device(device.address, device.state, recognition))
        }
        return Bus(found, bus.functions, devices, failure: scan.failure.map { $0.description })
    }
}
