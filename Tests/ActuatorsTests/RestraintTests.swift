import Actuators
import Hardware
import Platform
import Records
import TestSupport
import Testing

/// Two actuators, `pump` and `drain`, and what their plans forbid.
private final class Pair {
    let loop = ManualLoop()
    let hardware: SimulatedHardware
    let actuators: [Actuator]
    var pump: Actuator { actuators[0] }
    var drain: Actuator { actuators[1] }
    private(set) var states: [String] = []

    init(_ pump: Restraints, _ drain: Restraints = Restraints(), maxOn: Interval? = nil) throws {
        hardware = SimulatedHardware(loop: loop)
        let plans = [
            ActuatorPlan(
                id: "pump", maxOn: maxOn, restraints: pump,
                driver: GPIOOutput.Settings(line: LineReference(chip: nil, line: .offset(1))).plan),
            ActuatorPlan(
                id: "drain", restraints: drain,
                driver: GPIOOutput.Settings(line: LineReference(chip: nil, line: .offset(2))).plan),
        ]
        actuators = try ActuatorPlan.start(
            plans, on: hardware, buses: BusThreads([], hardware: hardware, loop: loop), loop: loop,
            log: LogRecorder().log)
        for actuator in actuators {
            actuator.onState = { [unowned self] in states.append("\($0.id) \(shown($0.value)) \($0.cause.name)") }
        }
    }

    func give(_ actuator: Actuator, _ value: Value, for hold: Interval? = nil, priority: Int = 0) -> Outcome? {
        var result: Outcome?
        actuator.perform(Order(value: value, hold: hold, command: "c", priority: priority)) { result = $0 }
        return result
    }

    func group(_ orders: [(Actuator, Value)]) -> OrderGroup? {
        var result: OrderGroup?
        OrderGroup(
            orders.map { OrderGroup.Member($0.0, Order(value: $0.1, hold: nil, command: "g")) }, id: "g",
            lateness: { nil }
        ) { result = $0 }.perform()
        return result
    }
}

@Suite struct RestraintTests {
    @Test func anInterlockHoldsInBothDirections() throws {
        let pair = try Pair(Restraints(interlock: ["drain"]))
        #expect(pair.give(pair.pump, on) == .done(on))
        #expect(pair.give(pair.drain, on) == .interlocked(reason: "\"pump\" is 1, not at its safe value"))
        #expect(pair.give(pair.drain, off) == .done(off))
        #expect(pair.give(pair.pump, off) == .done(off))
        #expect(pair.give(pair.drain, on) == .done(on))
        #expect(pair.give(pair.pump, on) == .interlocked(reason: "\"drain\" is 1, not at its safe value"))
    }

    @Test func deadTimeIsWaitedFor() throws {
        let pair = try Pair(Restraints(interlock: ["drain"], deadTime: .seconds(2)))
        #expect(pair.give(pair.pump, on) == .interlocked(reason: "dead_time after \"drain\": again in 2000 ms"))
        pair.loop.advance(by: .seconds(2))
        #expect(pair.give(pair.pump, on) == .done(on))
        #expect(pair.give(pair.pump, off) == .done(off))
        pair.loop.advance(by: .milliseconds(1_999))
        #expect(pair.give(pair.drain, on) == .interlocked(reason: "dead_time after \"pump\": again in 1 ms"))
        pair.loop.advance(by: .milliseconds(1))
        #expect(pair.give(pair.drain, on) == .done(on))
    }

    /// What cannot be brought to its safe value may be anywhere.
    @Test func aRivalThatFailsInterlocks() throws {
        let pair = try Pair(Restraints(interlock: ["drain"]))
        #expect(pair.give(pair.pump, on) == .done(on))
        pair.hardware.simulatedGPIO.removeChip("gpiochip0")
        _ = pair.give(pair.pump, off)
        pair.hardware.simulatedGPIO.returnChip("gpiochip0")
        guard case .interlocked = pair.give(pair.drain, on) else {
            Issue.record("the drain ran while nobody knew where the pump was")
            return
        }
        pair.loop.advance(by: .seconds(10))
        // Its own line is gone as well, which it finds at the next order.
        _ = pair.give(pair.drain, off)
        pair.loop.advance(by: .seconds(10))
        #expect(pair.give(pair.drain, on) == .done(on))
    }

