import CShim
import Platform

/// Hardware that exists in memory: for tests and for `kedge demo`.
public final class SimulatedHardware: Hardware {
    /// With one chip to begin with, as on a Raspberry Pi 4: `gpiochip0`, labelled `pinctrl-bcm2711`, with 58 lines named
    /// `GPIO0` to `GPIO57`.
    public let simulatedGPIO: SimulatedGPIO
    public var gpio: any GPIO { simulatedGPIO }
    /// Names of buses that `openBus` does not find (`ENOENT`).
    public var missingBuses: [String] = []
    private var buses: [SimulatedI2CBus] = []

    public init(loop: any Loop) {
        simulatedGPIO = SimulatedGPIO(loop: loop)
        simulatedGPIO.addChip(
            name: "gpiochip0", label: "pinctrl-bcm2711", lines: (0..<58).map { "GPIO\($0)" })
    }

    /// The bus of that name, made if it is new: attach devices to it before it is used.
    public func bus(_ name: String) -> SimulatedI2CBus {
        if let bus = buses.first(where: { sameBytes($0.name, name) }) { return bus }
        let bus = SimulatedI2CBus(name: name)
        buses.append(bus)
        return bus
    }

    public func openBus(_ settings: BusSettings) throws(SystemError) -> any I2CBus {
        if contains(missingBuses, settings.name) {
            throw SystemError(call: "open", code: ENOENT, subject: settings.path ?? settings.name)
        }
        return bus(settings.name)
    }

    public func findBuses() -> [FoundBus] {
        var found: [FoundBus] = []
        for bus in buses where !contains(missingBuses, bus.name) {
            found.append(FoundBus(name: bus.name, path: joined("/dev/", bus.name), adapter: "simulated"))
        }
        return found
    }

    public func holder(of address: UInt8, on path: String) -> String? {
        for bus in buses where sameBytes(joined("/dev/", bus.name), path) { return bus.holder(of: address) }
        return nil
    }
}
