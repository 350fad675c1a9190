import Actuators
import Hardware
import Platform
import Records
import TestSupport
import Testing

/// An actuator whose chip comes late, or goes away.
@Suite struct PatientOutputTests {
    private let loop = ManualLoop()
    private let recorder = LogRecorder()
    private let line = LineReference(chip: "gpiochip1", line: .offset(3))

    private func actuator(on hardware: SimulatedHardware) -> Actuator {
        let plan = ActuatorPlan(id: "pump", driver: GPIOOutput.Settings(line: line).plan)
        return plan.start(on: hardware, loop: loop, log: recorder.log)
    }

    private func outcome(of actuator: Actuator, _ value: Value) -> Outcome? {
        var result: Outcome?
        actuator.perform(Order(value: value, hold: nil, command: "c")) { result = $0 }
        return result
    }

    @Test func ordersFailWithTheReasonUntilTheChipIsThere() throws {
        let hardware = SimulatedHardware(loop: loop)
        let pump = actuator(on: hardware)
        #expect(!pump.isSafe)
        guard case .failed(let reason, _) = outcome(of: pump, .integer(1)) else {
            Issue.record("an order for absent hardware did not fail")
            return
        }
        #expect(reason.contains("gpiochip1 3"))

        hardware.simulatedGPIO.addChip(name: "gpiochip1", label: "relays", lines: ["a", "b", "c", "d"])
        loop.advance(by: .seconds(10))
        #expect(pump.isSafe)
        #expect(outcome(of: pump, .integer(1)) == .done(.integer(1)))
        // From the first moment it was low, and it rose once, for the order.
        #expect(try hardware.simulatedGPIO.history(line).map { $0.high }.filter { $0 == true }.count == 1)
        #expect(try hardware.simulatedGPIO.history(line).first?.high == false)
        // One line when it began and one when it ended.
        #expect(recorder.lines.filter { $0.contains("cannot go to the safe value") }.count == 1)
        #expect(recorder.lines.filter { $0.contains("at the safe value 0 again") }.count == 1)
    }

    @Test func aChipThatGoesAwayAndReturnsIsTakenAgainAtTheSafeValue() throws {
        let hardware = SimulatedHardware(loop: loop)
        hardware.simulatedGPIO.addChip(name: "gpiochip1", label: "relays", lines: ["a", "b", "c", "d"])
        let pump = actuator(on: hardware)
        #expect(outcome(of: pump, .integer(1)) == .done(.integer(1)))
        hardware.simulatedGPIO.removeChip("gpiochip1")
        guard case .failed = outcome(of: pump, .integer(1)) else {
            Issue.record("an order for a chip that has gone did not fail")
            return
        }
        hardware.simulatedGPIO.returnChip("gpiochip1")
        loop.advance(by: .seconds(10))
        #expect(pump.isSafe)
        #expect(try hardware.simulatedGPIO.level(line) == false)
        #expect(outcome(of: pump, .integer(1)) == .done(.integer(1)))
    }
}
