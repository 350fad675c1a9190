import Agent
import Testing

/// Names and hardware that two parts of a configuration want.
@Suite struct ClaimTests {
    private func problems(_ lines: String...) -> [String] {
        decode(
            "node: a\nkafka: { all: { bootstrap.servers: b } }\nbuses: { x: { path: /x }, y: { path: /y } }\n"
                + lines.joined(separator: "\n")
        ).problems
    }

    @Test func sensorsOfOneName() {
        #expect(
            problems("sensors:", "- { id: a, driver: sim }", "- { id: a, driver: sim }")
                == ["kedge.yaml:6:9: the name \"a\" is taken by the sensor at line 5"])
        #expect(
            problems("sensors:", "- { id: r, driver: gpio-counter, line: 1 }", "- { id: r.total, driver: sim }")
                == ["kedge.yaml:6:9: the name \"r.total\" is taken by the sensor at line 5"])
    }

    @Test func actuatorsOfOneName() {
        #expect(
            problems("actuators:", "- { id: a, driver: sim }", "- { id: a, driver: sim }")
                == ["kedge.yaml:6:9: actuators[1].id: \"a\" is the id of the actuator on line 5 already"])
        // A sensor that shows what an actuator does may have its name.
        #expect(problems("sensors: [{ id: a, driver: sim }]", "actuators: [{ id: a, driver: sim }]") == [])
    }

    @Test func aLineOfTwoSensors() {
        #expect(
            problems("sensors:", "- { id: a, driver: gpio, line: 4 }", "- { id: b, driver: gpio-counter, line: 4 }")
                == ["kedge.yaml:6:40: sensor b: GPIO gpiochip0 4 is used by sensor a already"])
    }

    @Test func aLineOfASensorAndAnActuator() {
        #expect(
            problems(
                "actuators: [{ id: p, driver: gpio, line: 4 }]", "sensors: [{ id: a, driver: gpio, line: 4 }]")
                == ["kedge.yaml:4:42: actuator p: GPIO gpiochip0 4 is used by sensor a already"])
    }

    @Test func aLineOfTwoActuators() {
        #expect(
            problems(
                "actuators:", "- { id: p, driver: gpio, chip: c, line: 4 }",
                "- { id: q, driver: gpio, chip: c, line: 4 }")
                == ["kedge.yaml:6:41: actuator q: GPIO c 4 is used by actuator p already"])
    }

    @Test func aLineByItsName() {
        #expect(
            problems(
                "sensors: [{ id: a, driver: gpio, line: GPIO4 }]", "actuators: [{ id: p, driver: gpio, line: GPIO4 }]")
                == ["kedge.yaml:5:42: actuator p: GPIO GPIO4 is used by sensor a already"])
    }

    /// An offset without a chip is one of the first chip.
    @Test func aLineOfTheFirstChip() {
        #expect(
            problems(
                "sensors:", "- { id: a, driver: gpio, line: 4 }", "- { id: b, driver: gpio, chip: gpiochip0, line: 4 }")
                == ["kedge.yaml:6:49: sensor b: GPIO gpiochip0 4 is used by sensor a already"])
    }

    /// A chip has a name and a path.
    @Test(arguments: [
        ("gpiochip1", "/dev/gpiochip1"), ("/dev/gpiochip1", "gpiochip1"), ("gpiochip1", "/dev/./gpiochip1"),
        ("/dev//gpiochip1", "/dev/../dev/gpiochip1"),
    ])
    func aLineOfOneChipInTwoWords(_ first: String, _ second: String) {
        let found = problems(
            "sensors: [{ id: a, driver: gpio, chip: \(first), line: 4 }]",
            "actuators: [{ id: p, driver: gpio, chip: \(second), line: 4 }]")
        #expect(found.count == 1, "\(found)")
        #expect(found.first?.hasSuffix("actuator p: GPIO \(second) 4 is used by sensor a already") == true, "\(found)")
        #expect(
            problems(
                "sensors: [{ id: a, driver: gpio, line: 4 }]", "heartbeat: { chip: /dev/gpiochip0, line: 4 }"
            ).count == 1)
        #expect(
            problems(
                "sensors: [{ id: a, driver: gpio, line: 4 }]", "heartbeat: { chip: /dev/gpiochip1, line: 4 }") == [])
    }

    @Test(arguments: ["/dev/../dev/i2c-1", "//dev/i2c-1", "/dev/./i2c-1", "/dev/i2c-1/"])
    func aBusInTwoWords(_ path: String) {
        #expect(
            decode(
                "node: a\nkafka: { all: { bootstrap.servers: b } }\nbuses:\n  x: { path: /dev/i2c-1 }\n  y: { path: \(path) }"
            ).problems == ["kedge.yaml:5:14: buses.y: \(path) is x already"])
    }

    @Test func aPWMChannelInTwoWords() {
        #expect(
            problems(
                "actuators:", "- { id: p, driver: pwm, chip: pwmchip0, channel: 1 }",
                "- { id: q, driver: pwm, chip: /sys/class/pwm//pwmchip0, channel: 1 }"
            ).count == 1)
    }

    @Test func linesOfTwoChips() {
        #expect(
            problems(
                "sensors:", "- { id: a, driver: gpio, chip: c, line: 4 }",
                "- { id: b, driver: gpio, chip: d, line: 4 }",
                "- { id: c, driver: gpio, chip: c, line: 5 }") == [])
    }

    @Test func anAddressOfTwoSensors() {
        // 0x76 is the default.
        #expect(
            problems(
                "sensors:", "- { id: a, driver: bme280, bus: x }", "- { id: b, driver: bmp280, bus: x, address: 0x76 }")
                == ["kedge.yaml:6:45: sensor b: address 0x76 on x is used by sensor a already"])
        #expect(
            problems(
                "sensors:", "- { id: a, driver: bme280, bus: x }", "- { id: b, driver: bmp280, bus: y }",
                "- { id: c, driver: bmp280, bus: x, address: 0x77 }") == [])
    }

    @Test func aBusThatIsNotThere() {
        #expect(
            problems("sensors: [{ id: a, driver: bme280, bus: z }]")
                == ["kedge.yaml:4:41: sensor a: bus \"z\" is not under buses, expected one of x, y"])
        #expect(
            decode(
                "node: a\nkafka: { all: { bootstrap.servers: b } }\nsensors: [{ id: a, driver: bme280, bus: i2c-1 }]"
            ).problems == [
                "kedge.yaml:3:41: sensor a: bus \"i2c-1\" is not under buses, expected buses: { i2c-1: { path: /dev/i2c-1 } }"
            ])
    }

    @Test func twoBusesOfOnePath() {
        #expect(
            decode(
                "node: a\nkafka: { all: { bootstrap.servers: b } }\nbuses:\n  x: { path: /dev/i2c-1 }\n"
                    + "  y: { path: /dev/i2c-1 }\n  z: { simulated: true }\n  s: { simulated: true }"
            ).problems == ["kedge.yaml:5:14: buses.y: /dev/i2c-1 is x already"])
    }

    @Test func repliesAreNoCommands() {
        #expect(
            problems("commands: { topics: [c.a], replies: \"c.{node}\" }") == [
                "kedge.yaml:4:37: commands.replies is \"c.a\", which is a topic of commands, too, expected a topic of its own"
            ])
    }
}
