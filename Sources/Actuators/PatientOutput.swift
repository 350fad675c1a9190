import CShim
import Hardware
import Platform
import Records

/// An output whose hardware need not be there: it is taken when it first can be, and again after it went away
/// and came back, each time at the safe value from the first moment. So a relay board that is not plugged in holds
/// up neither the sensors nor the other actuators; orders for it fail and say why.
final class PatientOutput: ActuatorDriver {
    private let safe: Value
    private let make: () throws(ActuatorError) -> any ActuatorDriver
    private var driver: (any ActuatorDriver)?

    /// - Parameter make: takes the hardware, with the output at `safe`.
    init(safe: Value, _ make: @escaping () throws(ActuatorError) -> any ActuatorDriver) {
        self.safe = safe
        self.make = make
    }

    /// Takes the hardware unless it is taken already.
    func open() throws(ActuatorError) {
        if driver == nil { driver = try make() }
    }

    func drive(_ value: Value) throws(ActuatorError) -> Interval {
        try open()
        guard let driver else { return .zero }
        do throws(ActuatorError) {
            return try driver.drive(value)
        } catch {
            forget(after: error)
            throw error
        }
    }

    var pause: Interval? { driver?.pause }

    func step() throws(ActuatorError) {
        guard let driver else { return }
        do throws(ActuatorError) {
            try driver.step()
        } catch {
            forget(after: error)
            throw error
        }
    }

    func readBack() throws(ActuatorError) -> Value {
        try open()
        guard let driver else { return safe }
        do throws(ActuatorError) {
            return try driver.readBack()
        } catch {
            forget(after: error)
            throw error
        }
    }

    /// A chip that has gone takes the request with it, and a device that did not answer may have lost its power and
    /// with it all that it was told: the next attempt begins anew.
    private func forget(after error: ActuatorError) {
        switch error {
        case .i2c: driver = nil
        case .gpio(let failure):
            guard case .system(let cause) = failure.cause else { return }
            if cause.code == ENODEV || cause.code == EBADF || cause.code == ENXIO { driver = nil }
        default: return
        }
    }
}
