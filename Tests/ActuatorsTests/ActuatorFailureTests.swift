import Actuators
import Hardware
import Platform
import Records
import TestSupport
import Testing

@Suite struct ActuatorFailureTests {
    @Test func aFailedWriteGoesToTheSafeValueAndSaysWhy() {
        let bench = ScriptedBench()
        bench.order(on, id: "a")
        bench.driver.failsFor = { $0 == on }
        bench.order(on, id: "b")
        #expect(bench.outcomes.map { $0.1 } == [.done(on), .failed(reason: "simulated failure", value: off)])
        #expect(bench.driver.driven == [on, off])
        #expect(bench.actuator.isSafe)
        #expect(bench.changes.map { $0.1 } == [.command(id: "a"), .failure])
        #expect(bench.logged.lines == ["warning: actuator valve: simulated failure; going to the safe value"])
        bench.driver.failsFor = { _ in false }
        bench.order(on, id: "c")
        #expect(bench.outcomes.last?.1 == .done(on))
    }

    @Test func anErrorOfTheLineIsNamed() throws {
        let bench = try Bench()
        bench.line.writesFail = true
        bench.order(on)
        guard case .failed(let reason, let value) = bench.outcomes.last else {
            Issue.record("\(bench.outcomes)")
            return
        }
        #expect(reason.hasPrefix("GPIO gpiochip0 27: ioctl: "))
        #expect(reason.contains("; the return to the safe value failed, too: GPIO gpiochip0 27: ioctl: "))
        #expect(value == off)
        #expect(!bench.actuator.isSafe)
    }

    @Test func anotherValueThanDrivenIsAFailure() throws {
        let bench = try Bench()
        bench.line.isStuck = true
        bench.order(on)
        #expect(bench.outcomes == [.failed(reason: "driven to 1 but read back as 0", value: off)])
        #expect(bench.line.levels == [false, true, false])
        #expect(bench.actuator.isSafe)
    }

    @Test func aReadBackThatFailsIsAFailure() throws {
        let bench = try Bench()
        bench.order(on)
        bench.line.readsFail = true
        bench.order(on)
        guard case .failed(_, nil) = bench.outcomes.last else {
            Issue.record("\(bench.outcomes)")
            return
        }
        #expect(!bench.line.level)
        #expect(!bench.actuator.isSafe)
        bench.line.readsFail = false
        bench.loop.advance(by: .milliseconds(100))
        #expect(bench.actuator.isSafe)
    }

    @Test func theReturnIsTriedAgainWithBackOffUntilItSucceeds() throws {
        let bench = try Bench()
        bench.order(on)
        bench.line.history = []
        bench.line.writesFail = true
        let start = bench.loop.now
        var tries: [Int64] = []
        var seen = 0
        bench.order(on)
        seen = bench.line.history.count
        #expect(bench.line.history == [.failedToWrite(true), .failedToWrite(false)])
        // Steps of 10 ms tell when each try was.
        for _ in 0..<2_500 {
            bench.loop.advance(by: .milliseconds(10))
            if bench.line.history.count > seen {
                #expect(bench.line.history.count == seen + 1)
                seen += 1
                tries.append((bench.loop.now - start).milliseconds)
            }
        }
        #expect(tries == [100, 300, 700, 1_500, 3_100, 6_300, 11_300, 16_300, 21_300])
        #expect(bench.line.history.dropFirst(2).allSatisfy { $0 == .failedToWrite(false) })
        #expect(bench.logged.lines.filter { $0.hasPrefix("error: ") }.count == 1)
        bench.line.writesFail = false
        bench.loop.advance(by: .seconds(5))
        #expect(!bench.line.level)
        #expect(bench.actuator.isSafe)
        #expect(bench.causes.last == .failure)
        #expect(
            bench.logged.lines.filter { $0.hasPrefix("info: ") }
                == ["info: actuator pump: at the safe value 0 again, after 10 failed tries"])
        #expect(bench.logged.lines.count == 3)
        seen = bench.line.history.count
        bench.loop.advance(by: .seconds(60))
        #expect(bench.line.history.count == seen)
    }

    @Test func untilThenOnlyTheSafeValueIsTaken() throws {
        let bench = try Bench()
        bench.order(on)
        bench.line.writesFail = true
        bench.order(on)
        bench.line.history = []
        bench.order(on)
        guard case .failed(let reason, let value) = bench.outcomes.last else {
            Issue.record("\(bench.outcomes)")
            return
        }
        #expect(reason.hasPrefix("not back at the safe value yet: GPIO gpiochip0 27"))
        #expect(value == on)
        #expect(bench.line.history.isEmpty)
        bench.line.writesFail = false
        bench.order(off)
        #expect(bench.outcomes.last == .done(off))
        #expect(bench.actuator.isSafe)
        // The pending try is off, too.
        bench.line.history = []
        bench.loop.advance(by: .seconds(10))
        #expect(bench.line.history.isEmpty)
        bench.order(on)
        #expect(bench.outcomes.last == .done(on))
    }

    @Test func aSafeOrderThatFailsWhileTheReturnIsTriedKeepsTheTriesGoing() throws {
        let bench = try Bench()
        bench.order(on)
        bench.line.writesFail = true
        bench.order(off)
        bench.order(off)
        #expect(bench.line.level)
        bench.line.writesFail = false
        bench.loop.advance(by: .seconds(5))
        #expect(!bench.line.level)
        #expect(bench.logged.lines.count == 3)
    }

    @Test func aLeaseWhoseEndFailsIsTriedAgain() throws {
        let bench = try Bench()
        bench.order(on, for: .seconds(1))
        bench.line.writesFail = true
        bench.loop.advance(by: .seconds(1))
        #expect(bench.line.level)
        bench.line.writesFail = false
        bench.loop.advance(by: .milliseconds(100))
        #expect(!bench.line.level)
        #expect(bench.causes.last == .leaseEnd)
    }

    @Test func aStopThatFailsIsTriedAgain() throws {
        let bench = try Bench()
        bench.order(on)
        bench.line.writesFail = true
        bench.actuator.stop()
        #expect(!bench.actuator.isSafe)
        bench.line.writesFail = false
        bench.loop.advance(by: .milliseconds(100))
        #expect(bench.actuator.isSafe)
        #expect(bench.causes.last == .stop)
    }

    @Test func anActuatorThatIsGoneLeavesNoTimerBehind() throws {
        let loop = ManualLoop()
        let hardware = FakeHardware()
        let settings = GPIOOutput.Settings(line: LineReference(chip: nil, line: .offset(27)))
        do {
            let plan = ActuatorPlan(id: "pump", driver: settings.plan)
            let actuator = try plan.open(on: hardware, loop: loop, log: LogRecorder().log)
            actuator.perform(Order(value: on, hold: .seconds(1), command: "a")) { _ in }
        }
        hardware.line.history = []
        loop.advance(by: .seconds(2))
        #expect(hardware.line.history.isEmpty)
    }
}
