import Actuators
import Agent
import Hardware
import Sensors
import Testing

/// Mistakes that a configuration must not get away with, each told once.
@Suite struct MistakeTests {
    private func problems(_ lines: String...) -> [String] {
        decode(
            "node: a\nkafka: { all: { bootstrap.servers: b } }\nbuses: { i2c-1: { path: /dev/i2c-1 } }\n"
                + lines.joined(separator: "\n")
        ).problems
    }

    // MARK: Values

    @Test(arguments: ["-1", "1.5", "4294967296", "+-1", "0x", ".5", "017", "\"\"", "5.0"])
    func whatIsNoLine(_ line: String) {
        for part in [
            "sensors: [{ id: a, driver: gpio, line: \(line) }]", "actuators: [{ id: a, driver: gpio, line: \(line) }]",
            "sensors: [{ id: a, driver: gpio-counter, line: \(line) }]", "heartbeat: { line: \(line) }",
        ] {
            let problems = problems(part)
            #expect(problems.count == 1, "\(part): \(problems)")
            #expect(problems.first?.contains("line is ") == true, "\(problems)")
        }
        let recovery = decode(
            "node: a\nkafka: { all: { bootstrap.servers: b } }\n"
                + "buses: { i: { path: /x, recovery: { scl: \(line), sda: 1 } } }"
        ).problems
        #expect(recovery.count == 1 && recovery[0].contains("recovery.scl is "), "\(recovery)")
    }

    /// The same words are the same line for sensors and for actuators.
    @Test(arguments: [
        ("27", LineReference.Line.offset(27)), ("0x1b", .offset(27)), ("\"27\"", .name("27")),
        ("GPIO27", .name("GPIO27")),
        ("\"-1\"", .name("-1")), ("\"${env:LINE}\"", .offset(27)),
    ])
    func lines(_ written: String, _ line: LineReference.Line) {
        for kind in ["sensors", "actuators"] {
            let (settings, problems) = decode(
                "node: a\nkafka: { all: { bootstrap.servers: b } }\n\(kind): [{ id: a, driver: gpio, line: \(written) }]",
                environment: ["LINE": "27"])
            #expect(problems == [])
            let reference = LineReference(chip: nil, line: line)
            var found = settings?.actuators.first?.claims.first?.reference
            if case .line(let claimed, _)? = settings?.sensors.first?.plan.claims.first { found = claimed }
            #expect(found == reference, "\(kind)")
        }
    }

    @Test(arguments: [
        "sensors: [{ id: a, driver: gpio, chip: \"\", line: 1 }]", "sensors: [{ id: a, driver: sysfs, path: \"\" }]",
        "sensors: [{ id: a, driver: sysfs, path: /x, key: \"\" }]",
        "sensors: [{ id: a, driver: sim, waveform: replay, path: \"\", key: k }]",
        "sensors: [{ id: a, driver: sim, waveform: replay, path: /x, key: \"\" }]",
        "sensors: [{ id: a, driver: sim, waveform: replay, path: /x, column: \"\" }]",
        "sensors: [{ id: a, driver: sim, unit: \"\" }]", "sensors: [{ id: \"\", driver: sim }]",
        "sensors: [{ id: a, driver: bme280, bus: \"\" }]", "actuators: [{ id: \"\", driver: sim }]",
        "actuators: [{ id: a, driver: gpio, chip: \"\", line: 1 }]",
        "actuators: [{ id: a, driver: pwm, chip: \"\", channel: 1 }]",
        "actuators: [{ id: a, driver: mcp23017, bus: \"\", line: 1 }]",
        "actuators: [{ id: a, driver: pca9685, bus: \"\", channel: 1 }]",
        "actuators: [{ id: a, driver: mcp4725, bus: \"\" }]", "commands: { path: \"\" }",
        "commands: { key_file: \"\" }",
        "outbox: { path: \"\" }", "heartbeat: { chip: \"\", line: 1 }",
    ])
    func anEmptyText(_ line: String) {
        let problems = problems(line)
        #expect(problems.count == 1, "\(problems)")
    }

    @Test(arguments: [
        "{ i: { path: \"\" } }", "{ i: { path: /x, recovery: { chip: \"\", scl: 1, sda: 2 } } }",
        "{ \"\": { path: /x } }",
    ])
    func anEmptyTextOfABus(_ buses: String) {
        let problems = decode("node: a\nkafka: { all: { bootstrap.servers: b } }\nbuses: \(buses)").problems
        #expect(problems.count == 1, "\(problems)")
    }

