import CShim
import Hardware
import Platform
import Records

/// What drives one output. A driver that is made on the loop (`OutputMaker.onLoop`) is called there and does not block;
/// one on a bus is called on the bus's thread, may block, and touches nothing but its bus.
///
/// A driver is made with its output already at the safe value, so that no relay clicks at start. It is called only
/// with values that its `ValueDomain` admitted, so it checks none.
public protocol ActuatorDriver: AnyObject {
    /// Drives the output to `value`.
    /// - Returns: how long until the output has taken the value and may be read back; zero when it has already.
    /// - Throws: `ActuatorError`; the output may then be anywhere.
    func drive(_ value: Value) throws(ActuatorError) -> Interval
    /// The value that the output has now, as the hardware tells.
    func readBack() throws(ActuatorError) -> Value
    /// When `step` wants to be called, counted from the return of the last `drive` or `step`; `nil` not at all. A further `drive`
    /// takes its place.
    // Requirements although they have defaults: Embedded Swift cannot call an extension's method on an existential.
    var pause: Interval? { get }
    /// The next part of a value that is not a single level: an edge of a blinking line, a step of a ramp.
    /// - Throws: `ActuatorError`; the output may then be anywhere.
    func step() throws(ActuatorError)
}

extension ActuatorDriver {
    public var pause: Interval? { nil }
    public func step() throws(ActuatorError) {}
}

/// Why an actuator did not do as it was told.
public enum ActuatorError: Error, Equatable, Sendable {
    case gpio(GPIOError)
    /// A transfer on a bus.
    case i2c(I2CError)
    /// The bus has not done it within this time.
    case timeout(Interval)
    /// A call into the kernel, on a file of a driver of its.
    case system(SystemError)
    /// The device is not as it must be; what is wrong.
    case device(String)
    /// The configuration has no such bus.
    case noBus
    /// The output was driven without an error, but shows something else: a short circuit, another master.
    case readBackDiffers(driven: Value, found: Value)
    /// The simulated failure of a `sim` actuator.
    case simulated

    /// In words, with the place.
    @inline(never)
    public var description: String {
        switch self {
        case .gpio(let error): error.description
        case .i2c(let error): error.description
        case .timeout(let limit): joined("no answer from the bus within ", decimal(limit.milliseconds), " ms")
        case .system(let error):
            if error.code == EACCES || error.code == EPERM {
                joined(error.description, "; the user must be in the group gpio, and the rules of udev installed")
            } else if error.code == EROFS {
                joined(error.description, "; the service needs ReadWritePaths=/sys/devices/platform")
            } else {
                error.description
            }
        case .device(let what): what
        case .noBus: "its bus is not there"
        case .readBackDiffers(let driven, let found):
            joined("driven to ", shown(driven), " but read back as ", shown(found))
        case .simulated: "simulated failure"
        }
    }
}
