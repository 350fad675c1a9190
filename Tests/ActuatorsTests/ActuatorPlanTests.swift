import Actuators
import Configuration
import Hardware
import Platform
import Records
import Testing

/// Whether `Reader` reads: until it does, there is nothing to decode with.
private let readerReads = Reader(
    mapping([("a", plain("b"))]), path: "", diagnostics: Diagnostics(file: "t")
).has("a")

private func scalar(_ text: String, line: Int = 1, isQuoted: Bool = false) -> Node.Scalar {
    Node.Scalar(text: text, mark: Mark(line: line, column: 1), isQuoted: isQuoted, isSecret: false)
}

private func plain(_ text: String) -> Node { .scalar(scalar(text)) }
private func quoted(_ text: String) -> Node { .scalar(scalar(text, isQuoted: true)) }

/// Every pair on a line of its own, from the first.
private func mapping(_ pairs: [(String, Node)]) -> Node {
    var entries: [Node.Entry] = []
    for (index, (key, value)) in pairs.enumerated() {
        var value = value
        if case .scalar(let old) = value {
            value = .scalar(scalar(old.text, line: index + 1, isQuoted: old.isQuoted))
        }
        entries.append(Node.Entry(key: scalar(key, line: index + 1), value: value))
    }
    return .mapping(entries, Mark(line: 1, column: 1))
}

@Suite(.enabled(if: readerReads)) struct ActuatorPlanTests {
    private func decode(_ pairs: [(String, Node)]) -> (ActuatorPlan?, [String]) {
        let diagnostics = Diagnostics(file: "k.yaml")
        let plan = ActuatorPlan.decode(Reader(mapping(pairs), path: "actuators[0]", diagnostics: diagnostics))
        return (plan, diagnostics.lines)
    }

    @Test func gpio() throws {
        let (plan, problems) = decode([
            ("id", plain("pump")), ("driver", plain("gpio")), ("chip", plain("pinctrl-bcm2711")), ("line", plain("27")),
            ("active_low", plain("true")), ("safe", plain("1")), ("max_on", plain("10m")), ("bias", plain("pull-up")),
        ])
        #expect(problems == [])
        let actual = try #require(plan)
        #expect(actual.id == "pump")
        #expect(actual.maxOn == .seconds(600))
        #expect(actual.safe == .integer(1))
        #expect(actual.domain == .level)
        let reference = LineReference(chip: "pinctrl-bcm2711", line: .offset(27))
        #expect(actual.claims == [LineClaim(reference: reference, mark: Mark(line: 4, column: 1))])
        let hardware = FakeHardware()
        _ = try actual.driver.open(hardware)
        let settings = LineSettings(direction: .output(active: true), bias: .pullUp, activeLow: true)
        #expect(hardware.line.history == [.requested(reference, settings)])
    }

    @Test(arguments: [
        (plain("27"), LineReference.Line.offset(27)), (plain("GPIO27"), .name("GPIO27")), (quoted("27"), .name("27")),
    ]) func lines(node: Node, line: LineReference.Line) {
        let (plan, problems) = decode([("id", plain("a")), ("driver", plain("gpio")), ("line", node)])
        #expect(problems == [])
        #expect(plan?.claims.map { $0.reference } == [LineReference(chip: nil, line: line)])
        #expect(plan?.safe == .integer(0))
        #expect(plan?.maxOn == nil)
    }

    @Test(arguments: [("0", 0), ("1", 1), ("true", 1), ("off", 0)]) func safeLevels(text: String, level: Int64) {
        let (plan, problems) = decode([
            ("id", plain("a")), ("driver", plain("gpio")), ("line", plain("2")), ("safe", plain(text)),
        ])
        #expect(problems == [])
        #expect(plan?.safe == .integer(level))
    }

    @Test func sim() {
        let (plan, problems) = decode([
            ("id", plain("dimmer")), ("driver", plain("sim")), ("min", plain("10")), ("max", plain("20")),
            ("safe", plain("12.5")), ("latency", plain("50ms")), ("failure_rate", plain("0.1")), ("seed", plain("3")),
        ])
        #expect(problems == [])
        #expect(plan?.domain == .number(10...20))
        #expect(plan?.safe == .number(12.5))
        #expect(plan?.claims == [])
    }

    @Test(arguments: [
        ([("driver", plain("gpio")), ("line", plain("1"))], "actuators[0].id is missing"),
        ([("id", plain("a")), ("line", plain("1"))], "actuators[0].driver is missing"),
        ([("id", plain("a")), ("driver", plain("gpoi"))], "actuators[0].driver is \"gpoi\", expected"),
        ([("id", plain("a")), ("driver", plain("gpio"))], "actuators[0].line is missing"),
        ([("id", plain("a")), ("driver", plain("gpio")), ("line", plain("-1"))], "actuators[0].line is \"-1\""),
        (
            [("id", plain("a")), ("driver", plain("gpio")), ("line", plain("1")), ("safe", plain("2"))],
            "actuators[0].safe is \"2\""
        ),
        (
            [("id", plain("a")), ("driver", plain("gpio")), ("line", plain("1")), ("min_on", plain("1s"))],
            "actuators[0].min_on: not in this version"
        ),
        (
            [("id", plain("a")), ("driver", plain("gpio")), ("line", plain("1")), ("interlock", plain("b"))],
            "actuators[0].interlock: not in this version"
        ),
        (
            [("id", plain("a")), ("driver", plain("gpio")), ("line", plain("1")), ("min", plain("1"))],
            "actuators[0].min is no known key"
        ),
        (
            [("id", plain("a")), ("driver", plain("gpio")), ("line", plain("1")), ("max_on", plain("0s"))],
            "actuators[0].max_on is \"0s\""
        ),
        (
            [("id", plain("a")), ("driver", plain("sim")), ("min", plain("5")), ("max", plain("5"))],
            "actuators[0]: min is 5 and max is 5, expected min below max"
        ),
        (
            [("id", plain("a")), ("driver", plain("sim")), ("min", plain("5")), ("max", plain("6"))],
            "actuators[0].safe is missing, and 0 is not within min and max, expected a number from 5 to 6"
        ),
        (
            [("id", plain("a")), ("driver", plain("sim")), ("safe", plain("2"))],
            "actuators[0].safe is \"2\""
        ),
    ]) func problems(pairs: [(String, Node)], problem: String) {
        let (_, problems) = decode(pairs)
        #expect(problems.count == 1, "\(problems)")
        #expect(problems.first?.contains(problem) == true, "\(problems)")
    }

    @Test func anIDIsThereOnce() {
        let diagnostics = Diagnostics(file: "k.yaml")
        let one = mapping([("id", plain("a")), ("driver", plain("sim"))])
        let plans = ActuatorPlan.decode(list: [one, one], path: "actuators", diagnostics: diagnostics)
        #expect(plans.count == 1)
        #expect(
            diagnostics.lines
                == ["k.yaml:1:1: actuators[1].id: \"a\" is the id of the actuator on line 1 already"])
    }
}
