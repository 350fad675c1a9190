import CShim
import Platform

/// The machine's hardware as the stages see it; injected, so that a test or the demo brings its own.
public protocol Hardware: AnyObject {
    var gpio: any GPIO { get }
    /// Opens a bus; each is opened once and used on its own worker thread.
    /// - Throws: `SystemError` with the path as its subject; `busRemedy` says what may help.
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

extension SystemError {
    /// What may help when `openBus` threw this; `nil` when nothing in particular.
    public var busRemedy: String? {
        switch code {
        case ENOENT:
            "no such bus: enable I2C (raspi-config, or dtparam=i2c_arm=on in /boot/firmware/config.txt and a restart) "
                + "and load i2c-dev"
        case EACCES, EPERM: "the user must be in the group i2c"
        case ENOTTY: "this is not an I2C bus; the name is like /dev/i2c-1"
        case ENODEV, ENXIO: "the bus's adapter is gone or its driver is not loaded"
        default: nil
        }
    }
}
