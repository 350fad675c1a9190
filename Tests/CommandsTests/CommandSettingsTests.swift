import Actuators
import Commands
import Configuration
import Platform
import TestSupport
import Testing

@Suite struct CommandSettingsTests {
    private let names = TopicNames(node: "pi-01", layer: "greenhouse")

    private func decode(_ pairs: KeyValuePairs<String, Node>) -> (CommandSettings, [String]) {
        let diagnostics = Diagnostics(file: "k.yaml")
        let reader = Reader(mapping(pairs), path: "commands", diagnostics: diagnostics)
        return (CommandSettings.decode(reader, names), diagnostics.lines)
    }

    @Test func theStandard() {
        let settings = CommandSettings(names: names)
        #expect(settings.topics == ["commands", "commands.greenhouse", "commands.pi-01"])
        #expect(
            CommandSettings(names: TopicNames(node: "pi-01", layer: nil)).topics == ["commands", "commands.pi-01"])
        #expect(settings.replies == "replies")
        #expect(settings.maxAge == .seconds(30))
        #expect(settings.maximumSize == 65_536)
        #expect(!settings.isExplicit)
    }

    /// librdkafka refuses a subscription that names a topic twice: no command ever arrived.
    @Test func aLayerMayHaveTheNodesName() {
        let settings = CommandSettings(names: TopicNames(node: "greenhouse", layer: "greenhouse"))
        #expect(settings.topics == ["commands", "commands.greenhouse"])
    }

    @Test func allKeys() {
        let (settings, problems) = decode([
            "topics": ["c", "c.{node}", "{layer}.c"], "replies": "r.{node}", "max_age": "5s", "max_size": "1KiB",
            "remember": "2000", "path": "/x/commands.db", "state": "states.{node}",
            "on_disconnect": mapping(["after": "5s", "do": "safe"]),
        ])
        #expect(problems == [])
        #expect(
            settings
                == CommandSettings(
                    topics: ["c", "c.pi-01", "greenhouse.c"], replies: "r.pi-01", maxAge: .seconds(5),
                    maximumSize: 1_024, remember: 2_000, path: "/x/commands.db", state: "states.pi-01",
                    onDisconnect: .safe(after: .seconds(5)), isExplicit: true))
    }

    @Test func nothing() {
        let (settings, problems) = decode([:])
        var standard = CommandSettings(names: names)
        standard.isExplicit = true
        #expect(problems == [])
        #expect(settings == standard)
    }

    @Test(arguments: [
        (
            "replies", "commands",
            "1:9: commands.replies is \"commands\", which is a topic of commands, too, expected a topic of its own"
        ),
        // Only what the node's name makes of it is one of them.
        (
            "replies", "commands.{node}",
            "commands.replies is \"commands.pi-01\", which is a topic of commands, too, expected a topic of its own"
        ),
        ("topics", "^c.*", "commands.topics is \"^c.*\""),
        ("topics", "c.{nod}", "no other placeholders than {node} and {layer}"),
        ("max_age", "0s", "commands.max_age is \"0s\""),
        ("key_file", "/absent", "commands.key_file: open /absent: No such file or directory (errno 2)"),
        ("rate_limit", "1", "commands.rate_limit is not in this version: leave it out"),
        ("remember", "10", "commands.remember is \"10\""),
        ("state", "commands", "commands.state is \"commands\", which is a topic of commands, too"),
        ("on_disconnect", "safe", "commands.on_disconnect is \"safe\""),
        ("topcis", "c", "commands.topcis is no known key"),
    ]) func problems(key: String, value: String, problem: String) {
        let (_, problems) = decode([key: scalar(value)])
        #expect(problems.count == 1, "\(problems)")
        #expect(problems.first?.contains(problem) == true, "\(problems)")
    }

    @Test func withoutABroker() {
        #expect(decode(["on_disconnect": mapping(["do": "hold"])]).0.onDisconnect == .hold)
        #expect(decode([:]).0.onDisconnect == .safe(after: .seconds(60)))
        let (_, problems) = decode(["on_disconnect": mapping(["do": "hold", "after": "5s"])])
        #expect(problems.count == 1)
        #expect(problems.first?.contains("on_disconnect.after stands beside do: hold") == true, "\(problems)")
    }

    @Test func aLayerThatIsNotThere() {
        let diagnostics = Diagnostics(file: "k.yaml")
        let reader = Reader(mapping(["topics": "c.{layer}"]), path: "commands", diagnostics: diagnostics)
        _ = CommandSettings.decode(reader, TopicNames(node: "pi-01", layer: nil))
        #expect(
            diagnostics.lines == [
                "k.yaml:1:9: commands.topics is \"c.{layer}\", expected no {layer}, as the configuration has no layer"
            ])
    }

    @Test func aListWithoutTopics() {
        let (settings, problems) = decode(["topics": []])
        #expect(problems == ["k.yaml:1:9: commands.topics is empty, expected at least one topic"])
        #expect(settings.topics == CommandSettings(names: names).topics)
    }
}
