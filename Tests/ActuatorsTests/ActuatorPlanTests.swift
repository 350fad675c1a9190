import Actuators
import Configuration
import Hardware
import Platform
import Records
import TestSupport
import Testing

@Suite struct ActuatorPlanTests {
    private func decode(_ pairs: KeyValuePairs<String, Node>) -> (ActuatorPlan?, [String]) {
        let diagnostics = Diagnostics(file: "k.yaml")
        let plan = ActuatorPlan.decode(Reader(mapping(pairs), path: "actuators[0]", diagnostics: diagnostics))
        return (plan, diagnostics.lines)
    }

    @Test func gpio() throws {
        let (plan, problems) = decode([
            "id": "pump", "driver": "gpio", "chip": "pinctrl-bcm2711", "line": "27",
            "active_low": "true", "safe": "1", "max_on": "10m", "bias": "pull-up",
        ])
        #expect(problems == [])
        let actual = try #require(plan)
        #expect(actual.id == "pump")
        #expect(actual.maxOn == .seconds(600))
        #expect(actual.safe == .integer(1))
        #expect(actual.domain == .level)
        let reference = LineReference(chip: "pinctrl-bcm2711", line: .offset(27))
        #expect(actual.claims == [LineClaim(reference: reference, mark: Mark(line: 4, column: 9))])
        let hardware = FakeHardware()
        _ = try actual.driver.open(hardware)
        let settings = LineSettings(direction: .output(active: true), bias: .pullUp, activeLow: true)
        #expect(hardware.line.history == [.requested(reference, settings)])
    }

    @Test(arguments: [
        (scalar("27"), LineReference.Line.offset(27)), (scalar("GPIO27"), .name("GPIO27")),
        (scalar("27", isQuoted: true), .name("27")),
    ]) func lines(node: Node, line: LineReference.Line) {
        let (plan, problems) = decode(["id": "a", "driver": "gpio", "line": node])
        #expect(problems == [])
        #expect(plan?.claims.map { $0.reference } == [LineReference(chip: nil, line: line)])
        #expect(plan?.safe == .integer(0))
        #expect(plan?.maxOn == nil)
    }

    @Test(arguments: [("0", 0), ("1", 1), ("true", 1), ("off", 0)]) func safeLevels(text: String, level: Int64) {
        let (plan, problems) = decode([
            "id": "a", "driver": "gpio", "line": "2", "safe": scalar(text),
        ])
        #expect(problems == [])
        #expect(plan?.safe == .integer(level))
    }

    @Test func sim() {
        let (plan, problems) = decode([
            "id": "dimmer", "driver": "sim", "min": "10", "max": "20",
            "safe": "12.5", "latency": "50ms", "failure_rate": "0.1", "seed": "3",
        ])
        #expect(problems == [])
        #expect(plan?.domain == .number(10...20))
        #expect(plan?.safe == .number(12.5))
        #expect(plan?.claims == [])
    }

    @Test func aUnit() {
        let (plan, problems) = decode(["id": "a", "driver": "sim", "max": "3.3", "unit": "V"])
        #expect(problems == [])
        #expect(plan?.unit == "V")
        #expect(decode(["id": "a", "driver": "sim"]).0?.unit == nil)
    }

