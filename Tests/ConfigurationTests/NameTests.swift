import Testing

@testable import Configuration

@Suite struct NameTests {
    @Test(arguments: ["a", "greenhouse.temperature", "Tür 1", "温度", "a\"b", String(repeating: "x", count: 128)])
    func identifiers(name: String) { #expect(NameRule.identifier.allows(name)) }

    @Test(arguments: [
        "", " a", "a ", "a/b", "a\nb", "a\u{0}", "a\u{7f}", "a\u{85}", "a\u{200b}b", "a\u{202e}b", "a\u{2028}b",
        "\u{feff}a",
        String(repeating: "x", count: 129), String(repeating: "ä", count: 65),
    ])
    func identifiersRefused(name: String) { #expect(!NameRule.identifier.allows(name)) }

    @Test(arguments: ["a", "commands.pi-01", "A_b.C-9", "...", String(repeating: "x", count: 249)])
    func topics(name: String) { #expect(NameRule.topic.allows(name)) }

    @Test(arguments: ["", ".", "..", "a b", "a/b", "ä", "a:b", "a{b}", "a\n", String(repeating: "x", count: 250)])
    func topicsRefused(name: String) {
        #expect(!NameRule.topic.allows(name))
        #expect(!NameRule.node.allows(name))
    }

    @Test func nodesAreShorter() {
        #expect(NameRule.node.allows(String(repeating: "x", count: 128)))
        #expect(!NameRule.node.allows(String(repeating: "x", count: 129)))
    }

    private let names = TopicNames(node: "pi-01", layer: "greenhouse")

    @Test(arguments: [
        ("commands", "commands"), ("commands.{node}", "commands.pi-01"), ("{layer}.{node}.x", "greenhouse.pi-01.x"),
        ("{node}{node}", "pi-01pi-01"),
    ])
    func placeholders(pattern: String, expected: String) {
        let (value, lines) = Source("t: '\(pattern)'\n").read { $0.topic("t", names) }
        #expect(value == expected && lines == [])
    }

    @Test(arguments: [
        ("c.{nod}", "expected no other placeholders than {node} and {layer}"),
        ("c.{}", "expected no other placeholders than {node} and {layer}"),
        ("c.{node", "expected a } for its {"),
        ("c.node}", "expected 1 to 249 of the characters"),
        ("c {node}", "expected 1 to 249 of the characters"),
        ("", "expected 1 to 249 of the characters"),
    ])
    func wrongPatterns(pattern: String, problem: String) {
        let (value, lines) = Source("x: 1\nt: [ ok, '\(pattern)' ]\n").read { $0.topics("t", names) }
        #expect(value == ["ok"])
        #expect(lines.count == 1)
        #expect(lines.first?.hasPrefix("kedge.yaml:2:10: t[1] is \"\(pattern)\", \(problem)") == true, "\(lines)")
    }

    @Test func whatStandsThereTwiceIsReportedAtItsPlace() {
        let (value, lines) = Source("t: [ a, 'c.{node}', a ]\n").read { $0.topics("t", names) }
        #expect(value == ["a", "c.pi-01"])
        #expect(lines == ["kedge.yaml:1:21: t[2] is \"a\", expected each topic once"])
    }

    @Test func twoPlaceholdersMayMakeOneTopic() {
        let (value, lines) = Source("t: [ c, 'c.{layer}', 'c.{node}' ]\n").read {
            $0.topics("t", TopicNames(node: "shed", layer: "shed"))
        }
        #expect(value == ["c", "c.shed"])
        #expect(lines == [])
    }

    @Test func expansionMayBeTooLong() {
        let long = TopicNames(node: String(repeating: "n", count: 128), layer: nil)
        let (value, lines) = Source("t: '{node}{node}'\nu: c.{layer}\n").read {
            ($0.topic("t", long), $0.topic("u", long))
        }
        #expect(value?.0 == nil && value?.1 == nil)
        #expect(
            lines.last == "kedge.yaml:2:4: u is \"c.{layer}\", expected no {layer}, as the configuration has no layer")
    }
}
