import Configuration
import Records
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

@Suite(.enabled(if: isReaderReady)) struct RecordSettingsTests {
    private func decode(_ pairs: (String, String)...) -> (settings: RecordSettings, problems: [String]) {
        let diagnostics = Diagnostics(file: "kedge.yaml")
        let settings = RecordSettings.decode(
            Reader(mapping(pairs), path: "records", diagnostics: diagnostics),
            TopicNames(node: "pi-01", layer: "greenhouse"))
        return (settings, diagnostics.lines)
    }

    @Test func readsWhatThereIs() {
        let (settings, problems) = decode(("topic", "site.{layer}"), ("timestamp", "rfc3339"), ("unit", "true"))
        #expect(settings == RecordSettings(topic: "site.{layer}", timestamp: .rfc3339, showsUnit: true))
        #expect(problems == [])
        #expect(decode(("timestamp", "millis")).settings.timestamp == .millis)
        #expect(decode(("timestamp", "seconds")).settings.timestamp == .seconds)
        #expect(decode().settings == RecordSettings())
    }

    @Test(arguments: [("topic", ""), ("timestamp", "iso"), ("unit", "sometimes"), ("topics", "x")])
    func whatIsWrongIsReported(_ key: String, _ value: String) {
        let (settings, problems) = decode((key, value))
        #expect(settings == RecordSettings())
        #expect(problems.count == 1)
    }
}