    @Test func minOffCountsFromTheStartToo() throws {
        let pair = try Pair(Restraints(minOff: .seconds(30)))
        #expect(pair.give(pair.pump, on) == .refused(reason: "min_off: again in 30000 ms"))
        pair.loop.advance(by: .seconds(30))
        #expect(pair.give(pair.pump, on) == .done(on))
        #expect(pair.give(pair.pump, off) == .done(off))
        pair.loop.advance(by: .milliseconds(29_999))
        // A repeated safe value does not begin the time anew.
        #expect(pair.give(pair.pump, off) == .done(off))
        #expect(pair.give(pair.pump, on) == .refused(reason: "min_off: again in 1 ms"))
        pair.loop.advance(by: .milliseconds(1))
        #expect(pair.give(pair.pump, on) == .done(on))
    }

    @Test func minOnHoldsOffACommandButNotTheSafeValue() throws {
        let pair = try Pair(Restraints(minOn: .seconds(60)))
        #expect(
            pair.give(pair.pump, on, for: .seconds(59)) == .refused(reason: "for is shorter than min_on, 60000 ms"))
        #expect(pair.give(pair.pump, on) == .done(on))
        pair.loop.advance(by: .seconds(59))
        #expect(pair.give(pair.pump, off) == .refused(reason: "min_on: again in 1000 ms"))
        var outcome: Outcome?
        pair.pump.makeSafe(.disconnect) { outcome = $0 }
        #expect(outcome == .done(off))
        #expect(pair.states.last == "pump 0 disconnect")
        #expect(pair.give(pair.pump, on) == .done(on))
        pair.loop.advance(by: .seconds(60))
        #expect(pair.give(pair.pump, off) == .done(off))
    }

    @Test func theRateLimitIsABucket() throws {
        let pair = try Pair(Restraints(rateLimit: RateLimit(text: "3/s")))
        for _ in 0..<3 { #expect(pair.give(pair.pump, on) == .done(on)) }
        #expect(pair.give(pair.pump, on) == .refused(reason: "rate limit of 3 in 1000 ms: again in 334 ms"))
        // Off is free.
        for _ in 0..<10 { #expect(pair.give(pair.pump, off) == .done(off)) }
        pair.loop.advance(by: .milliseconds(334))
        #expect(pair.give(pair.pump, on) == .done(on))
        guard case .refused = pair.give(pair.pump, on) else {
            Issue.record("more than the rate")
            return
        }
        pair.loop.advance(by: .seconds(60))
        for _ in 0..<3 { #expect(pair.give(pair.pump, on) == .done(on)) }
        guard case .refused = pair.give(pair.pump, on) else {
            Issue.record("the bucket has no bound")
            return
        }
    }

    @Test(arguments: [
        ("10/s", 10, 1_000), ("6/m", 6, 60_000), ("100/h", 100, 3_600_000), ("5/30s", 5, 30_000),
    ]) func rates(text: String, count: Int64, milliseconds: Int64) {
        #expect(RateLimit(text: text) == RateLimit(count: count, per: .milliseconds(milliseconds)))
    }

    @Test(arguments: ["", "10", "/s", "10/", "0/s", "-1/s", "1/x", "1/0s", "9999999999/s", "1/s/s", "1.5/s"])
    func noRates(text: String) { #expect(RateLimit(text: text) == nil) }

    @Test func aLeaseKeepsLowerPrioritiesOut() throws {
        let pair = try Pair(Restraints())
        #expect(pair.give(pair.pump, on, for: .seconds(10), priority: 5) == .done(on))
        let reason = "command c of priority 5 has it for another 10000 ms"
        #expect(pair.give(pair.pump, off, priority: 4) == .preempted(reason: reason, value: on))
        // Of the same priority the newer one wins, and so does a higher one.
        #expect(pair.give(pair.pump, on, for: .seconds(10), priority: 5) == .done(on))
        #expect(pair.give(pair.pump, off, for: .seconds(10), priority: 9) == .done(off))
        guard case .preempted = pair.give(pair.pump, on, priority: 8) else {
            Issue.record("a lease on the safe value does not hold")
            return
        }
        pair.loop.advance(by: .seconds(10))
        #expect(pair.give(pair.pump, on) == .done(on))
    }

    /// A priority without `for` gets in, and leaves nothing behind.
    @Test func aPriorityWithoutForIsNoLease() throws {
        let pair = try Pair(Restraints())
        #expect(pair.give(pair.pump, on, priority: 5) == .done(on))
        #expect(pair.pump.lease == nil)
        #expect(pair.give(pair.pump, off) == .done(off))
    }

    @Test func allLeasesEndWithTheSafeValue() throws {
        let pair = try Pair(Restraints(), maxOn: .seconds(5))
        #expect(pair.give(pair.pump, on, for: .seconds(60), priority: 9) == .done(on))
        pair.loop.advance(by: .seconds(5))
        #expect(pair.pump.isSafe)
        #expect(pair.give(pair.pump, on) == .done(on))
        #expect(pair.give(pair.pump, on, for: .seconds(3), priority: 9) == .done(on))
        pair.pump.makeSafe(.command(id: "x")) { _ in }
        #expect(pair.give(pair.pump, on) == .done(on))
    }

    @Test func aCommandThatComesTooLateIsNotBegun() throws {
        let pair = try Pair(Restraints())
        var outcome: Outcome?
        let late = { () -> String? in "too late" }
        pair.pump.perform(Order(value: on, hold: nil, command: "c"), lateness: late) { outcome = $0 }
        #expect(outcome == .expired(reason: "too late"))
        #expect(pair.pump.isSafe)
        #expect(pair.states.isEmpty)
    }
}

@Suite struct OrderGroupTests {
    @Test func allAreDone() throws {
        let pair = try Pair(Restraints())
        let group = try #require(pair.group([(pair.pump, on), (pair.drain, on)]))
        #expect(group.obstacle == nil)
        #expect(group.members.map { $0.outcome } == [.done(on), .done(on)])
    }

    @Test func oneThatMayNotKeepsAllFromMoving() throws {
        let pair = try Pair(Restraints(), Restraints(minOff: .seconds(30)))
        let group = try #require(pair.group([(pair.pump, on), (pair.drain, on)]))
        #expect(group.obstacle?.actuator == "drain")
        #expect(group.members.allSatisfy { $0.outcome == nil })
        #expect(pair.states.isEmpty)
    }

    @Test func oneOfAnInterlockTakesOverFromTheOther() throws {
        let pair = try Pair(Restraints(interlock: ["drain"]))
        #expect(pair.give(pair.pump, on) == .done(on))
        let group = try #require(pair.group([(pair.drain, on), (pair.pump, off)]))
        #expect(group.obstacle == nil)
        // Whatever the order that they stand in.
        #expect(pair.states == ["pump 1 command", "pump 0 command", "drain 1 command"])
    }

    @Test func bothOfAnInterlockAreRefused() throws {
        let pair = try Pair(Restraints(interlock: ["drain"]))
        let group = try #require(pair.group([(pair.drain, on), (pair.pump, on)]))
        #expect(group.obstacle?.outcome == .interlocked(reason: "\"drain\" and \"pump\" exclude each other"))
        #expect(pair.states.isEmpty)
    }

    @Test func deadTimeKeepsATakeOverOut() throws {
        let pair = try Pair(Restraints(interlock: ["drain"], deadTime: .seconds(1)))
        pair.loop.advance(by: .seconds(1))
        #expect(pair.give(pair.pump, on) == .done(on))
        let group = try #require(pair.group([(pair.drain, on), (pair.pump, off)]))
        guard case .interlocked = group.obstacle?.outcome else {
            Issue.record("no dead time")
            return
        }
        #expect(!pair.pump.isSafe)
    }

    @Test func aFailureRollsTheOthersBack() {
        let (first, second) = (ScriptedBench(), ScriptedBench())
        second.driver.failsFor = { $0 == on }
        var result: OrderGroup?
        OrderGroup(
            [
                OrderGroup.Member(first.actuator, Order(value: on, hold: nil, command: "g")),
                OrderGroup.Member(second.actuator, Order(value: on, hold: nil, command: "g")),
            ], id: "g", lateness: { nil }
        ) { result = $0 }.perform()
        #expect(first.driver.driven == [on, off])
        #expect(first.changes.map { $0.1 } == [.command(id: "g"), .rollback(id: "g")])
        #expect(result?.members.map { $0.isRolledBack } == [true, false])
        #expect(result?.obstacle?.outcome == .failed(reason: "simulated failure", value: off))
        #expect(first.actuator.isSafe && second.actuator.isSafe)
    }

    /// Another command took the first while the second was still on its way: that one has been told that it is done.
    @Test(arguments: [on, off]) func aRollbackLeavesAloneWhatWasTakenSince(_ value: Value) {
        let (first, second) = (ScriptedBench(), ScriptedBench(latency: .seconds(1)))
        var result: OrderGroup?
        OrderGroup(
            [
                OrderGroup.Member(first.actuator, Order(value: on, hold: nil, command: "g")),
                OrderGroup.Member(second.actuator, Order(value: on, hold: nil, command: "g")),
            ], id: "g", lateness: { nil }
        ) { result = $0 }.perform()
        first.order(value, id: "other")
        #expect(first.outcomes.map { $0.1 } == [.done(value)])
        second.driver.value = off
        second.loop.advance(by: .seconds(2))
        #expect(first.driver.driven == [on, value])
        #expect(first.actuator.cause == .command(id: "other"))
        #expect(result?.members.map { $0.isRolledBack } == [false, false])
        let reason = "the group could not be done, and this was driven by something else since"
        #expect(result?.members[0].outcome == .preempted(reason: reason, value: value))
        #expect(result?.obstacle?.actuator == "valve")
    }

    @Test func aBusyActuatorRefusesTheGroup() {
        let (first, second) = (ScriptedBench(), ScriptedBench(latency: .seconds(1)))
        second.order(on)
        var result: OrderGroup?
        OrderGroup(
            [
                OrderGroup.Member(first.actuator, Order(value: on, hold: nil, command: "g")),
                OrderGroup.Member(second.actuator, Order(value: off, hold: nil, command: "g")),
            ], id: "g", lateness: { nil }
        ) { result = $0 }.perform()
        #expect(result?.obstacle?.outcome == .refused(reason: "\"valve\" is busy with another command"))
        #expect(first.driver.driven.isEmpty)
    }
}

@Suite struct DisconnectTests {
    @Test func safeAfterTheGraceTime() throws {
        let pair = try Pair(Restraints(), Restraints(onDisconnect: .hold))
        let guardian = DisconnectGuard(
            pair.actuators, standard: .safe(after: .seconds(60)), loop: pair.loop, log: LogRecorder().log)
        _ = pair.give(pair.pump, on)
        _ = pair.give(pair.drain, on)
        guardian.linkChanged(isUp: false)
        pair.loop.advance(by: .seconds(59))
        // Told again, it does not begin anew.
        guardian.linkChanged(isUp: false)
        #expect(!pair.pump.isSafe)
        pair.loop.advance(by: .seconds(1))
        #expect(pair.pump.isSafe)
        #expect(pair.pump.cause == .disconnect)
        pair.loop.advance(by: .seconds(86_400))
        #expect(!pair.drain.isSafe)
    }

    @Test func theTimeCountsFromWhenTheyWereHeardLast() throws {
        let pair = try Pair(Restraints(), Restraints(onDisconnect: .safe(after: .seconds(5))))
        let guardian = DisconnectGuard(
            pair.actuators, standard: .safe(after: .seconds(60)), loop: pair.loop, log: LogRecorder().log)
        _ = pair.give(pair.drain, on)
        pair.loop.advance(by: .seconds(11))
        guardian.linkChanged(isUp: false, since: pair.loop.time.now - .seconds(11))
        pair.loop.advance(by: .zero)
        #expect(pair.drain.isSafe)
        guardian.linkChanged(isUp: true)
        _ = pair.give(pair.pump, on)
        guardian.linkChanged(isUp: false, since: pair.loop.time.now - .seconds(11))
        pair.loop.advance(by: .seconds(48))
        #expect(!pair.pump.isSafe)
        pair.loop.advance(by: .seconds(1))
        #expect(pair.pump.isSafe)
    }

    @Test func aLinkThatComesBackInTimeChangesNothing() throws {
        let pair = try Pair(Restraints())
        let guardian = DisconnectGuard(
            pair.actuators, standard: .safe(after: .seconds(60)), loop: pair.loop, log: LogRecorder().log)
        guardian.linkChanged(isUp: true)
        _ = pair.give(pair.pump, on)
        guardian.linkChanged(isUp: false)
        pair.loop.advance(by: .seconds(59))
        guardian.linkChanged(isUp: true)
        pair.loop.advance(by: .seconds(120))
        #expect(!pair.pump.isSafe)
        guardian.linkChanged(isUp: false)
        pair.loop.advance(by: .seconds(60))
        #expect(pair.pump.isSafe)
    }
}
