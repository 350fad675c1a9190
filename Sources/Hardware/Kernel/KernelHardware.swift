import Platform

/// The hardware of this machine. A bus without a path is simulated.
public final class KernelHardware: Hardware {
    public let gpio: any GPIO
    private let attach: (SimulatedI2CBus) -> Void

    /// - Parameters:
    ///   - time: the clock on which the kernel stamps edges (`SystemTime`).
    ///   - attach: puts devices on a simulated bus (`buses: { x: { simulated: true } }`) when it is opened.
    public init(time: any TimeSource, attach: @escaping (SimulatedI2CBus) -> Void = { _ in }) {
        gpio = KernelGPIO(time: time)
        self.attach = attach
    }

    public func openBus(_ settings: BusSettings) throws(SystemError) -> any I2CBus {
        if let path = settings.path { return try KernelI2CBus.open(name: settings.name, path: path) }
        let bus = SimulatedI2CBus(name: settings.name)
        attach(bus)
        return bus
    }

    public func findBuses() -> [FoundBus] { KernelSurvey().buses() }

    public func holder(of address: UInt8, on path: String) -> String? {
        KernelSurvey().holder(of: address, on: path)
    }
}
