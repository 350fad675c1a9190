import Configuration
import Outbox
import Testing

private func mapping(_ pairs: [(String, String)]) -> Node {
    func scalar(_ text: String, _ line: Int) -> Node.Scalar {
        Node.Scalar(text: text, mark: Mark(line: line, column: 1), isQuoted: false, isSecret: false)
    }
    return .mapping(
        pairs.enumerated().map { Node.Entry(key: scalar($1.0, $0 + 1), value: .scalar(scalar($1.1, $0 + 1))) },
        Mark(line: 1, column: 1))
}

private let isReaderReady = Reader(mapping([("a", "b")]), path: "", diagnostics: Diagnostics(file: "")).has("a")

@Suite(.enabled(if: isReaderReady)) struct SettingsTests {
    private func decode(_ pairs: (String, String)...) -> (settings: OutboxSettings, problems: [String]) {
        let diagnostics = Diagnostics(file: "kedge.yaml")
        let settings = OutboxSettings.decode(Reader(mapping(pairs), path: "outbox", diagnostics: diagnostics))
        return (settings, diagnostics.lines)
    }

    @Test func readsWhatThereIs() {
        let (settings, problems) = decode(
            ("durability", "memory"), ("max_memory", "8MB"), ("when_full", "drop-newest"))
        #expect(settings == OutboxSettings(maxMemory: 8_000_000, whenFull: .dropNewest))
        #expect(problems == [])
        #expect(decode().settings == OutboxSettings(maxMemory: 4_000_000, whenFull: .dropOldest))
    }

    @Test(arguments: [
        ("durability", "spill"), ("durability", "always"), ("path", "/x"), ("max_size", "256MB"), ("spill_after", "2s"),
    ])
    func theDiskOutboxIsRefusedInClearWords(_ key: String, _ value: String) {
        let (_, problems) = decode(("when_full", "drop-oldest"), (key, value))
        #expect(
            problems == ["kedge.yaml:2:1: outbox.\(key): the disk outbox is not in this version: durability: memory"])
    }

    @Test(arguments: [("max_memory", "1kB"), ("max_memory", "1GB"), ("when_full", "block"), ("durabilty", "memory")])
    func whatIsWrongIsReported(_ key: String, _ value: String) {
        let (settings, problems) = decode((key, value))
        #expect(settings == OutboxSettings())
        #expect(problems.count == 1)
    }
}
