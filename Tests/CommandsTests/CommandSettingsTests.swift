import Commands
import Configuration
import Platform
import Testing

private func plain(_ text: String) -> Node.Scalar {
    Node.Scalar(text: text, mark: Mark(line: 2, column: 3), isQuoted: false, isSecret: false)
}

private func mapping(_ pairs: [(String, Node)]) -> Node {
    .mapping(pairs.map { Node.Entry(key: plain($0.0), value: $0.1) }, Mark(line: 1, column: 1))
}

/// Whether `Reader` reads: until it does, there is nothing to decode with.
private let readerReads = Reader(
    mapping([("a", .scalar(plain("b")))]), path: "", diagnostics: Diagnostics(file: "t")
).has("a")

@Suite struct StandardCommandSettingsTests {
    @Test func topics() {
        #expect(
            CommandSettings.standard(hasLayer: true).topics.map { $0.text }
                == ["commands", "commands.{layer}", "commands.{node}"])
        #expect(CommandSettings.standard(hasLayer: false).topics.map { $0.text } == ["commands", "commands.{node}"])
        #expect(CommandSettings.standard(hasLayer: false).replies.text == "replies")
        #expect(CommandSettings.standard(hasLayer: false).maxAge == .seconds(30))
        #expect(CommandSettings.standard(hasLayer: false).maximumSize == 65_536)
    }
}

@Suite(.enabled(if: readerReads)) struct CommandSettingsTests {
    private func decode(_ pairs: [(String, Node)]) -> (CommandSettings, [String]) {
        let diagnostics = Diagnostics(file: "k.yaml")
        let reader = Reader(mapping(pairs), path: "commands", diagnostics: diagnostics)
        return (CommandSettings.decode(reader, hasLayer: true), diagnostics.lines)
    }

    @Test func allKeys() {
        let list = Node.sequence([.scalar(plain("c")), .scalar(plain("c.{node}"))], Mark(line: 2, column: 3))
        let (settings, problems) = decode([
            ("topics", list), ("replies", .scalar(plain("r"))), ("max_age", .scalar(plain("5s"))),
            ("max_size", .scalar(plain("1KiB"))),
        ])
        #expect(problems == [])
        #expect(settings.topics.map { $0.text } == ["c", "c.{node}"])
        #expect(settings.topics.first?.mark == Mark(line: 2, column: 3))
        #expect(settings.replies.text == "r")
        #expect(settings.maxAge == .seconds(5))
        #expect(settings.maximumSize == 1_024)
    }

    @Test func nothing() {
        let (settings, problems) = decode([])
        #expect(problems == [])
        #expect(settings == .standard(hasLayer: true, mark: Mark(line: 1, column: 1)))
    }

    @Test(arguments: [
        (
            "replies", "commands",
            "commands.replies: \"commands\" is a topic of commands, too, expected a topic of its own"
        ),
        ("topics", "^c.*", "commands: this is no topic, expected the name of a topic"),
        ("max_age", "0s", "commands.max_age is \"0s\""),
        ("key_file", "k", "commands.key_file: not in this version"),
        ("rate_limit", "1", "commands.rate_limit: not in this version"),
        ("topcis", "c", "commands.topcis is no known key"),
    ]) func problems(key: String, value: String, problem: String) {
        let (_, problems) = decode([(key, .scalar(plain(value)))])
        #expect(problems.count == 1, "\(problems)")
        #expect(problems.first?.contains(problem) == true, "\(problems)")
    }
}
