import Actuators
import Platform
import Records
import TestSupport
import Testing

@Suite struct SlowActuatorTests {
    @Test func ordersAreCarriedOutOneAfterTheOther() {
        let bench = ScriptedBench(latency: .seconds(2))
        bench.order(on, id: "a")
        bench.order(off, id: "b")
        bench.order(on, id: "c")
        #expect(bench.outcomes.isEmpty)
        #expect(bench.driver.driven == [on])
        bench.loop.advance(by: .seconds(2))
        #expect(bench.outcomes.map { $0.0 } == ["a"])
        #expect(bench.driver.driven == [on, off])
        bench.loop.advance(by: .seconds(4))
        #expect(bench.outcomes.map { $0.0 } == ["a", "b", "c"])
        #expect(bench.outcomes.map { $0.1 } == [.done(on), .done(off), .done(on)])
    }

    @Test func onlySoManyOrdersWait() {
        let bench = ScriptedBench(latency: .seconds(1))
        for index in 0..<20 { bench.order(on, id: "\(index)") }
        // One is being carried out, 16 wait.
        #expect(bench.outcomes.map { $0.0 } == ["17", "18", "19"])
        #expect(
            bench.outcomes.allSatisfy { $0.1 == .refused(reason: "16 commands wait for this actuator already") })
        bench.loop.advance(by: .seconds(17))
        #expect(bench.outcomes.count == 20)
    }

    @Test func aLeaseThatEndsBeforeTheValueIsReachedPreempts() {
        let bench = ScriptedBench(latency: .seconds(2))
        bench.order(on, for: .seconds(1), id: "a")
        bench.order(on, id: "b")
        bench.loop.advance(by: .seconds(1))
        #expect(bench.driver.driven == [on, off])
        bench.loop.advance(by: .seconds(2))
        #expect(bench.outcomes.map { $0.1 } == [.preempted(reason: "its time (for) was over", value: off)])
        bench.loop.advance(by: .seconds(2))
        #expect(bench.outcomes.last?.1 == .done(on))
    }

    @Test func anOrderWaitsForTheReturnToSettle() {
        let bench = ScriptedBench(latency: .seconds(2), maxOn: .seconds(10))
        bench.order(on, id: "a")
        bench.loop.advance(by: .seconds(10))
        bench.order(on, id: "b")
        #expect(bench.driver.driven == [on, off])
        bench.loop.advance(by: .seconds(2))
        #expect(bench.driver.driven == [on, off, on])
        #expect(bench.changes.map { $0.1 } == [.command(id: "a"), .maxOn])
        // max_on counts from the second leaving of the safe value.
        bench.loop.advance(by: .milliseconds(9_999))
        #expect(bench.driver.driven == [on, off, on])
        bench.loop.advance(by: .milliseconds(1))
        #expect(bench.driver.driven == [on, off, on, off])
    }

    @Test func stopPreemptsWhatIsUnderWayAndWhatWaits() {
        let bench = ScriptedBench(latency: .seconds(2))
        bench.order(on, id: "a")
        bench.order(on, id: "b")
        bench.actuator.stop()
        #expect(bench.driver.driven == [on, off])
        #expect(!bench.actuator.isSafe)
        bench.loop.advance(by: .seconds(2))
        #expect(bench.actuator.isSafe)
        #expect(Set(bench.outcomes.map { $0.0 }) == ["a", "b"])
        for (_, outcome) in bench.outcomes {
            guard case .preempted("the node is stopping", _) = outcome else {
                Issue.record("\(outcome)")
                continue
            }
        }
        #expect(bench.outcomes.count == 2)
    }

    @Test func anOrderGivenFromACompletionComesAfterThoseThatWait() {
        let bench = ScriptedBench()
        var order: [String] = []
        bench.actuator.perform(Order(value: on, hold: nil, command: "a")) { _ in
            order.append("a")
            bench.actuator.perform(Order(value: off, hold: nil, command: "c")) { _ in order.append("c") }
            order.append("a is over")
        }
        #expect(order == ["a", "a is over", "c"])
        #expect(bench.driver.driven == [on, off])
    }

    @Test func stopFromAChangeAnswersOnce() {
        let bench = ScriptedBench()
        bench.actuator.onChange = { actuator, _, cause in
            if case .command = cause { actuator.stop() }
        }
        bench.order(on, id: "a")
        #expect(bench.outcomes.count == 1)
        #expect(bench.actuator.isSafe)
        #expect(bench.driver.driven == [on, off])
    }
}