    @Test(
        arguments: [
            (
                ["id": "a", "driver": "gpio", "line": "1", "unit": "V"],
                "actuators[0].unit stands beside values that are off or on, expected none"
            ),
            (
                ["id": "a", "driver": "sim", "unit": scalar(String(repeating: "m", count: 33))],
                "actuators[0].unit has 33 bytes, expected 1 to 32, such as V"
            ),
            (["driver": "gpio", "line": "1"], "actuators[0].id is missing"),
            (["id": "a", "line": "1"], "actuators[0].driver is missing"),
            (["id": "a", "driver": "gpoi"], "actuators[0].driver is \"gpoi\", expected"),
            (["id": "a", "driver": "gpio"], "actuators[0].line is missing"),
            (["id": "a", "driver": "gpio", "line": "-1"], "actuators[0].line is \"-1\""),
            (
                ["id": "a", "driver": "gpio", "line": "1", "safe": "2"],
                "actuators[0].safe is \"2\""
            ),
            (
                ["id": "a", "driver": "gpio", "line": "1", "min_on": "2s", "max_on": "1s"],
                "actuators[0].min_on is longer than max_on"
            ),
            (
                ["id": "a", "driver": "gpio", "line": "1", "rate_limit": "10"],
                "actuators[0].rate_limit is \"10\", expected a count for a time, such as 10/s or 6/m"
            ),
            (
                ["id": "a", "driver": "gpio", "line": "1", "dead_time": "1s"],
                "actuators[0].dead_time stands without interlock"
            ),
            (
                ["id": "a", "driver": "gpio", "line": "1", "priority": "1"],
                "actuators[0].priority is not in this version: leave it out"
            ),
            (
                ["id": "a", "driver": "gpio", "line": "1", "min": "1"],
                "actuators[0].min is no known key"
            ),
            (
                ["id": "a", "driver": "gpio", "line": "1", "max_on": "0s"],
                "actuators[0].max_on is \"0s\""
            ),
            (
                ["id": "a", "driver": "sim", "min": "5", "max": "5"],
                "actuators[0]: min is 5 and max is 5, expected min below max"
            ),
            (
                ["id": "a", "driver": "sim", "min": "5", "max": "6"],
                "actuators[0].safe is missing, and 0 is not within min and max, expected a number from 5 to 6"
            ),
            (
                ["id": "a", "driver": "sim", "safe": "2"],
                "actuators[0].safe is \"2\""
            ),
        ] as [(KeyValuePairs<String, Node>, String)]) func problems(pairs: KeyValuePairs<String, Node>, problem: String)
    {
        let (_, problems) = decode(pairs)
        #expect(problems.count == 1, "\(problems)")
        #expect(problems.first?.contains(problem) == true, "\(problems)")
    }

    @Test func restraints() {
        let (plan, problems) = decode([
            "id": "a", "driver": "sim", "min_on": "1s", "min_off": "2s", "rate_limit": "6/m", "interlock": ["b", "c"],
            "dead_time": "500ms", "on_disconnect": mapping(["after": "5s"]),
        ])
        #expect(problems == [])
        #expect(
            plan?.restraints
                == Restraints(
                    minOn: .seconds(1), minOff: .seconds(2), rateLimit: RateLimit(count: 6, per: .seconds(60)),
                    interlock: ["b", "c"], deadTime: .milliseconds(500), onDisconnect: .safe(after: .seconds(5))))
    }

    @Test func anInterlockNamesOtherActuators() {
        let diagnostics = Diagnostics(file: "k.yaml")
        let one = mapping(["id": "a", "driver": "sim", "interlock": ["a", "x", "b"]])
        let two = mapping(["id": "b", "driver": "sim"])
        _ = ActuatorPlan.decode(list: [one, two], path: "actuators", diagnostics: diagnostics)
        #expect(
            diagnostics.lines == [
                "k.yaml:3:9: actuators[0].interlock names the actuator itself, expected other actuators",
                "k.yaml:3:9: actuators[0].interlock names \"x\", expected the id of an actuator",
            ])
    }

    @Test func anIDIsThereOnce() {
        let diagnostics = Diagnostics(file: "k.yaml")
        let one = mapping(["id": "a", "driver": "sim"])
        let plans = ActuatorPlan.decode(list: [one, one], path: "actuators", diagnostics: diagnostics)
        #expect(plans.count == 1)
        #expect(
            diagnostics.lines
                == ["k.yaml:1:9: actuators[1].id: \"a\" is the id of the actuator on line 1 already"])
    }
}
