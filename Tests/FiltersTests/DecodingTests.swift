import Configuration
import Platform
import Records
import Testing

@testable import Filters

/// Nodes as the parser would make them, each on a line of its own.
private func scalar(_ text: String, line: Int = 1) -> Node {
    .scalar(Node.Scalar(text: text, mark: Mark(line: line, column: 3), isQuoted: false, isSecret: false))
}

private func mapping(_ pairs: (String, Node)..., line: Int = 1) -> Node {
    let mark = Mark(line: line, column: 1)
    return .mapping(
        pairs.map { key, value in
            Node.Entry(key: Node.Scalar(text: key, mark: mark, isQuoted: false, isSecret: false), value: value)
        }, mark)
}

/// Whether `Reader` reads: these tests begin to run when the configuration stage is there.
private let isReaderReady = Reader(mapping(("a", scalar("b"))), path: "", diagnostics: Diagnostics(file: "")).has("a")

@Suite(.enabled(if: isReaderReady)) struct DecodingTests {
    private func decode(_ nodes: Node...) -> (chain: FilterChain, problems: [String]) {
        let diagnostics = Diagnostics(file: "kedge.yaml")
        let chain = FilterChain.decode(
            node: .sequence(nodes, Mark(line: 1, column: 1)), path: "filters", diagnostics: diagnostics)
        return (chain, diagnostics.lines)
    }

    private func numbers(_ chain: FilterChain, _ values: [Double]) -> [Double?] {
        values.enumerated().map { index, value in
            chain.apply(
                Sample(
                    series: SeriesID(0), value: .number(value),
                    taken: Instant(nanoseconds: Int64(index) * 1_000_000_000)))?.value.number
        }
    }

    @Test func everyFilterIsRead() {
        let bounds = mapping(("min", scalar("0")), ("max", scalar("100")))
        let cases: [(Node, [Double], [Double?])] = [
            (mapping(("offset", scalar("-0.5"))), [1], [0.5]),
            (mapping(("multiply", scalar("2"))), [3], [6]),
            (mapping(("round", scalar("1"))), [1.26], [1.3]),
            (mapping(("clamp", bounds)), [-1, 101], [0, 100]),
            (mapping(("clamp", mapping(("max", scalar("5"))))), [-1, 101], [-1, 5]),
            (mapping(("range", mapping(("min", scalar("0")), ("outside", scalar("drop"))))), [-1, 101], [nil, 101]),
            (mapping(("range", bounds)), [-1], [-1]),
            (mapping(("median", scalar("3"))), [1, 9, 2], [1, 5, 2]),
            (mapping(("average", scalar("2"))), [1, 2, 4], [1, 1.5, 3]),
            (mapping(("min", scalar("2"))), [1, 2, 4], [1, 1, 2]),
            (mapping(("max", scalar("2"))), [4, 2, 1], [4, 4, 2]),
            (mapping(("exponential", scalar("0.5"))), [1, 2], [1, 1.5]),
            (mapping(("throttle", scalar("2s"))), [1, 2, 3], [1, nil, 3]),
            (mapping(("deadband", scalar("1"))), [1, 1.5, 2], [1, nil, 2]),
            (mapping(("delta", scalar("1"))), [1, 1.5, 2], [1, nil, 2]),
            (mapping(("deadband", scalar("5%"))), [100, 104, 105], [100, nil, 105]),
            (mapping(("unique", scalar("true"))), [1, 1, 2], [1, nil, 2]),
            (scalar("unique"), [1, 1, 2], [1, nil, 2]),
        ]
        for (node, values, expected) in cases {
            let (chain, problems) = decode(node)
            #expect(problems == [])
            #expect(chain.count == 1)
            #expect(numbers(chain, values) == expected)
        }
    }

    @Test func theListKeepsItsOrder() {
        let (chain, problems) = decode(
            mapping(("median", scalar("5"))), mapping(("deadband", scalar("0.1"))), mapping(("heartbeat", scalar("3s")))
        )
        #expect(problems == [])
        #expect(numbers(chain, [20, 20, 20, 20, 20]) == [20, nil, nil, 20, nil])
    }

    @Test func anUnknownFilterIsReportedWithTheNearest() {
        let (chain, problems) = decode(mapping(("medain", scalar("5")), line: 7))
        #expect(chain.isEmpty)
        #expect(problems.count == 1)
        #expect(problems.first?.hasPrefix("kedge.yaml:7:1: filters[0]") == true)
        #expect(problems.first?.contains("median") == true)
    }

    @Test func whatIsOutOfRangeIsReportedOnce() {
        for node in [
            mapping(("median", scalar("1001"))), mapping(("average", scalar("0"))), mapping(("round", scalar("10"))),
            mapping(("exponential", scalar("0"))), mapping(("exponential", scalar("1.1"))),
            mapping(("throttle", scalar("0s"))),
            mapping(("deadband", scalar("0"))), mapping(("deadband", scalar("-1"))),
            mapping(("deadband", scalar("x%"))),
            mapping(("deadband", scalar("0%"))), mapping(("offset", scalar("warm"))), mapping(("clamp", mapping())),
            mapping(("clamp", mapping(("min", scalar("2")), ("max", scalar("1"))))), mapping(("unique", scalar("5"))),
            mapping(("range", mapping(("min", scalar("2")), ("outside", scalar("keep"))))),
            mapping(("range", mapping(("min", scalar("2")), ("minimum", scalar("1"))))), scalar("mediam"), mapping(),
            mapping(("unique", scalar("false"))),
        ] {
            let (_, problems) = decode(node)
            if problems.count != 1 { Issue.record("\(node): \(problems)") }
        }
    }

    @Test func severalFiltersInOneMappingHaveNoOrder() {
        let (_, problems) = decode(mapping(("median", scalar("5")), ("deadband", scalar("0.1"))))
        #expect(problems.count == 1)
        #expect(problems.first?.contains("several filters") == true)
    }

    @Test func aHeartbeatWithNothingToReleaseIsReported() {
        let (_, problems) = decode(mapping(("heartbeat", scalar("60s"))), mapping(("deadband", scalar("0.1"))))
        #expect(problems.count == 1)
        #expect(problems.first?.contains("heartbeat") == true)
    }

    @Test func theListIsBounded() {
        let diagnostics = Diagnostics(file: "kedge.yaml")
        let nodes = Array(repeating: mapping(("offset", scalar("1"))), count: 33)
        let chain = FilterChain.decode(
            node: .sequence(nodes, Mark(line: 1, column: 1)), path: "filters", diagnostics: diagnostics)
        #expect(chain.isEmpty)
        #expect(diagnostics.problems.count == 1)
    }
}
