import Foundation
import Platform
import Testing

@testable import Configuration

@Suite struct DocumentTests {
    @Test func theExampleIsReadWhole() throws {
        let (value, lines) = Source(example).read { top -> [String?] in
            var found: [String?] = [top.string("node"), top.string("layer")]
            for entry in top.mapping("kafka")?.mapping("all")?.entries() ?? [] {
                if case .scalar(let scalar) = entry.value { found.append(entry.key.text + "=" + scalar.text) }
            }
            let sensors = top.readers("sensors")
            found += sensors.map { $0.requiredName("id", .identifier) }
            let first = sensors.first
            found.append(first?.integer("address", in: 8...0x77).map { "\($0)" })
            found.append(first?.interval("every", in: .milliseconds(1) ... .seconds(86_400)).map { "\($0.seconds)" })
            let filters = first?.mapping("channels")?.mapping("temperature")?.readers("filters") ?? []
            found.append("\(filters.count)")
            found.append(filters.first?.path)
            found.append(top.mapping("outbox")?.size("max_size", in: 0 ... .max).map { "\($0)" })
            let names = TopicNames(node: "pi-01", layer: nil)
            found.append(top.mapping("commands")?.topics("topics", names)?.joined(separator: " "))
            return found
        }
        #expect(lines == [])
        #expect(
            value == [
                "pi-01", "greenhouse", "bootstrap.servers=127.0.0.1:9092", "greenhouse", "door", "rain", "cpu", "118",
                "5.0", "3", "sensors[0].channels.temperature.filters[0]", "256000000", "commands commands.pi-01",
            ])
    }

    /// What is wrong, and the line that says so.
    @Test(arguments: [
        ("", "1:1: the file is empty, expected a mapping, such as \"node: pi-01\""),
        ("# only a comment\n", "1:1: the file is empty, expected a mapping, such as \"node: pi-01\""),
        ("---\n", "1:1: the file is empty, expected a mapping, such as \"node: pi-01\""),
        ("a: 1\n---\nb: 2\n", "2:1: a second document begins here, expected one document in a file"),
        ("a: 1\nb: 2\na: 3\n", "3:1: the key \"a\" stands here a second time, expected one (the first is in line 1)"),
        ("? [x, y]\n: 1\n", "1:3: a list as a key, expected text"),
        ("? {x: y}\n: 1\n", "1:3: a mapping as a key, expected text"),
        ("a: &x b\n*x : 1\n", "2:1: an alias as a key, expected text"),
        ("\"\": 1\n", "1:1: a key without a name, expected text"),
        ("${env:A}: 1\n", "1:1: a ${ in a key, expected it only in values"),
        ("a: *nowhere\n", "1:4: the alias *nowhere, expected an anchor &nowhere before it"),
        ("a: &a [*a]\n", "1:8: the alias *a, expected an anchor &a before it"),
        ("<<: 5\n", "1:5: a value that << cannot merge, expected a mapping or a list of mappings"),
        ("<<: [5]\n", "1:6: a value that << cannot merge, expected a mapping"),
        ("a: \"x\\0y\"\n", "1:4: a NUL character in a text, expected none"),
        ("a:\n\tb: 1\n", "2:1: invalid YAML: a tab, expected spaces"),
        (
            "a: {b: 1\n",
            "2:1: invalid YAML while parsing a flow mapping that begins at line 1: did not find expected ',' or '}' "
                + "before the end of the file"
        ),
        ("a: b: c\n", "1:5: invalid YAML: mapping values are not allowed in this context"),
    ])
    func mistakesAreReportedAtTheirPlace(text: String, line: String) {
        #expect(Source(text).lines == ["kedge.yaml:" + line])
    }

    @Test(arguments: ["!secret foo", "!!str 5", "!!binary aGk=", "! x", "!foo [1]", "!foo {b: 1}"])
    func tagsAreRefused(value: String) {
        let (node, diagnostics) = Source("ok: 1\na: \(value)\n").parse()
        #expect(diagnostics.problems.count == 1)
        #expect(diagnostics.lines.first?.hasPrefix("kedge.yaml:2:4: the tag \"") == true)
        // The rest is read all the same, for its own mistakes.
        #expect(text(node, "ok") == "1")
    }

    @Test func invalidUTF8IsReportedAtItsPlace() throws {
        var source = Source("a: 1\nb: x\u{e4}")
        source.bytes += [0xff, 10]
        let lines = source.lines
        #expect(lines.count == 1)
        #expect(try #require(lines.first).hasPrefix("kedge.yaml:2:6: not UTF-8 text: "))
    }

    @Test func byteOrderMarkShiftsNothing() {
        #expect(Source("\u{feff}a: *b\n").lines.first?.hasPrefix("kedge.yaml:1:4: the alias") == true)
    }

    @Test func aliasesAndMergesWork() {
        let text = """
            base: &base { every: 5s, scale: 2 }
            list:
              - { <<: *base, id: a, scale: 3 }
              - { <<: [{ every: 1s }, *base], id: b }
            copy: *base
            """
        let (value, lines) = Source(text).read { top -> [String?] in
            let limits = Interval.zero ... .seconds(60)
            var found: [String?] = []
            for sensor in top.readers("list") {
                found.append(sensor.string("id"))
                found.append(sensor.interval("every", in: limits).map { "\($0.seconds)" })
                found.append(sensor.integer("scale", in: 0...9).map { "\($0)" })
                sensor.finish()
            }
            found.append(top.mapping("copy")?.string("every"))
            return found
        }
        #expect(lines == [])
        #expect(value == ["a", "5.0", "3", "b", "1.0", "2", "5s"])
    }

    @Test func wrongRootIsReported() {
        #expect(
            Source("- a\n- b\n").read { _ in }.lines
                == ["kedge.yaml:1:1: the configuration is a list, expected a mapping (key: value)"])
        #expect(
            Source("hello\n").read { _ in }.lines
                == ["kedge.yaml:1:1: the configuration is \"hello\", expected a mapping (key: value)"])
    }

    @Test func filesAreReadWithABound() throws {
        let path = NSTemporaryDirectory() + "kedge-configuration-\(UUID().uuidString)"
        try Data(repeating: 97, count: 10_000).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(try Document.read(path).count == 10_000)
        #expect(try Document.read(path, limit: 10_000).count == 10_000)
        #expect(throws: SystemError(call: "read", code: EFBIG, subject: path)) { try Document.read(path, limit: 9_999) }
        #expect(throws: SystemError(call: "open", code: ENOENT, subject: path + "-not")) {
            try Document.read(path + "-not")
        }
    }
}
