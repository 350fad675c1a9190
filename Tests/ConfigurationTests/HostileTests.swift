import TestSupport
import Testing

@testable import Configuration

/// Whatever the bytes are: no crash, no long computation, and either a tree or a problem with a place.
@Suite struct HostileTests {
    /// Goes over the tree, so that a defect in it shows. Returns its number of nodes.
    private func count(_ node: Node) -> Int {
        switch node {
        case .scalar(let scalar): scalar.shown.isEmpty ? 0 : 1
        case .sequence(let nodes, _): nodes.reduce(1) { $0 + count($1) }
        case .mapping(let entries, _): entries.reduce(1) { $0 + 1 + count($1.value) }
        }
    }

    private func expectHarmless(_ bytes: [UInt8], _ comment: @autoclosure () -> Comment) {
        let (node, diagnostics) = Source(bytes: bytes).parse()
        if let node {
            #expect(count(node) <= Document.maximumNodes, comment())
        } else {
            #expect(!diagnostics.isEmpty, comment())
        }
        for problem in diagnostics.problems {
            #expect(problem.mark.line >= 1 && problem.mark.column >= 1, comment())
            #expect(!problem.text.isEmpty && !problem.text.utf8.contains(10), comment())
            #expect(problem.text.utf8.count < 600, comment())
        }
    }

    @Test func everyPrefixOfTheExample() {
        let bytes = Array(example.utf8)
        for length in 0...bytes.count { expectHarmless(Array(bytes[..<length]), "prefix of \(length) bytes") }
    }

    @Test func everyLineAloneAndEveryLineLeftOut() {
        let lines = example.split(separator: "\n", omittingEmptySubsequences: false)
        for index in lines.indices {
            expectHarmless(Array(lines[index].utf8), "line \(index)")
            var rest = lines
            rest.remove(at: index)
            expectHarmless(Array(rest.joined(separator: "\n").utf8), "without line \(index)")
        }
    }

    @Test func randomBytes() {
        var generator = SeededGenerator(seed: 1)
        let marks = Array("{}[]:,-#&*!|>'\"%@`$\n \t?~<.0aé\u{2028}".utf8)
        for round in 0..<10_000 {
            let length = Int.random(in: 0...200, using: &generator)
            let onlyMarks = round.isMultiple(of: 2)
            let bytes = (0..<length).map { _ in
                onlyMarks
                    ? marks[Int.random(in: 0..<marks.count, using: &generator)]
                    : UInt8.random(in: 0...255, using: &generator)
            }
            expectHarmless(bytes, "round \(round)")
        }
    }

    @Test func randomMutationsOfTheExample() {
        var generator = SeededGenerator(seed: 2)
        let original = Array(example.utf8)
        for round in 0..<2_000 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.remove(at: index)
                case 2: bytes.insert(bytes[Int.random(in: 0..<bytes.count, using: &generator)], at: index)
                default: bytes.removeSubrange(index..<min(index + 20, bytes.count))
                }
            }
            expectHarmless(bytes, "round \(round)")
        }
    }

    @Test(arguments: [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", "")])
    func deepNestingIsRefused(open: String, close: String) {
        let text = String(repeating: open, count: 10_000) + "x" + String(repeating: close, count: 10_000)
        let (node, diagnostics) = Source(text).parse()
        #expect(node == nil)
        #expect(diagnostics.problems.last?.text == "more than 64 levels of lists and mappings, expected fewer")
    }

    @Test func theDeepestAllowedNestingIsAllowed() {
        let depth = Document.maximumDepth
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + "x" + String(repeating: "]", count: depth)
        }
        #expect(Source(nested(depth)).parse().node != nil)
        #expect(Source(nested(depth + 1)).parse().node == nil)
        // An alias is as deep as what it stands for.
        let half = "a: &a \(nested(40))\nb: "
        #expect(Source(half + "[[[*a]]]").parse().node != nil)
        #expect(
            Source(half + String(repeating: "[", count: 40) + "*a" + String(repeating: "]", count: 40)).parse().node
                == nil)
    }

    @Test func anAliasBombIsRefused() throws {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...9 {
            text +=
                "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
                + "]\n"
        }
        let (node, diagnostics) = Source(text).parse()
        #expect(node == nil)
        let problem = try #require(diagnostics.problems.first)
        #expect(problem.text.hasPrefix("more than 100000 values"))
        #expect(problem.mark.line == 5)
    }

    @Test func manyAnchorsAndKeysAreRefused() {
        let anchors = (0...1_000).map { "- &a\($0) x\n" }.joined()
        #expect(Source(anchors).lines == ["kedge.yaml:1001:3: more than 1000 anchors, expected fewer"])
        let keys = (0...1_000).map { "k\($0): x\n" }.joined()
        #expect(Source(keys).lines.first?.contains("a mapping of more than 1000 keys, expected fewer") == true)
        let nodes = "[" + String(repeating: "x,", count: 100_001) + "]"
        #expect(Source(nodes).lines.first?.contains("more than 100000 values") == true)
    }

    @Test func largeFiles() throws {
        let scalar = String(repeating: "x", count: Document.maximumSize - 4)
        let largest = Source("a: " + scalar + "\n")
        #expect(text(largest.parse().node, "a")?.utf8.count == scalar.utf8.count)
        // And an error about it stays one short line.
        let line = try #require(largest.read { $0.boolean("a") }.lines.first)
        #expect(line.utf8.count < 200)
        #expect(
            Source("a: x" + scalar + "\n").lines
                == ["kedge.yaml:1:1: the file has 1048577 bytes, expected at most 1 MiB (1048576)"])
    }

    @Test func zeroBytes() {
        #expect(Source(bytes: [0]).lines.count == 1)
        #expect(Source(bytes: Array("a: b".utf8) + [0, 10]).lines.first?.hasPrefix("kedge.yaml:1:5: ") == true)
        #expect(Source(bytes: [UInt8](repeating: 0, count: 100_000)).lines.count == 1)
        #expect(Source(bytes: [0xff, 0xfe, 97, 0, 58, 0]).lines.count == 1)
    }

    @Test func manySubstitutionsAreBounded() {
        let file = String(repeating: "x", count: 1 << 20)
        let source = Source("a: " + String(repeating: "${file:/x}", count: 50_000) + "\n", files: ["/x": file])
        let (_, diagnostics) = source.parse()
        #expect(diagnostics.problems.count == diagnostics.limit)
        #expect(diagnostics.problems.first?.text == "${…} yields more than 4 MiB in all")
        #expect(diagnostics.lines.last == "kedge.yaml: and 49796 more")
    }
}
