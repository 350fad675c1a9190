import CShim
import Platform

/// The machine's hardware as the stages see it; injected, so that a test or the demo brings its own.
public protocol Hardware: AnyObject {
    var gpio: any GPIO { get }
    /// Opens a bus; each is opened once and used on its own worker thread.
    /// - Throws: `SystemError` with the path as its subject; `busRemedy` says what may help.
    func openBus(_ settings: BusSettings) throws(SystemError) -> any I2CBus

    /// All I2C buses that there are, in the order of their numbers.
    func findBuses() -> [FoundBus]

    /// The driver of the operating system that has a device for itself, as it is known there; `nil` when none or unknown.
    /// - Parameter path: the bus's, as `findBuses` has it.
    func holder(of address: UInt8, on path: String) -> String?
}

extension Hardware {
    public func findBuses() -> [FoundBus] { [] }
    public func holder(of address: UInt8, on path: String) -> String? { nil }
}

/// An I2C bus that `findBuses` has found.
public final class FoundBus: Equatable, Sendable {
    /// Such as `i2c-1`.
    public let name: String
    /// Such as `/dev/i2c-1`.
    public let path: String
    /// What the kernel calls its adapter, such as `bcm2835 (i2c@7e804000)`; empty when not known.
    public let adapter: String

    public init(name: String, path: String, adapter: String) {
        self.name = name
        self.path = path
        self.adapter = adapter
    }

    public static func == (left: FoundBus, right: FoundBus) -> Bool {
        sameBytes(left.name, right.name) && sameBytes(left.path, right.path) && sameBytes(left.adapter, right.adapter)
    }
}

/// A bus as the configuration describes it, under `buses`.
public struct BusSettings: Equatable, Sendable {
    /// The key under `buses`, such as `i2c-1`.
    public let name: String
    /// Such as `/dev/i2c-1`; `nil` for a simulated bus.
    public let path: String?
    /// The lines by which it can be freed when a device holds SDA; `nil` leaves that to the kernel.
    public let recovery: RecoveryLines?

    public init(name: String, path: String?, recovery: RecoveryLines? = nil) {
        self.name = name
        self.path = path
        self.recovery = recovery
    }
}

extension SystemError {
    /// What may help when `openBus` threw this; `nil` when nothing in particular.
    public var busRemedy: String? {
        switch code {
        case ENOENT:
            "no such bus: enable I2C (raspi-config, or dtparam=i2c_arm=on in /boot/firmware/config.txt and a restart) "
                + "and load i2c-dev"
        case EACCES, EPERM: permissionRemedy(subject, group: "i2c")
        case ENOTTY: "this is not an I2C bus; the name is like /dev/i2c-1"
        case ENODEV, ENXIO: "the bus's adapter is gone or its driver is not loaded"
        default: nil
        }
    }
}
