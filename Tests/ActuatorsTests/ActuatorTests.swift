import Actuators
import Hardware
import Platform
import Records
import TestSupport
import Testing

@Suite struct ActuatorTests {
    @Test(arguments: [false, true]) func theSafeLevelComesWithTheRequestAndNothingIsWritten(safe: Bool) throws {
        let bench = try Bench(safe: safe)
        let reference = LineReference(chip: nil, line: .offset(27))
        #expect(
            bench.line.history == [.requested(reference, LineSettings(direction: .output(active: safe)))])
        #expect(bench.actuator.value == .integer(safe ? 1 : 0))
        #expect(bench.actuator.isSafe)
    }

    @Test func activeLowAndBiasReachTheRequest() throws {
        let hardware = FakeHardware()
        let settings = GPIOOutput.Settings(
            line: LineReference(chip: "c", line: .name("relay")), activeLow: true, bias: .pullUp, safe: true)
        _ = try settings.plan.open(hardware)
        let expected = LineSettings(direction: .output(active: true), bias: .pullUp, activeLow: true)
        #expect(hardware.line.history == [.requested(settings.line, expected)])
    }

    @Test func aLineThatCannotBeHadIsAnError() {
        let hardware = FakeHardware()
        hardware.refusal = .busy(consumer: "other")
        let settings = GPIOOutput.Settings(line: LineReference(chip: nil, line: .offset(4)))
        let expected = ActuatorError.gpio(GPIOError(line: settings.line, cause: .busy(consumer: "other")))
        #expect(throws: expected) { _ = try settings.plan.open(hardware) }
    }

    @Test func anOrderIsDrivenAndReadBack() throws {
        let bench = try Bench()
        bench.loop.advance(by: .seconds(1))
        bench.order(on, id: "a")
        #expect(bench.outcomes == [.done(on)])
        #expect(bench.line.level)
        #expect(bench.actuator.value == on)
        #expect(bench.actuator.since == bench.loop.now)
        #expect(bench.actuator.deadline == nil)
        #expect(!bench.actuator.isSafe)
        #expect(bench.causes == [.command(id: "a")])
        bench.order(off, id: "b")
        #expect(bench.actuator.isSafe)
        #expect(bench.causes == [.command(id: "a"), .command(id: "b")])
    }

    @Test func theSameValueAgainIsDoneButNoChange() throws {
        let bench = try Bench()
        bench.order(on)
        bench.order(on)
        #expect(bench.outcomes == [.done(on), .done(on)])
        #expect(bench.changes.count == 1)
    }

    @Test func aLeaseEndsOnTime() throws {
        let bench = try Bench()
        bench.order(on, for: .seconds(30), id: "a")
        #expect(bench.actuator.deadline == bench.loop.now + .seconds(30))
        bench.loop.advance(by: .milliseconds(29_999))
        #expect(bench.line.level)
        bench.loop.advance(by: .milliseconds(1))
        #expect(!bench.line.level)
        #expect(bench.actuator.isSafe)
        #expect(bench.actuator.deadline == nil)
        #expect(bench.causes == [.command(id: "a"), .leaseEnd])
    }

    @Test func aLeaseGoesByTheMonotonicClock() throws {
        let bench = try Bench()
        bench.order(on, for: .seconds(30))
        bench.loop.wallTime = bench.loop.wallTime + .seconds(86_400)
        bench.loop.advance(by: .seconds(29))
        #expect(bench.line.level)
        bench.loop.wallTime = WallTime(nanoseconds: 0)
        bench.loop.advance(by: .seconds(1))
        #expect(!bench.line.level)
    }

    @Test func aNewerOrderReplacesTheLease() throws {
        let bench = try Bench()
        bench.order(on, for: .seconds(10))
        bench.loop.advance(by: .seconds(5))
        bench.order(on, for: .seconds(10))
        bench.loop.advance(by: .seconds(9))
        #expect(bench.line.level)
        bench.loop.advance(by: .seconds(1))
        #expect(!bench.line.level)
    }

    @Test func aNewerOrderWithoutALeaseEndsTheOlderOnes() throws {
        let bench = try Bench()
        bench.order(on, for: .seconds(10))
        bench.order(on)
        bench.loop.advance(by: .seconds(86_400))
        #expect(bench.line.level)
        bench.order(on, for: .seconds(10))
        bench.order(off)
        bench.line.history = []
        bench.loop.advance(by: .seconds(20))
        #expect(bench.line.history.isEmpty)
    }

    @Test func maxOnEndsAValueWithoutALease() throws {
        let bench = try Bench(maxOn: .seconds(60))
        bench.order(on, id: "a")
        bench.loop.advance(by: .milliseconds(59_999))
        #expect(bench.line.level)
        bench.loop.advance(by: .milliseconds(1))
        #expect(!bench.line.level)
        #expect(bench.causes == [.command(id: "a"), .maxOn])
    }

    @Test func whatEndsFirstCounts() throws {
        let bench = try Bench(maxOn: .seconds(60))
        bench.order(on, for: .seconds(90))
        bench.loop.advance(by: .seconds(60))
        #expect(bench.causes.last == .maxOn)
        bench.order(on, for: .seconds(20))
        bench.loop.advance(by: .seconds(20))
        #expect(bench.causes.last == .leaseEnd)
        #expect(!bench.line.level)
    }

    @Test func renewedOrdersDoNotStretchMaxOn() throws {
        let bench = try Bench(maxOn: .seconds(60))
        for _ in 0..<5 {
            bench.order(on, for: .seconds(30))
            bench.loop.advance(by: .seconds(11))
        }
        #expect(bench.line.level)
        bench.order(on, for: .seconds(30))
        bench.loop.advance(by: .seconds(5))
        #expect(!bench.line.level)
        #expect(bench.causes.last == .maxOn)
        // It starts anew once the safe value has been reached.
        bench.order(on)
        bench.loop.advance(by: .seconds(59))
        #expect(bench.line.level)
    }

    @Test func maxOnHoldsForASafeValueThatIsOn() throws {
        let bench = try Bench(safe: true, maxOn: .seconds(60))
        bench.order(off)
        bench.loop.advance(by: .seconds(60))
        #expect(bench.line.level)
        #expect(bench.actuator.isSafe)
    }

    @Test func stopDrivesTheSafeValueAndRefusesWhatComesLater() throws {
        let bench = try Bench()
        bench.order(on, for: .seconds(5))
        bench.actuator.stop()
        #expect(!bench.line.level)
        #expect(bench.actuator.isSafe)
        #expect(bench.causes.last == .stop)
        bench.order(on)
        #expect(bench.outcomes.last == .preempted(reason: "the node is stopping", value: off))
        bench.loop.advance(by: .seconds(10))
        #expect(!bench.line.level)
        #expect(bench.causes.count == 2)
    }

    @Test func onlyOneLevelAtATimeIsEverSeen() throws {
        let bench = try Bench()
        bench.order(on, for: .seconds(1))
        bench.loop.advance(by: .seconds(1))
        bench.order(on)
        bench.actuator.stop()
        #expect(bench.line.levels == [false, true, false, true, false])
    }
}
