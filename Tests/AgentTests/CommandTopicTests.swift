import Testing

/// Records on a topic that the node takes commands from would come back to it, each to be rejected.
@Suite struct CommandTopicTests {
    private func problems(_ rest: String) -> [String] {
        decode("node: a\nlayer: hall\nkafka: { all: { bootstrap.servers: b } }\n" + rest).problems
    }

    private let words = "which is a topic of commands, too, expected a topic of its own"

    @Test(arguments: ["commands", "commands.a", "commands.{node}", "commands.hall"])
    func theTopicOfRecords(_ topic: String) {
        let shown = topic == "commands.{node}" ? "commands.a" : topic
        #expect(
            problems("records: { topic: \"\(topic)\" }\nactuators: [{ id: pump, driver: sim }]")
                == ["kedge.yaml:4:19: records.topic is \"\(shown)\", \(words)"])
        #expect(
            problems("records: { topic: \"\(topic)\" }\ncommands: { max_age: 1m }")
                == ["kedge.yaml:4:19: records.topic is \"\(shown)\", \(words)"])
        // Nobody listens.
        #expect(problems("records: { topic: \"\(topic)\" }") == [])
        // It listens elsewhere.
        #expect(problems("records: { topic: \"\(topic)\" }\ncommands: { topics: orders }") == [])
    }

    @Test func theTopicsOfSensorsAndChannels() {
        #expect(
            problems(
                """
                commands: { topics: [orders] }
                sensors:
                  - { id: s, driver: sim, topic: orders }
                  - { id: b, driver: bme280, bus: i, address: 0x76, channels: { humidity: { topic: orders } } }
                  - { id: t, driver: sim, topic: commands }
                buses: { i: { simulated: true } }
                """) == [
                    "kedge.yaml:6:34: sensor s: topic is \"orders\", \(words)",
                    "kedge.yaml:7:84: sensor b.humidity: topic is \"orders\", \(words)",
                ])
    }

    @Test func theTopicThatRecordsHaveWhereNoneIsWritten() {
        let commands = "commands: { topics: [sensors] }\n"
        #expect(
            problems(commands + "sensors: [{ id: s, driver: sim }]") == [
                "kedge.yaml:4:21: commands.topics has \"sensors\", which is records.topic, too, expected a topic of its own"
            ])
        #expect(problems(commands + "sensors: [{ id: s, driver: sim, topic: elsewhere }]") == [])
    }
}