    // MARK: Unknown keys beside an unknown driver

    @Test func whatNoDriverKnowsIsToldBesideAWrongDriver() {
        #expect(
            problems("sensors: [{ id: a, driver: simm, amplitude: 1, line: 4, evry: 5s, oops: 3 }]").map {
                $0.split(separator: ",")[0]
            }
                == [
                    "kedge.yaml:4:28: sensors[0].driver is \"simm\"",
                    "kedge.yaml:4:34: sensors[0].amplitude is no known key",
                    "kedge.yaml:4:57: sensors[0].evry is no known key",
                    "kedge.yaml:4:67: sensors[0].oops is no known key",
                ])
        #expect(
            problems("actuators: [{ id: a, driver: simm, line: 4, eeprom: true, pulse_max: 1ms, oops: 3 }]").map {
                $0.split(separator: ",")[0]
            } == [
                "kedge.yaml:4:30: actuators[0].driver is \"simm\"",
                "kedge.yaml:4:75: actuators[0].oops is no known key",
            ])
        // All that some driver knows is silent, and so is what is wrong with it.
        #expect(
            problems("sensors: [{ id: a, driver: x, bus: i2c-1, address: 5, line: -1, path: '', every: 5s }]").count
                == 1)
        #expect(problems("actuators: [{ id: a, driver: x, bus: i2c-1, address: 5, channel: 99, chip: c }]").count == 1)
    }

    /// Which keys are right depends on the waveform: a wrong one is the only mistake.
    @Test func whatNoWaveformKnowsIsToldBesideAWrongOne() {
        for driver in ["sim", "simm"] {
            let problems = problems(
                "sensors: [{ id: a, driver: \(driver), waveform: sinus, amplitude: 1, phase: 0.5, unit: x, oops: 3 }]")
            #expect(problems.count == 2, "\(problems)")
            #expect(problems.last?.contains("sensors[0].oops is no known key") == true, "\(problems)")
        }
    }

    @Test func whatNoDriverKnowsIsToldBesideAMissingDriver() {
        #expect(problems("sensors: [{ id: a, line: 4, oops: 3 }]").count == 2)
        #expect(problems("actuators: [{ id: a, line: 4, oops: 3 }]").count == 2)
        #expect(problems("sensors: [just text]").count == 1)
        #expect(problems("actuators: [just text]").count == 1)
    }

    @Test func aSenderOfAnActuatorThatIsNotThere() {
        let senders = "commands: { senders: { app: { actuators: { lmap: {} } } } }"
        let found = problems("actuators: [{ id: lamp, driver: sim }]", senders)
        #expect(found.count == 2)
        #expect(
            found.contains(
                "kedge.yaml:5:44: commands.senders.app.actuators.lmap is the id of no actuator, did you mean lamp?"),
            "\(found)")
        // Where the actuator is the mistake, the sender is none.
        #expect(problems("actuators: [{ id: lmap, driver: no }]", senders).count == 2)
        #expect(problems("actuators: [{ id: lmap, driver: sim }]", senders).count == 1)
    }

    // MARK: One mistake, one line

    @Test(arguments: [
        "node: ${env:NO}\nkafka: { all: { bootstrap.servers: b } }",
        "node: a\nkafka: { all: { bootstrap.servers: \"${file:/absent}\" } }",
        "node: a\nkafka: { all: { bootstrap.servers: [b, \"${file:/absent}\"] } }",
        "node: a\nkafka: { all: { bootstrap.servers: b }, producer: { linger.ms: \"${file:/absent}\" } }",
        "node: a\nkafka: { all: { bootstrap.servers: b }, producer: { buffer.memory: \"${file:/absent}\" } }",
        "node: a\nkafka: ${env:NO}",
    ])
    func aSubstitutionThatFailedIsOneMistake(_ text: String) {
        let problems = decode(text).problems
        #expect(problems.count == 1, "\(problems)")
    }

    @Test(arguments: [
        "buses: { i: { path: \"${env:NO}\" } }", "sensors: [\"${env:NO}\"]", "actuators: [\"${env:NO}\"]",
        "sensors: [{ id: a, driver: \"${env:NO}\" }]", "actuators: [{ id: a, driver: \"${env:NO}\" }]",
        "sensors: [{ id: a, driver: gpio, line: \"${env:NO}\" }]",
        "sensors: [{ id: a, driver: sim, waveform: replay, path: /x, key: \"${env:NO}\" }]",
        "sensors: [{ id: a, driver: sim, waveform: random-walk, max: 5, min: \"${env:NO}\", start: -3 }]",
        "sensors: [{ id: a, driver: sim, waveform: random-walk, max: \"${env:NO}\", min: 2, start: 3 }]",
        "sensors: [{ id: a, driver: sim, filters: [\"${env:NO}\"] }]",
        "sensors: [{ id: a, driver: sim, filters: [{ median: \"${env:NO}\" }] }]",
        "sensors: [{ id: a, driver: sim, filters: [{ deadband: \"${env:NO}\" }] }]",
        "sensors: [{ id: a, driver: sim, filters: [{ clamp: { min: \"${env:NO}\" } }] }]",
        "actuators: [{ id: a, driver: sim, min: \"${env:NO}\", max: -5, safe: -6 }]",
        "actuators: [{ id: a, driver: sim, interlock: \"${env:NO}\", dead_time: 1s }]",
        "actuators: [{ id: a, driver: sim, interlock: [\"${env:NO}\"], dead_time: 1s }]",
        "commands: { topics: \"${env:NO}\" }", "commands: { key_file: \"${env:NO}\" }",
        "outbox: { path: \"${env:NO}\" }",
        "heartbeat: { line: \"${env:NO}\" }",
    ])
    func nothingFollowsFromASubstitutionThatFailed(_ line: String) {
        let problems = decode("node: a\nkafka: { all: { bootstrap.servers: b } }\n\(line)").problems
        #expect(problems.count == 1, "\(problems)")
        #expect(problems.first?.contains("environment variable NO is not set") == true, "\(problems)")
    }

    // MARK: Words

    @Test(arguments: [
        (
            "sensors: [{ id: a, driver: bme280, bus: i2c-1, address: 76 }]",
            "an address from 0x76 to 0x77; did you mean 0x76?"
        ),
        ("sensors: [{ id: a, driver: bme280, bus: i2c-1, address: 1 }]", "an address from 0x76 to 0x77"),
        (
            "actuators: [{ id: a, driver: pcf8574, bus: i2c-1, address: 20, line: 1 }]",
            "0x20 to 0x3f; did you mean 0x20?"
        ),
        ("actuators: [{ id: a, driver: mcp4725, bus: i2c-1, address: 60 }]", "0x60 to 0x67; did you mean 0x60?"),
        (
            "actuators: [{ id: a, driver: pca9685, bus: i2c-1, address: 41, channel: 1 }]",
            "0x40 to 0x7f; did you mean 0x41?"
        ),
        (
            "sensors: [{ id: a, driver: sim, filters: [{ deadband: -1 }] }]",
            "is \"-1\", expected a number of more than 0"
        ),
    ])
    func numbersAreShownAsPeopleWriteThem(_ line: String, _ ending: String) {
        let problems = problems(line)
        #expect(problems.count == 1, "\(problems)")
        #expect(problems.first?.hasSuffix(ending) == true, "\(problems)")
    }

    @Test(arguments: [
        ("htt: 1", "http"), ("commands: { rate_limt: 1 }", "rate_limit"), ("commands: { lnk_loss: 1 }", "link_loss"),
        ("commands: { clok: 1 }", "clock"), ("actuators: [{ id: a, driver: sim, link_los: 1 }]", "link_loss"),
        ("actuators: [{ id: a, driver: sim, priorty: 1 }]", "priority"),
    ])
    func noSuggestionIsRefusedAfterwards(_ line: String, _ refused: String) {
        let problems = problems(line)
        #expect(problems.count == 1, "\(problems)")
        #expect(problems.first?.contains("is no known key") == true, "\(problems)")
        #expect(problems.first?.contains(refused) == false, "\(problems)")
    }

    @Test func noPropertyOfJavaPointsToWhatIsNotThere() {
        let problems = decode("node: a\nkafka: { all: { bootstrap.servers: b, metric.reporters: c } }").problems
        #expect(
            problems
                == ["kedge.yaml:2:57: metric.reporters cannot be set: remove it: there are no Java classes here"])
    }
}
