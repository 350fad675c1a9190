import Configuration
import Outbox
import Platform
import TestSupport
import Testing

@Suite struct SettingsTests {
    private func decode(_ pairs: KeyValuePairs<String, Node>) -> (settings: OutboxSettings, problems: [String]) {
        let diagnostics = Diagnostics(file: "kedge.yaml")
        let settings = OutboxSettings.decode(Reader(mapping(pairs), path: "outbox", diagnostics: diagnostics))
        return (settings, diagnostics.lines)
    }

    @Test func readsWhatThereIs() {
        let (settings, problems) = decode([
            "durability": "always", "path": "/x/y.db", "max_memory": "8MB", "max_size": "1GB", "spill_after": "5s",
            "commit_every": "1s", "when_full": "thin", "drain": "newest-first", "drain_rate": "100",
        ])
        var expected = OutboxSettings(maxMemory: 8_000_000, whenFull: .thin, durability: .always, path: "/x/y.db")
        expected.maxSize = 1_000_000_000
        expected.spillAfter = .seconds(5)
        expected.commitEvery = .seconds(1)
        expected.drain = .newestFirst
        expected.drainRate = 100
        #expect(settings == expected)
        #expect(problems == [])
        #expect(decode([:]).settings == OutboxSettings(durability: .spill))
    }

    @Test func thinningIsForTheDisk() {
        let problems = decode(["durability": "memory", "when_full": "thin"]).problems
        #expect(
            problems == [
                "kedge.yaml:2:9: outbox.when_full is thin, which is for the disk, expected durability: spill or always"
            ])
    }

    @Test(arguments: [
        ("max_memory", "1kB"), ("max_memory", "1GB"), ("when_full", "block"), ("durabilty", "memory"), ("path", ""),
        ("max_size", "1kB"), ("drain_rate", "-1"), ("drain", "random"), ("spill_after", "0s"),
        ("commit_every", "never"),
    ])
    func whatIsWrongIsReported(_ key: String, _ value: String) {
        let (settings, problems) = decode([key: scalar(value)])
        #expect(settings.maxMemory == OutboxSettings().maxMemory)
        #expect(problems.count == 1)
    }
}
