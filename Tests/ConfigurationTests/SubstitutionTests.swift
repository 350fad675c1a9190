import Platform
import Testing

@testable import Configuration

@Suite struct SubstitutionTests {
    private static let environment = ["NAME": "pi", "EMPTY": "", "PORT": "9092", "_a1": "x", "TRICK": "${env:NAME}$"]
    private static let files = ["/pw": "hunter2\n", "/two": "x\n\n", "/crlf": "y\r\n", "/none": ""]

    @Test(arguments: [
        ("${env:NAME}", "pi"),
        ("${env:NAME:-other}", "pi"),
        ("${env:NOT:-other}", "other"),
        ("${env:NOT:-a:-b}", "a:-b"),
        ("x${env:NOT:-}y", "xy"),
        ("${env:EMPTY:-other}", "other"),
        ("x${env:EMPTY}y", "xy"),
        ("${env:NAME}-${env:NAME}/${file:/crlf}", "pi-pi/y"),
        ("${file:/pw}", "hunter2"),
        ("\"${file:/two}\"", "x\n"),
        ("x${file:/none}", "x"),
        ("${env:_a1}", "x"),
        ("$${env:NAME}", "${env:NAME}"),
        ("$$${env:NAME}", "$${env:NAME}"),
        ("${env:NAME}$${", "pi${"),
        ("$${$${", "${${"),
        ("$5 and 5$", "$5 and 5$"),
        // What a substitution yields is not searched again, and its dollar escapes nothing.
        ("${env:TRICK}", "${env:NAME}$"),
        ("${env:TRICK}${env:NAME}", "${env:NAME}$pi"),
    ])
    func valuesAreReplaced(written: String, expected: String) {
        let (node, diagnostics) = Source("a: \(written)\n", environment: Self.environment, files: Self.files).parse()
        #expect(diagnostics.lines == [])
        #expect(text(node, "a") == expected)
    }

    /// `|` marks where the problem must be reported.
    @Test(arguments: [
        ("a: |${env:NOT}", "the environment variable NOT is not set"),
        ("a: x ${env:NAME} |${env:NOT}", "the environment variable NOT is not set"),
        ("a: 'it''s |${env:NOT}'", "the environment variable NOT is not set"),
        ("a: \"\\t\\u00e4 ä |${env:NOT}\"", "the environment variable NOT is not set"),
        ("ä: { ö: [ \"|${env:NOT}\" ] }", "the environment variable NOT is not set"),
        ("a: >\n  x\n  y |${env:NOT}\n  z", "the environment variable NOT is not set"),
        ("a: |- # not this ${one}\n  x\n    ä |${env:NOT}\n", "the environment variable NOT is not set"),
        ("a: x\n  y\n  |${env:NOT} z", "the environment variable NOT is not set"),
        ("a: $${x} |${env:NOT}", "the environment variable NOT is not set"),
        ("a: |${foo:bar}", "${foo:…} is no substitution, expected ${env:NAME}"),
        ("a: |${HOME}", "${HOME} is no substitution, did you mean ${env:HOME}?"),
        ("a: |${}", "${} is no substitution, expected"),
        ("a: |${env:}", "${env:…} with the name \"\", expected letters"),
        ("a: |${env:1A}", "${env:…} with the name \"1A\", expected letters"),
        ("a: |${env:A-B}", "${env:…} with the name \"A-B\", expected letters"),
        ("a: x |${env:NAME", "a ${ without its }, expected ${env:NAME}"),
        ("a: |${env:A:-${env:NAME}}", "a ${ within another ${, expected"),
        ("a: |${file:relative}", "${file:…} with the path \"relative\", expected an absolute path"),
        ("a: |${file:/not}", "${file:/not} cannot be read: No such file or directory"),
        ("a: |${file:/nul}", "${…} yields a NUL character, expected text"),
        ("a: |${file:/bad}", "${…} yields bytes that are not UTF-8, expected text"),
    ])
    func problemsStandAtTheDollar(marked: String, problem: String) throws {
        // The last `|` is the mark: a literal block has one of its own.
        let bar = try #require(marked.lastIndex(of: "|"))
        let before = marked[..<bar]
        var source = Source(
            String(before + marked[marked.index(after: bar)...]), environment: Self.environment, files: Self.files)
        source.files["/nul"] = [97, 0]
        source.files["/bad"] = [97, 0xc3, 0x28]
        let line = before.split(separator: "\n", omittingEmptySubsequences: false).count
        let column =
            (before.split(separator: "\n", omittingEmptySubsequences: false).last ?? "").unicodeScalars.count + 1
        let lines = source.lines
        #expect(lines.count == 1)
        #expect(lines.first?.hasPrefix("kedge.yaml:\(line):\(column): \(problem)") == true, "\(lines)")
    }

    @Test func allProblemsOfOneValueAreReported() {
        let marks = Source("a: ${env:A}${env:B:-}${foo:}\nb: ${env:C}\n").parse().diagnostics.problems.map(\.mark)
        #expect(marks == [Mark(line: 1, column: 4), Mark(line: 1, column: 22), Mark(line: 2, column: 4)])
    }

    @Test func anEscapedDollarFallsBackToTheValuesPlace() {
        #expect(Source("a: \"x \\x24{env:NOT}\"\n").lines.first?.hasPrefix("kedge.yaml:1:4: the environment") == true)
    }

    @Test func replacedTextIsWhatItLooksLike() {
        let text =
            "{ port: \"${env:PORT:-1}\", on: \"${env:NOT:-true}\", every: \"${env:NOT:-5}s\", id: \"${env:PORT}\" }"
        let (value, lines) = Source(text, environment: Self.environment).read { top in
            "\(top.integer("port", in: 0...65_535) ?? -1) \(top.boolean("on") == true) "
                + "\(top.interval("every", in: .zero ... .seconds(9))?.seconds ?? -1) \(top.string("id") ?? "-")"
        }
        #expect(lines == [])
        #expect(value == "9092 true 5.0 9092")
    }

    @Test func aSubstitutionThatGivesNothingIsAbsent() {
        let (value, lines) = Source("a: ${env:NOT:-}\nb: ${env:EMPTY}\n", environment: Self.environment).read {
            ($0.string("a"), $0.has("a"), $0.requiredString("b"))
        }
        #expect(value?.0 == nil && value?.1 == false && value?.2 == nil)
        #expect(lines == ["kedge.yaml:2:4: b is empty, expected text"])
    }

    @Test func theWordNullFromAVariableIsText() {
        let source = Source("a: ${env:A}\n", environment: ["A": "null"])
        #expect(source.read { $0.string("a") }.value == "null")
    }

    @Test func aBrokenValueIsReportedOnce() {
        let (_, lines) = Source("a: ${env:NOT}\nb: !x 5\n").read {
            _ = $0.requiredInteger("a", in: 0...1)
            _ = $0.mapping("a")
            _ = $0.list("a")
            _ = $0.readers("a")
            _ = $0.requiredInterval("b", in: .zero ... .zero)
            $0.finish()
        }
        #expect(lines.count == 2)
    }
}
