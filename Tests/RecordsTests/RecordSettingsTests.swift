import Configuration
import Records
import TestSupport
import Testing

@Suite struct RecordSettingsTests {
    private func decode(_ pairs: KeyValuePairs<String, Node>) -> (settings: RecordSettings, problems: [String]) {
        let diagnostics = Diagnostics(file: "kedge.yaml")
        let settings = RecordSettings.decode(
            Reader(mapping(pairs), path: "records", diagnostics: diagnostics),
            TopicNames(node: "pi-01", layer: "greenhouse"))
        return (settings, diagnostics.lines)
    }

    @Test func readsWhatThereIs() {
        let (settings, problems) = decode(["topic": "site.{layer}", "timestamp": "rfc3339", "unit": "true"])
        #expect(settings == RecordSettings(topic: "site.greenhouse", timestamp: .rfc3339, showsUnit: true))
        #expect(problems == [])
        #expect(decode(["timestamp": "millis"]).settings.timestamp == .millis)
        #expect(decode(["timestamp": "seconds"]).settings.timestamp == .seconds)
        #expect(decode([:]).settings == RecordSettings())
    }

    @Test(arguments: [("topic", ""), ("timestamp", "iso"), ("unit", "sometimes"), ("topics", "x")])
    func whatIsWrongIsReported(_ key: String, _ value: String) {
        let (settings, problems) = decode([key: scalar(value)])
        #expect(settings == RecordSettings())
        #expect(problems.count == 1)
    }
}
