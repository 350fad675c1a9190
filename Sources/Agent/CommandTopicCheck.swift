import Commands
import Configuration
import Platform
import Records
import Sensors

/// Records on a topic that the node takes commands from: each would come back, be no command, and get a reply.
struct CommandTopicCheck {
    /// Of commands.
    let topics: [String]
    let diagnostics: Diagnostics

    /// Checks the topic of all records, and those of single sensors and channels.
    /// - Parameters:
    ///   - reader: of `records:`.
    ///   - commands: of `commands:`.
    func check(
        _ records: RecordSettings, _ reader: Reader?, _ sensors: [AgentSettings.SensorSettings], _ commands: Reader?
    ) {
        if contains(topics, records.topic), reader?.isRefused("topic") != true {
            let what = joined("\"", records.topic, "\"")
            if let reader, reader.has("topic") {
                reader.report(
                    "topic", joined("is ", what, ", which is a topic of commands, too"), expected: Self.expected)
            } else if sensors.contains(where: { Self.hasUsualTopic($0.plan) }) {
                // The records' is the default: what is written is the commands'.
                commands?.report(
                    "topics", joined("has ", what, ", which is records.topic, too"), expected: Self.expected)
            }
        }
        for sensor in sensors {
            let plan = sensor.plan
            report(plan.topic, joined("sensor ", plan.id), plan.topicMark ?? plan.mark)
            for channel in plan.channels {
                report(
                    channel.topic, joined("sensor ", plan.id, ".", channel.channel.name),
                    channel.topicMark ?? plan.mark)
            }
        }
    }

    /// Whether a channel's records go where the configuration has not sent them; a wrong topic was meant to.
    private static func hasUsualTopic(_ plan: SensorPlan) -> Bool {
        plan.topicMark == nil && plan.channels.contains { $0.topicMark == nil }
    }

    private func report(_ topic: String?, _ user: String, _ mark: Mark) {
        guard let topic, contains(topics, topic) else { return }
        diagnostics.report(
            mark, joined(user, ": topic is \"", topic, "\", which is a topic of commands, too"),
            expected: Self.expected)
    }

    private static var expected: String { "a topic of its own" }
}
