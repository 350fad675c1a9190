import Actuators
import Platform
import Records
import TestSupport
import Testing

@Suite struct SimulatedOutputTests {
    @Test func itShowsWhatItWasDrivenTo() throws {
        let output = SimulatedOutput(SimulatedOutput.Settings(range: 0...100, safe: 5, latency: .seconds(1)))
        #expect(try output.readBack() == .number(5))
        #expect(try output.drive(.number(42.5)) == .seconds(1))
        #expect(try output.readBack() == .number(42.5))
    }

    private func failures(seed: UInt64, rate: Double) -> [Bool] {
        let output = SimulatedOutput(SimulatedOutput.Settings(failureRate: rate, seed: seed))
        return (0..<1_000).map { _ in
            do throws(ActuatorError) {
                _ = try output.drive(.number(1))
                return false
            } catch {
                #expect(error == .simulated)
                return true
            }
        }
    }

    @Test func theShareOfFailuresIsAsAskedAndTheSeedDecidesWhich() {
        let first = failures(seed: 7, rate: 0.2)
        #expect((150...250).contains(first.count { $0 }))
        #expect(first == failures(seed: 7, rate: 0.2))
        #expect(first != failures(seed: 8, rate: 0.2))
        #expect(!failures(seed: 7, rate: 0).contains(true))
        #expect(!failures(seed: 7, rate: 1).contains(false))
    }

    @Test(arguments: 0..<20) func withManyFailuresItStillEndsSafe(seed: Int) throws {
        let loop = ManualLoop()
        let settings = SimulatedOutput.Settings(
            range: 0...10, latency: .milliseconds(50), failureRate: 0.5, seed: UInt64(seed))
        let plan = ActuatorPlan(id: "sim", maxOn: .seconds(3), driver: settings.plan)
        let actuator = try plan.open(on: FakeHardware(), loop: loop, log: LogRecorder().log)
        var answered = 0
        for index in 0..<100 {
            actuator.perform(Order(value: .number(Double(index % 11)), hold: .seconds(2), command: "\(index)")) { _ in
                answered += 1
            }
            loop.advance(by: .milliseconds(330))
        }
        // Some twenty tries, each of which succeeds half the time.
        loop.advance(by: .seconds(100))
        #expect(answered == 100)
        #expect(actuator.isSafe)
        actuator.stop()
        loop.advance(by: .seconds(100))
        #expect(actuator.isSafe)
    }
}

@Suite struct ValueDomainTests {
    @Test func levels() {
        for value in [Value.integer(0), .boolean(false), .number(0), .number(-0.0)] {
            #expect(ValueDomain.level.admit(value) == .integer(0))
        }
        for value in [Value.integer(1), .boolean(true), .number(1)] {
            #expect(ValueDomain.level.admit(value) == .integer(1))
        }
        for value in [Value.integer(2), .integer(-1), .number(0.5), .number(.nan), .text("1"), .text("on")] {
            #expect(ValueDomain.level.admit(value) == nil)
        }
    }

    @Test func numbers() {
        let domain = ValueDomain.number(-1...10)
        #expect(domain.admit(.integer(10)) == .number(10))
        #expect(domain.admit(.number(-1)) == .number(-1))
        for value in [
            Value.number(10.001), .number(-1.001), .number(.nan), .number(.infinity), .boolean(true), .text("1"),
        ] {
            #expect(domain.admit(value) == nil)
        }
        #expect(domain.description == "a number from -1 to 10")
    }
}
