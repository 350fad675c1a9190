import Hardware
import Platform
import Records

/// What drives one output, on the loop's thread; its calls do not block.
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
}

/// Why an actuator did not do as it was told.
public enum ActuatorError: Error, Equatable, Sendable {
    case gpio(GPIOError)
    /// The output was driven without an error, but shows something else: a short circuit, another master.
    case readBackDiffers(driven: Value, found: Value)
    /// The simulated failure of a `sim` actuator.
    case simulated

    /// In words, with the place.
    @inline(never)
    public var description: String {
        switch self {
        case .gpio(let error): error.description
        case .readBackDiffers(let driven, let found):
            joined("driven to ", shown(driven), " but read back as ", shown(found))
        case .simulated: "simulated failure"
        }
    }
}
