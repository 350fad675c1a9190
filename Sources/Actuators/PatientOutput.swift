import CShim
import Hardware
import Platform
import Records

/// An output whose hardware need not be there: it is taken when it first can be, and again after its chip went away
/// and came back, each time at the safe value from the first moment. So a relay board that is not plugged in holds
/// up neither the sensors nor the other actuators; orders for it fail and say why.
final class PatientOutput: ActuatorDriver {
    private let plan: DriverPlan
    private let hardware: any Hardware
    private var driver: (any ActuatorDriver)?

    init(_ plan: DriverPlan, on hardware: any Hardware) {
        self.plan = plan
        self.hardware = hardware
    }

    /// Takes the hardware unless it is taken already.
    func open() throws(ActuatorError) {
        if driver == nil { driver = try plan.open(hardware) }
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

    func readBack() throws(ActuatorError) -> Value {
        try open()
        guard let driver else { return plan.safe }
        do throws(ActuatorError) {
            return try driver.readBack()
        } catch {
            forget(after: error)
            throw error
        }
    }

    /// A chip that has gone takes the request with it: the next attempt needs a new one.
    private func forget(after error: ActuatorError) {
        guard case .gpio(let failure) = error, case .system(let cause) = failure.cause else { return }
        if cause.code == ENODEV || cause.code == EBADF || cause.code == ENXIO { driver = nil }
    }
}
