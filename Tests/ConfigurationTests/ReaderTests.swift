import Platform
import Testing

@testable import Configuration

@Suite struct ReaderTests {
    @Test func allMistakesInOnePassInOrder() {
        let text = """
            node: pi 01
            sensros: []
            sensors:
              - { id: a, every: 5 parsecs, line: 99 }
              - { driver: gpio, edges: bth, evry: 5s }
              - just text
            http:
            outbox: [1]
            every:
            """
        let lines = Source(text).read { top in
            // Asked in another order than written.
            _ = top.interval("every", in: .milliseconds(1) ... .seconds(86_400))
            _ = top.mapping("http")
            _ = top.mapping("outbox")
            for sensor in top.readers("sensors") {
                _ = sensor.requiredName("id", .identifier)
                _ = sensor.string("driver")
                _ = sensor.integer("line", in: 0...53)
                _ = sensor.choice("edges", ["rising", "falling", "both"])
                _ = sensor.interval("every", in: .milliseconds(1) ... .seconds(86_400))
                sensor.finish()
            }
            _ = top.name("node", .node)
            top.finish()
        }.lines
        #expect(
            lines == [
                "kedge.yaml:1:7: node is \"pi 01\", expected 1 to 128 of the characters a-z A-Z 0-9 . _ -",
                "kedge.yaml:2:1: sensros is no known key, did you mean sensors?",
                "kedge.yaml:4:21: sensors[0].every is \"5 parsecs\", "
                    + "expected a duration such as 500ms, 5s or 10m (1ms to 24h)",
                "kedge.yaml:4:38: sensors[0].line is \"99\", expected an integer from 0 to 53",
                "kedge.yaml:5:5: sensors[1].id is missing, "
                    + "expected 1 to 128 bytes of printable text, without / and without spaces at its ends",
                "kedge.yaml:5:28: sensors[1].edges is \"bth\", expected rising, falling or both",
                "kedge.yaml:5:33: sensors[1].evry is no known key, did you mean every?",
                "kedge.yaml:6:5: sensors[2] is \"just text\", expected a mapping (key: value)",
                "kedge.yaml:8:9: outbox is a list, expected a mapping (key: value)",
                "kedge.yaml:9:7: every is empty, expected a duration such as 500ms, 5s or 10m (1ms to 24h)",
            ])
    }

    @Test func absentAndNull() {
        for value in ["~", "null", "Null", "NULL"] {
            let (found, lines) = Source("a: \(value)\n").read { top in
                top.string("a") == nil && top.interval("a", in: .zero ... .zero) == nil && top.mapping("a") == nil
                    && top.list("a") == nil && !top.has("a") && top.node("a") == nil && top.readers("a").isEmpty
                    && top.string("b") == nil && !top.has("b")
            }
            #expect(found == true && lines == [])
        }
        // Quoted, they are text.
        #expect(Source("a: \"null\"\n").read { $0.string("a") }.value == "null")
        #expect(Source("a: '~'\n").read { $0.string("a") }.value == "~")
        #expect(Source("a: ''\n").read { $0.requiredString("a") }.value == "")
        #expect(
            Source("x: 1\na: ~\n").read { ($0.requiredString("a"), $0.requiredField("b")) }.lines == [
                "kedge.yaml:1:1: b is missing, expected a value", "kedge.yaml:2:4: a is empty, expected text",
            ])
        #expect(Source("x: 1\na:\n").read { $0.requiredInteger("a", in: 1...2) }.lines.count == 1)
        #expect(Source("a:\n").read { ($0.mapping("a"), $0.list("a"), $0.readers("a")) }.lines == [])
    }

    @Test func unknownKeys() {
        let source = Source("evry: 1\ntmieout: 1\nEvery: 1\nfoo: 1\nmax-on: 1\n\"x\\e[31m\": 1\n")
        let lines = source.read { top in
            for key in ["every", "timeout", "max_on"] as [StaticString] { _ = top.has(key) }
            _ = top.string("every")
            top.finish()
        }.lines
        #expect(
            lines == [
                "kedge.yaml:1:1: evry is no known key, did you mean every?",
                "kedge.yaml:2:1: tmieout is no known key, did you mean timeout?",
                "kedge.yaml:3:1: Every is no known key, did you mean every?",
                "kedge.yaml:4:1: foo is no known key, expected every, timeout or max_on",
                "kedge.yaml:5:1: max-on is no known key, did you mean max_on?",
                "kedge.yaml:6:1: x\\u{1b}[31m is no known key, expected every, timeout or max_on",
            ])
    }

    @Test func theParentDoesNotFinishTheChild() {
        let lines = Source("a: { b: 1 }\n").read { top in
            _ = top.mapping("a")
            top.finish()
        }.lines
        #expect(lines == [])
        #expect(
            Source("a: { b: 1 }\n").read { $0.mapping("a")?.finish() }.lines
                == ["kedge.yaml:1:6: a.b is no known key, there are none here"])
    }

    @Test func freeKeys() {
        let (value, lines) = Source("all: { linger.ms: 5, x: [1] }\n").read { top -> [String] in
            let all = top.mapping("all")
            let found = all?.fields().map { "\($0.path)=\($0.string() ?? "?")" } ?? []
            all?.finish()
            return found
        }
        #expect(value == ["all.linger.ms=5", "all.x=?"])
        #expect(lines == ["kedge.yaml:1:25: all.x is a list, expected text"])
    }

    @Test func lists() {
        let source = Source("a: one\nb: [one, two, [three]]\nc: { d: 1 }\ne: []\n")
        let (value, lines) = source.read { top in
            [top.strings("a"), top.strings("b"), top.strings("c"), top.strings("e"), top.strings("f")]
        }
        #expect(value == [["one"], ["one", "two"], nil, [], nil])
        #expect(
            lines == [
                "kedge.yaml:2:15: b[2] is a list, expected text", "kedge.yaml:3:4: c is a mapping, expected a list",
            ])
        #expect(Source("s: { id: a }\n").read { $0.readers("s").count }.lines.count == 1)
    }

    @Test func marks() {
        let (value, _) = Source("a: 1\nb:\n  c: 2\n").read { top in
            [top.mark(of: "a"), top.mark(of: "b"), top.mark(of: "z"), top.mapping("b")?.mark(of: "c")]
        }
        #expect(
            value == [
                Mark(line: 1, column: 4), Mark(line: 3, column: 3), Mark(line: 1, column: 1), Mark(line: 3, column: 6),
            ])
    }

    @Test func ownProblemsAtAKey() {
        let lines = Source("a: { b: 5 }\n").read { top in
            let a = top.mapping("a")
            a?.report("b", "needs c", expected: "both or neither")
            a?.field("b")?.refuse(expected: "an even number")
        }.lines
        #expect(
            lines == [
                "kedge.yaml:1:9: a.b needs c, expected both or neither",
                "kedge.yaml:1:9: a.b is \"5\", expected an even number",
            ])
    }
}

