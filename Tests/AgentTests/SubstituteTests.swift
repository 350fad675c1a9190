import Testing

/// One mistake hides no other, and nothing follows from the value that was taken in its place.
@Suite struct SubstituteTests {
    private func problems(_ rest: String, _ buses: String = "{ x: { path: /x } }") -> [String] {
        decode("node: a\nkafka: { all: { bootstrap.servers: b } }\nbuses: \(buses)\n" + rest).problems
    }

    @Test(arguments: [
        ("sensors: [{ id: a, driver: sim, waveform: sinus, error_rate: 2, stall: 5 }]", 3),
        ("sensors: [{ id: a, driver: sim, waveform: sinus, filters: [{ median: 0 }], channels: 4 }]", 3),
        ("sensors: [{ id: a, driver: sim, waveform: replay, column: a, key: b }]", 2),
        (
            "sensors: [{ id: a, driver: bme280, durability: never, filters: [{ median: 0 }], "
                + "channels: { pressure: { enabled: 5, topic: '?', filters: [{ round: 99 }] } } }]", 6
        ),
        ("sensors: [{ id: a, driver: bme820, filters: [{ median: 0 }], channels: { x: { filters: [a] } } }]", 3),
        ("sensors: [{ id: a, driver: bme280, bus: x, filters: [{ deadband: -1 }, { medain: 5 }] }]", 2),
        ("actuators: [{ id: '', driver: gpio }]", 2),
        ("actuators: [{ id: p, driver: gpio }, { id: p, driver: gpio }]", 3),
        ("actuators: [{ id: p, driver: gpio, interlock: [q] }]", 2),
    ])
    func allMistakesAtOnce(_ text: String, _ count: Int) {
        let problems = problems(text)
        #expect(problems.count == count, "\(problems)")
    }

    @Test(arguments: [
        "records: { topic: \"sen sors\" }\ncommands: { topics: [sensors] }\nsensors: [{ id: a, driver: sim }]",
        "commands: { topics: [sensors] }\nsensors: [{ id: a, driver: sim, topic: \"sen sors\" }]",
        "commands: { topics: [\"com mands\"], replies: commands }",
        "commands: { topics: { a: b }, replies: commands }",
        "commands: { topics: [\"com mands\"] }\nrecords: { topic: commands }",
        "commands: { topics: [replies, actuators], replies: \"re plies\", state: state }",
        "commands: { topics: [replies, actuators], replies: r, state: \"sta te\" }",
        "layer: \"green house\"\ncommands: { topics: [\"c.{layer}\"] }",
        "sensors:\n- { id: a, driver: bme280, bus: x, address: 0x78 }\n"
            + "- { id: b, driver: bme280, bus: x, address: 0x76 }",
        "actuators:\n- { id: a, driver: mcp4725, bus: x, address: 0x78 }\n- { id: b, driver: mcp4725, bus: x }",
        "actuators:\n- { id: a, driver: pca9685, bus: x, address: 0x20, channel: 1 }\n"
            + "- { id: b, driver: pca9685, bus: x, channel: 1 }",
        "actuators:\n- { id: a, driver: pca9685, bus: x, frequency: 1, channel: 1 }\n"
            + "- { id: b, driver: pca9685, bus: x, frequency: 50, channel: 2 }",
        "actuators:\n- { id: a, driver: mcp23017, bus: x, address: 0x40, line: 1 }\n"
            + "- { id: b, driver: pcf8574, bus: x, line: 1 }",
        "actuators:\n- { id: a, driver: pwm, chip: \"\", channel: 1 }\n- { id: b, driver: pwm, channel: 1 }",
        "actuators: [{ id: a, driver: mcp4725, bus: x, output_min: 101, output_max: 0 }]",
        "actuators: [{ id: a, driver: servo, channel: 1, pulse_min: 1, pulse_max: 1ms }]",
        "actuators: [{ id: a, driver: sim, interlock: { b: c }, dead_time: 1s }]",
        "actuators: [{ id: a, driver: sim, interlock: [b] }, { id: b, driver: gpio }]",
    ])
    func nothingFollowsFromAMistake(_ text: String) {
        let problems = problems(text)
        #expect(problems.count == 1, "\(problems)")
    }

    @Test func nothingFollowsFromWrongBuses() {
        #expect(problems("sensors: [{ id: a, driver: bme280, bus: x }]", "5").count == 1)
        #expect(problems("", "{ x: { simulated: maybe } }").count == 1)
    }
}
