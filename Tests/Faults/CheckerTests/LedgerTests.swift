import FaultChecker
import Foundation
import Testing

/// A stream of records as one agent after the other would send it.
private struct Stream {
    let ledger = Ledger()
    var time: Int64 = 1_000_000

    /// Records of one boot: so many of each key in turn. `change` may leave out, repeat and reorder.
    mutating func boot(
        _ name: String, count: Int = 12, keys: [String] = ["a", "b", "c"],
        _ change: (inout [Arrival]) -> Void = { _ in }
    ) {
        var arrivals: [Arrival] = []
        for index in 0..<count {
            time += 10
            arrivals.append(
                Arrival(
                    key: keys[index % keys.count], boot: "node/\(name)", sequence: index + 1,
                    value: index / keys.count, taken: time))
        }
        change(&arrivals)
        for arrival in arrivals { ledger.take(arrival) }
    }
}

@Suite struct LedgerTests {
    private var stream = Stream()

    @Test mutating func whatIsWholeIsFoundWhole() {
        stream.boot("1")
        stream.boot("2")
        let account = stream.ledger.account
        #expect(account.sent == 24)
        #expect((account.lost, account.holes, account.duplicates, account.disorders) == (0, 0, 0, 0))
        #expect(stream.ledger.missing.isEmpty)
    }

    @Test(arguments: 0..<9) mutating func oneLostBeforeItsKeysLastIsAHole(_ index: Int) {
        stream.boot("1") { $0.remove(at: index) }
        let account = stream.ledger.account
        #expect((account.sent, account.lost, account.holes) == (12, 1, 1))
        #expect(stream.ledger.missing.count == 1)
    }

    @Test mutating func aKeysLastIsLostButNoHole() {
        // The last of `a`, behind which `b` and `c` arrived.
        stream.boot("1") { $0.remove(at: 9) }
        let account = stream.ledger.account
        #expect((account.sent, account.lost, account.holes) == (12, 1, 0))
    }

    @Test mutating func theVeryLastIsFoundOnlyIfExpected() {
        stream.boot("1") { $0.removeLast() }
        #expect(stream.ledger.account.lost == 0)
        stream.ledger.expect(RecordID(boot: "node/1", sequence: 12))
        #expect(stream.ledger.account.lost == 1)
        #expect(stream.ledger.account.sent == 12)
    }

    @Test mutating func whatIsExpectedAndMissingInBetweenCountsOnce() {
        stream.boot("1") { $0.remove(at: 4) }
        for sequence in 1...12 { stream.ledger.expect(RecordID(boot: "node/1", sequence: sequence)) }
        #expect(stream.ledger.account.lost == 1)
    }

    @Test mutating func aBootOfWhichNothingArrivedIsLost() {
        stream.boot("1")
        stream.ledger.expect(RecordID(boot: "node/2", sequence: 1))
        stream.ledger.expect(RecordID(boot: "node/2", sequence: 2))
        let account = stream.ledger.account
        #expect((account.sent, account.lost) == (14, 2))
        #expect(stream.ledger.missing.count == 1)
    }

    @Test mutating func aValueWithoutASequenceIsAHole() {
        // Refused before it was given a sequence: these have no gap, the values do.
        stream.boot("1", count: 4, keys: ["a"]) { arrivals in
            for index in 2..<4 { arrivals[index].value = index + 1 }
        }
        #expect(stream.ledger.account.lost == 1)
    }

    @Test(arguments: 0..<12) mutating func oneThatComesAgainIsADuplicate(_ index: Int) {
        stream.boot("1") { $0.append($0[index]) }
        let account = stream.ledger.account
        #expect((account.sent, account.lost, account.duplicates) == (12, 0, 1))
        // What is repeated late has come in order before.
        #expect(account.disorders == 0)
    }

    @Test mutating func anIDThatIsUsedTwiceIsADuplicate() {
        stream.boot("1") { $0[5].sequence = 5 }
        let account = stream.ledger.account
        #expect((account.lost, account.duplicates) == (1, 1))
    }

    @Test(arguments: 0..<9) mutating func twoOfAKeySwappedAreOutOfOrder(_ index: Int) {
        stream.boot("1") { $0.swapAt(index, index + 3) }
        let account = stream.ledger.account
        #expect((account.lost, account.duplicates, account.disorders) == (0, 0, 1))
    }

    @Test mutating func ofDifferentKeysTheOrderIsFree() {
        stream.boot("1") { $0.swapAt(0, 1) }
        #expect(stream.ledger.account.disorders == 0)
    }

    @Test mutating func whatAnEarlierBootSendsLateIsOutOfOrder() {
        var late: Arrival?
        stream.boot("1") { late = $0.removeLast() }
        stream.boot("2")
        if let late { stream.ledger.take(late) }
        let account = stream.ledger.account
        #expect((account.lost, account.disorders) == (0, 1))
    }

    @Test mutating func whatIsToldOfIsNotLost() {
        stream.boot("1", count: 10, keys: ["a"]) { arrivals in
            arrivals.removeSubrange(3..<6)
            arrivals[3].taken += 1
        }
        #expect(stream.ledger.account.lost == 3)
        var gap = Arrival(key: "a", boot: "node/1", sequence: 11, value: nil, taken: 5, missing: 2)
        stream.ledger.take(gap)
        #expect(stream.ledger.account.lost == 1)
        gap = Arrival(key: "a", boot: "node/1", sequence: 12, value: nil, taken: 5, missing: 1)
        stream.ledger.take(gap)
        #expect(stream.ledger.account.lost == 0)
        #expect(stream.ledger.account.declared == 3)
    }

    @Test mutating func whatIsToldOfAnotherKeyExcusesNoHole() {
        stream.boot("1") { $0.remove(at: 0) }
        stream.ledger.take(Arrival(key: "b", boot: "node/1", sequence: 13, value: nil, taken: 5, missing: 1))
        #expect(stream.ledger.account.lost == 1)
    }

    @Test func linesOfTheConsumerAreUnderstood() {
        let line = #"""
            {"topic":"sensors","partition":2,"offset":41,"timestamp":1,"key":"a","headers":{"id":"pi/0af/7"},"value":"{\"sensorID\":\"a\",\"value\":3,\"timestamp\":1795217922.298}"}
            """#
        #expect(
            Arrival(line: Data(line.utf8))
                == Arrival(
                    key: "a", boot: "pi/0af", sequence: 7, value: 3, taken: 1_795_217_922_298, partition: 2, offset: 41)
        )
        let gap = #"""
            {"topic":"sensors","partition":2,"offset":41,"key":"a","headers":{"id":"pi/0af/8"},"value":"{\"sensorID\":\"a\",\"value\":null,\"timestamp\":2,\"gap\":{\"count\":120,\"first\":1,\"last\":2}}"}
            """#
        #expect(Arrival(line: Data(gap.utf8))?.missing == 120)
        #expect(Arrival(line: Data(gap.utf8))?.value == nil)
        for bad in ["", "{}", line.replacingOccurrences(of: "pi/0af/7", with: "pi/0af"), line + "x"] {
            #expect(Arrival(line: Data(bad.utf8)) == nil)
        }
    }
}