@Suite struct SuggestionTests {
    @Test(arguments: [
        ("evry", "every"), ("veery", "every"), ("everyy", "every"), ("EVERY", "every"), ("addres", "address"),
        ("adress", "address"), ("adrses", "address"), ("debonuce", "debounce"),
    ])
    func near(word: String, expected: String) {
        #expect(nearest(to: word, among: ["id", "every", "address", "debounce"]).map { String($0) } == expected)
    }

    @Test(arguments: ["", "x", "xy", "every123", "foo", "bus", String(repeating: "every", count: 1_000)])
    func far(word: String) {
        #expect(nearest(to: word, among: ["id", "every", "address", "debounce"]).map { String($0) } == nil)
    }
}

@Suite struct DiagnosticsTests {
    @Test func sortedBoundedAndWithoutRepetition() {
        let diagnostics = Diagnostics(file: "f", limit: 3)
        diagnostics.report(Mark(line: 2, column: 1), "b")
        diagnostics.report(Mark(line: 2, column: 1), "c")
        diagnostics.report(Mark(line: 1, column: 9), "a", expected: "x")
        diagnostics.report(Mark(line: 2, column: 1), "b")
        #expect(diagnostics.lines == ["f:1:9: a, expected x", "f:2:1: b", "f:2:1: c"])
        diagnostics.report(Mark(line: 3, column: 1), "d")
        diagnostics.report(Mark(line: 1, column: 1), "e")
        #expect(diagnostics.lines == ["f:1:9: a, expected x", "f:2:1: b", "f:2:1: c", "f: and 2 more"])
        #expect(diagnostics.problems.count == 3 && diagnostics.omitted == 2)
    }
}
