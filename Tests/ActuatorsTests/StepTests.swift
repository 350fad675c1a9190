import Configuration
import Hardware
import Platform
import Records
import TestSupport
import Testing

@testable import Actuators

/// Values that are more than one write, from the order to the output.
@Suite struct StepTests {
    private let loop = ManualLoop()
    private let logged = LogRecorder()

    private func blinking(_ keys: String = "") throws -> (Actuator, FakeLine) {
        let bench = BusBench("- { id: lamp, driver: gpio, line: 4, blink: { on: 300ms, off: 700ms }, \(keys) }")
        #expect(bench.problems == [])
        let hardware = FakeHardware()
        let plan = try #require(bench.plans.first)
        return (plan.start(on: hardware, loop: loop, log: logged.log), hardware.line)
    }

    @Test func aLineBlinksUntilItsLeaseEnds() throws {
        let (actuator, line) = try blinking()
        var outcomes: [Outcome] = []
        actuator.perform(Order(value: on, hold: .milliseconds(1_500), command: "a")) { outcomes.append($0) }
        #expect(outcomes == [.done(on)])
        var changes: [Int64] = []
        var level = line.level
        for time in 1...4_000 {
            loop.advance(by: .milliseconds(1))
            if line.level != level {
                changes.append(Int64(time))
                level = line.level
            }
        }
        #expect(changes == [300, 1_000, 1_300])
        #expect(actuator.isSafe)
        let writes = line.history.count
        loop.advance(by: .seconds(10))
        #expect(line.history.count == writes)
    }

    @Test func aStepThatFailsGoesToTheSafeValue() throws {
        let (actuator, line) = try blinking()
        actuator.perform(Order(value: on, hold: nil, command: "a")) { _ in }
        line.writesFail = true
        loop.advance(by: .milliseconds(300))
        #expect(!actuator.isSafe)
        #expect(line.level)
        line.writesFail = false
        loop.advance(by: .milliseconds(100))
        #expect(actuator.isSafe)
        #expect(!line.level)
        loop.advance(by: .seconds(5))
        #expect(!line.level)
    }

    @Test func aStopEndsTheBlinking() throws {
        let (actuator, line) = try blinking()
        actuator.perform(Order(value: on, hold: nil, command: "a")) { _ in }
        loop.advance(by: .milliseconds(1_100))
        #expect(line.level)
        actuator.stop()
        #expect(actuator.isSafe)
        loop.advance(by: .seconds(5))
        #expect(!line.level)
    }

    @Test func aPulseIsShortHoweverLongItWasOrdered() throws {
        let bench = BusBench("- { id: door, driver: gpio, line: 4, pulse: 500ms }")
        let hardware = FakeHardware()
        let actuator = try #require(bench.plans.first).start(on: hardware, loop: loop, log: logged.log)
        actuator.perform(Order(value: on, hold: .seconds(30), command: "a")) { _ in }
        loop.advance(by: .milliseconds(300))
        #expect(hardware.line.level)
        // A second order does not stretch it.
        actuator.perform(Order(value: on, hold: nil, command: "b")) { _ in }
        loop.advance(by: .milliseconds(199))
        #expect(hardware.line.level)
        loop.advance(by: .milliseconds(1))
        #expect(!hardware.line.level)
        #expect(actuator.isSafe)
    }

    private func fading(_ bench: BusBench, queue: (any WorkQueue)?) throws -> Actuator {
        let make = try #require(bench.plans.first)
        let driver = PatientOutput(safe: make.safe) { () throws(ActuatorError) in
            guard case .onBus(_, _, let open) = make.driver.maker else { throw .noBus }
            return try open(bench.bus)
        }
        let runner = OutputRunner(driver: driver, queue: queue, loop: loop)
        let actuator = Actuator(make, output: runner, loop: loop, log: logged.log)
        actuator.returnToSafe(.start)
        return actuator
    }

    @Test(arguments: [true, false]) func aRampIsDoneWhenItIsOver(isOnBus: Bool) throws {
        let chip = SimulatedPCA9685()
        let bench = BusBench("- { id: lamp, driver: pca9685, bus: i2c-1, channel: 3, ramp: 1s }")
        bench.bus.attach(chip, at: 0x40)
        let actuator = try fading(bench, queue: isOnBus ? InlineWorkQueue() : nil)
        #expect(actuator.isSafe)
        var outcomes: [Outcome] = []
        actuator.perform(Order(value: .number(50), hold: nil, command: "a")) { outcomes.append($0) }
        loop.advance(by: .milliseconds(250))
        #expect(outcomes == [])
        guard case .pulse(0, let half) = chip.shown(3) else {
            Issue.record("\(chip.shown(3))")
            return
        }
        #expect((900...1_200).contains(half))
        loop.advance(by: .milliseconds(250))
        #expect(outcomes == [.done(.number(50))])
        #expect(chip.shown(3) == .pulse(0, 2_048))
        #expect(chip.history[3].count == 26)
        // The safe value is there at once, and nothing moves after it.
        actuator.perform(Order(value: .number(100), hold: nil, command: "b")) { outcomes.append($0) }
        loop.advance(by: .milliseconds(100))
        actuator.stop()
        #expect(chip.shown(3) == .off)
        #expect(outcomes.count == 2)
        let writes = chip.history[3].count
        loop.advance(by: .seconds(2))
        #expect(chip.history[3].count == writes)
    }

    @Test func aStepThatWaitsForTheBusIsNotDoneWhenTheSafeValueComes() throws {
        let chip = SimulatedPCA9685()
        let bench = BusBench("- { id: lamp, driver: pca9685, bus: i2c-1, channel: 3, ramp: 1s }")
        bench.bus.attach(chip, at: 0x40)
        let queue = HeldWorkQueue()
        let actuator = try fading(bench, queue: queue)
        queue.runAll()
        actuator.perform(Order(value: .number(50), hold: nil, command: "a")) { _ in }
        queue.runAll()
        loop.advance(by: .milliseconds(20))
        #expect(queue.pending == 1)
        let writes = chip.history[3].count
        actuator.stop()
        #expect(queue.pending == 1)
        queue.runAll()
        #expect(actuator.isSafe)
        #expect(chip.history[3].count == writes + 1)
        #expect(chip.shown(3) == .off)
    }

    @Test func aBusThatFailsDuringARampIsAFailure() throws {
        let chip = SimulatedPCA9685()
        let bench = BusBench("- { id: lamp, driver: pca9685, bus: i2c-1, channel: 3, ramp: 1s }")
        bench.bus.attach(chip, at: 0x40)
        let actuator = try fading(bench, queue: InlineWorkQueue())
        var outcomes: [Outcome] = []
        actuator.perform(Order(value: .number(50), hold: nil, command: "a")) { outcomes.append($0) }
        loop.advance(by: .milliseconds(100))
        bench.bus.fault = { _ in .noAcknowledge }
        loop.advance(by: .milliseconds(100))
        guard case .failed = try #require(outcomes.first) else {
            Issue.record("\(outcomes)")
            return
        }
        bench.bus.fault = nil
        loop.advance(by: .seconds(1))
        #expect(actuator.isSafe)
        #expect(chip.shown(3) == .off)
    }
}
