import Actuators
import Configuration
import Hardware
import Platform
import Records
import TestSupport
import Testing

/// An actuator whose driver works on a bus's thread.
@Suite final class BusActuatorTests {
    private let loop = ManualLoop()
    private let queue = HeldWorkQueue()
    private let driver = ScriptedDriver(off)
    private let recorder = LogRecorder()
    private var outcomes: [Outcome] = []
    private var opened = 0

    private func actuator(maxOn: Interval? = nil) throws -> Actuator {
        let hardware = SimulatedHardware(loop: loop)
        let plan = DriverPlan(
            domain: .level, safe: off, bus: (name: "i2c-1", mark: Mark(line: 1, column: 1)), addresses: []
        ) { [unowned self] (_) throws(ActuatorError) -> any ActuatorDriver in
            opened += 1
            return driver
        }
        let bus = PatientBus(BusSettings(name: "i2c-1", path: nil), hardware: hardware)
        return try #require(
            ActuatorPlan(id: "valve", maxOn: maxOn, driver: plan)
                .start(on: BusThread(bus: bus, queue: queue), loop: loop, log: recorder.log))
    }

    private func order(_ actuator: Actuator, _ value: Value) {
        actuator.perform(Order(value: value, hold: nil, command: "c")) { [unowned self] in outcomes.append($0) }
    }

    @Test func theSafeValueIsTheFirstThatTheBusHears() throws {
        let valve = try actuator()
        #expect(!valve.isSafe)
        order(valve, on)
        #expect(driver.driven.isEmpty)
        queue.runAll()
        #expect(driver.driven == [off, on])
        #expect(opened == 1)
        #expect(outcomes == [.done(on)])
        #expect(valve.value == on)
    }

    @Test func aHungBusIsGivenUp() throws {
        let valve = try actuator()
        queue.runAll()
        order(valve, on)
        loop.advance(by: .seconds(2))
        #expect(outcomes.count == 1)
        guard case .failed(let reason, nil) = outcomes.first else {
            Issue.record("\(outcomes)")
            return
        }
        #expect(reason.hasPrefix("no answer from the bus within 2000 ms"))
        #expect(valve.isOutOfHand)
        #expect(valve.safeSince == nil)
        // Nothing is asked of it while it hangs, and orders fail at once.
        order(valve, on)
        #expect(outcomes.count == 2)
        #expect(queue.pending == 1)
        // The job that waited too long does not move anything when its turn comes.
        queue.runJob()
        #expect(driver.driven == [off])
        queue.deliver()
        queue.runAll()
        #expect(driver.driven == [off, off])
        #expect(valve.isSafe)
        #expect(!valve.isOutOfHand)
    }

    @Test func whatAHungTransferHasDoneIsUndone() throws {
        let valve = try actuator()
        queue.runAll()
        order(valve, on)
        // In time, but its completion comes late: the transfer itself took so long.
        queue.runJob()
        #expect(driver.driven == [off, on])
        loop.advance(by: .seconds(3))
        #expect(outcomes.count == 1)
        queue.deliver()
        queue.runAll()
        #expect(driver.driven == [off, on, off])
        #expect(valve.isSafe)
    }

    @Test func aStopWaitsForTheTransferThatIsOut() throws {
        let valve = try actuator()
        queue.runAll()
        order(valve, on)
        order(valve, on)
        queue.runJob()
        valve.stop()
        #expect(outcomes.count == 1)
        queue.runAll()
        #expect(driver.driven == [off, on, off])
        #expect(valve.isSafe)
        #expect(outcomes.count == 2)
    }

    /// What waits for the bus when the safe value comes is never driven.
    @Test(arguments: [true, false]) func whatIsOvertakenBeforeItBeganIsNotDriven(isStop: Bool) throws {
        let valve = try actuator()
        queue.runAll()
        // The order waits for one transfer; others wait behind it.
        var others = 0
        queue.perform({}, completion: {})
        order(valve, on)
        queue.perform({ others += 1 }, completion: {})
        loop.advance(by: .milliseconds(1_500))
        if isStop { valve.stop() } else { valve.makeSafe(.command(id: "safe")) { _ in } }
        // One that has not begun makes room.
        #expect(queue.pending == 3)
        queue.runJob()
        queue.deliver()
        #expect(driver.driven == [off, off])
        #expect(valve.isSafe)
        #expect(others == 0)
        let reason = isStop ? "the node is stopping" : "command safe"
        #expect(outcomes == [.preempted(reason: reason, value: off)])
        queue.runAll()
        #expect(driver.driven == [off, off])
        #expect(others == 1)
    }

    @Test func theSafeValueGoesAheadOfWhatWaitsWhenTheBusIsBack() throws {
        let valve = try actuator()
        queue.runAll()
        var others = 0
        for _ in 0..<3 { queue.perform({ others += 1 }, completion: {}) }
        order(valve, on)
        // A transfer of somebody else hangs.
        loop.advance(by: .seconds(2))
        #expect(valve.isOutOfHand)
        // Its thread is back: first this learns of it, then the safe value is driven.
        queue.runJob()
        queue.deliver()
        queue.runJob()
        queue.deliver()
        #expect(driver.driven == [off, off])
        #expect(valve.isSafe)
        #expect(others == 0)
        queue.runAll()
        #expect(driver.driven == [off, off])
        #expect(others == 3)
    }

    @Test func anOrderForTheSafeValueGoesAheadToo() throws {
        let valve = try actuator()
        queue.runAll()
        order(valve, on)
        queue.runAll()
        var others = 0
        queue.perform({ others += 1 }, completion: {})
        order(valve, off)
        queue.runJob()
        #expect(driver.driven == [off, on, off])
        #expect(others == 0)
    }

    @Test func maxOnEndsItOnTheBusToo() throws {
        let valve = try actuator(maxOn: .seconds(10))
        queue.runAll()
        order(valve, on)
        queue.runAll()
        loop.advance(by: .seconds(10))
        queue.runAll()
        #expect(driver.driven == [off, on, off])
        #expect(valve.cause == .maxOn)
    }

    @Test func aValueThatSettlesIsReadBackOnTheThread() throws {
        let valve = try actuator()
        queue.runAll()
        driver.latency = .seconds(1)
        order(valve, on)
        queue.runAll()
        #expect(outcomes.isEmpty)
        loop.advance(by: .seconds(1))
        #expect(outcomes.isEmpty)
        queue.runAll()
        #expect(outcomes == [.done(on)])
    }

    @Test func anActuatorThatIsGoneLeavesItsJobBehind() throws {
        do {
            let valve = try actuator()
            queue.runAll()
            order(valve, on)
            queue.runJob()
        }
        queue.runAll()
        loop.advance(by: .seconds(60))
        #expect(driver.driven == [off, on])
        #expect(outcomes.isEmpty)
    }

    @Test func anActuatorThatIsGoneTakesWhatHasNotBegunWithIt() throws {
        do {
            let valve = try actuator()
            queue.runAll()
            order(valve, on)
        }
        #expect(queue.pending == 0)
        queue.runAll()
        #expect(driver.driven == [off])
    }
}
