import Configuration
import Outbox
import TestSupport
import Testing

@Suite struct SettingsTests {
    private func decode(_ pairs: KeyValuePairs<String, Node>) -> (settings: OutboxSettings, problems: [String]) {
        let diagnostics = Diagnostics(file: "kedge.yaml")
        let settings = OutboxSettings.decode(Reader(mapping(pairs), path: "outbox", diagnostics: diagnostics))
        return (settings, diagnostics.lines)
    }

    @Test func readsWhatThereIs() {
        let (settings, problems) = decode(
            ["durability": "memory", "max_memory": "8MB", "when_full": "drop-newest"])
        #expect(settings == OutboxSettings(maxMemory: 8_000_000, whenFull: .dropNewest))
        #expect(problems == [])
        #expect(decode([:]).settings == OutboxSettings(maxMemory: 4_000_000, whenFull: .dropOldest))
    }

    @Test(arguments: [
        ("durability", "spill"), ("durability", "always"), ("path", "/x"), ("max_size", "256MB"), ("spill_after", "2s"),
    ])
    func theDiskOutboxIsRefusedInClearWords(_ key: String, _ value: String) {
        let (_, problems) = decode(["when_full": "drop-oldest", key: scalar(value)])
        #expect(
            problems == ["kedge.yaml:2:9: outbox.\(key): the disk outbox is not in this version: durability: memory"])
    }

    @Test(arguments: [("max_memory", "1kB"), ("max_memory", "1GB"), ("when_full", "block"), ("durabilty", "memory")])
    func whatIsWrongIsReported(_ key: String, _ value: String) {
        let (settings, problems) = decode([key: scalar(value)])
        #expect(settings == OutboxSettings())
        #expect(problems.count == 1)
    }
}
