import Platform

/// The machine's hardware as the stages see it; injected, so that a test or the demo brings its own.
public protocol Hardware: AnyObject {
    var gpio: any GPIO { get }
    /// Opens a bus; each is opened once and used on its own worker thread.
    func openBus(_ settings: BusSettings) throws(SystemError) -> any I2CBus
}

/// A bus as the configuration describes it, under `buses`.
public struct BusSettings: Equatable, Sendable {
    /// The key under `buses`, such as `i2c-1`.
    public let name: String
    /// Such as `/dev/i2c-1`; `nil` for a simulated bus.
    public let path: String?

    public init(name: String, path: String?) {
        self.name = name
        self.path = path
    }
}
