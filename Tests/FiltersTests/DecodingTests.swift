import Configuration
import Platform
import Records
import TestSupport
import Testing

@testable import Filters

@Suite struct DecodingTests {
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
        let bounds = mapping(["min": "0", "max": "100"])
        let cases: [(Node, [Double], [Double?])] = [
            (mapping(["offset": "-0.5"]), [1], [0.5]),
            (mapping(["multiply": "2"]), [3], [6]),
            (mapping(["round": "1"]), [1.26], [1.3]),
            (mapping(["clamp": bounds]), [-1, 101], [0, 100]),
            (mapping(["clamp": mapping(["max": "5"])]), [-1, 101], [-1, 5]),
            (mapping(["range": mapping(["min": "0", "outside": "drop"])]), [-1, 101], [nil, 101]),
            (mapping(["range": bounds]), [-1], [-1]),
            (mapping(["median": "3"]), [1, 9, 2], [1, 5, 2]),
            (mapping(["average": "2"]), [1, 2, 4], [1, 1.5, 3]),
            (mapping(["min": "2"]), [1, 2, 4], [1, 1, 2]),
            (mapping(["max": "2"]), [4, 2, 1], [4, 4, 2]),
            (mapping(["exponential": "0.5"]), [1, 2], [1, 1.5]),
            (mapping(["throttle": "2s"]), [1, 2, 3], [1, nil, 3]),
            (mapping(["deadband": "1"]), [1, 1.5, 2], [1, nil, 2]),
            (mapping(["delta": "1"]), [1, 1.5, 2], [1, nil, 2]),
            (mapping(["deadband": "5%"]), [100, 104, 105], [100, nil, 105]),
            (mapping(["unique": "true"]), [1, 1, 2], [1, nil, 2]),
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
            mapping(["median": "5"]), mapping(["deadband": "0.1"]), mapping(["heartbeat": "3s"])
        )
        #expect(problems == [])
        #expect(numbers(chain, [20, 20, 20, 20, 20]) == [20, nil, nil, 20, nil])
    }

    @Test func anUnknownFilterIsReportedWithTheNearest() {
        let (chain, problems) = decode(mapping(["medain": "5"], line: 7))
        #expect(chain.isEmpty)
        #expect(problems.count == 1)
        #expect(problems.first?.hasPrefix("kedge.yaml:7:1: filters[0]") == true)
        #expect(problems.first?.contains("median") == true)
    }

    @Test func whatIsOutOfRangeIsReportedOnce() {
        for node in [
            mapping(["median": "1001"]), mapping(["average": "0"]), mapping(["round": "10"]),
            mapping(["exponential": "0"]), mapping(["exponential": "1.1"]),
            mapping(["throttle": "0s"]),
            mapping(["deadband": "0"]), mapping(["deadband": "-1"]),
            mapping(["deadband": "x%"]),
            mapping(["deadband": "0%"]), mapping(["offset": "warm"]), mapping(["clamp": mapping([:])]),
            mapping(["clamp": mapping(["min": "2", "max": "1"])]), mapping(["unique": "5"]),
            mapping(["range": mapping(["min": "2", "outside": "keep"])]),
            mapping(["range": mapping(["min": "2", "minimum": "1"])]), scalar("mediam"), mapping([:]),
            mapping(["unique": "false"]),
        ] {
            let (_, problems) = decode(node)
            if problems.count != 1 { Issue.record("\(node): \(problems)") }
        }
    }

    @Test func severalFiltersInOneMappingHaveNoOrder() {
        let (_, problems) = decode(mapping(["median": "5", "deadband": "0.1"]))
        #expect(problems.count == 1)
        #expect(problems.first?.contains("several filters") == true)
    }

    @Test func aHeartbeatWithNothingToReleaseIsReported() {
        let (_, problems) = decode(mapping(["heartbeat": "60s"]), mapping(["deadband": "0.1"]))
        #expect(problems.count == 1)
        #expect(problems.first?.contains("heartbeat") == true)
    }

    /// Whether it would have something to do nobody knows before the other mistake is mended.
    @Test func aHeartbeatBehindAMistakeIsNoSecondOne() {
        for node in [mapping(["deadband": "-1"]), mapping(["dedband": "1"]), mapping(["throttle": "5"])] {
            let (_, problems) = decode(node, mapping(["heartbeat": "60s"], line: 3))
            #expect(problems.count == 1, "\(problems)")
        }
    }

    @Test func theListIsBounded() {
        let diagnostics = Diagnostics(file: "kedge.yaml")
        let nodes = Array(repeating: mapping(["offset": "1"]), count: 33)
        let chain = FilterChain.decode(
            node: .sequence(nodes, Mark(line: 1, column: 1)), path: "filters", diagnostics: diagnostics)
        #expect(chain.isEmpty)
        #expect(diagnostics.problems.count == 1)
    }
}
