import Foundation
import Platform
import Records
import Storage
import TestSupport
import Testing

@testable import Outbox

@Suite struct BoundTests {
    private func outage(
        _ whenFull: OutboxSettings.WhenFull, _ count: Int, _ folder: Folder = Folder()
    ) throws -> DiskBench {
        let bench = DiskBench(folder, room: 0) {
            $0.maxSize = 1_000_000
            $0.maxMemory = 128_000
            $0.whenFull = whenFull
        }
        for number in 0..<count {
            bench.append("\(number) " + String(repeating: "x", count: 150), key: "k\(number % 3)")
            if number % 20 == 0 { bench.pass(.milliseconds(200)) }
        }
        bench.pass(.seconds(5))
        let size = try FileManager.default.attributesOfItem(atPath: bench.path)[.size] as? Int ?? 0
        #expect(size <= 1_000_000)
        return bench
    }

    private struct GapRecord: Decodable {
        struct Gap: Decodable {
            let count: Int
            let first: Int
            let last: Int
        }
        let sensorID: String
        let gap: Gap
    }

    /// What came, and what the gap records say is missing of each key.
    private func result(_ bench: DiskBench) throws -> (numbers: [Int], gaps: [String: Int]) {
        bench.deliverAll()
        bench.pass(.seconds(5))
        bench.deliverAll()
        var numbers: [Int] = []
        var gaps: [String: Int] = [:]
        for line in bench.transport.log {
            if let number = Int(line.prefix { $0 != " " }) {
                numbers.append(number)
            } else {
                let record = try JSONDecoder().decode(GapRecord.self, from: Data(line.utf8))
                gaps[record.sensorID, default: 0] += record.gap.count
                #expect(record.gap.first <= record.gap.last)
            }
        }
        return (numbers, gaps)
    }

    private func check(_ numbers: [Int], _ gaps: [String: Int], of count: Int) {
        for key in 0..<3 {
            let own = numbers.filter { $0 % 3 == key }
            #expect(own == own.sorted())
            #expect(own.count + gaps["k\(key)", default: 0] == (0..<count).filter { $0 % 3 == key }.count)
        }
    }

    @Test func dropOldestTellsWhatIsMissing() throws {
        let bench = try outage(.dropOldest, 10_000)
        let (numbers, gaps) = try result(bench)
        check(numbers, gaps, of: 10_000)
        #expect(numbers.last == 9_999)
        #expect(numbers.count > 2_000)
        #expect(gaps.count == 3)
        #expect(bench.lines.lines.contains { $0.contains("the oldest are being dropped") })
    }

    @Test func dropNewestKeepsTheOldest() throws {
        let bench = try outage(.dropNewest, 10_000)
        let (numbers, gaps) = try result(bench)
        check(numbers, gaps, of: 10_000)
        #expect(Array(numbers.prefix(2_000)) == Array(0..<2_000))
        #expect(numbers.count < 8_000)
    }

    /// Nothing has been told when the agent is stopped; what is in memory finds no room in the file either.
    @Test func whatDropNewestHasDroppedIsToldAfterAStop() throws {
        let folder = Folder()
        do {
            let bench = try outage(.dropNewest, 10_000, folder)
            var isDone = false
            bench.outbox.store { isDone = true }
            // The commit takes its time, and what waits is looked at again meanwhile.
            bench.loop.advance(by: .seconds(2))
            bench.queue.run()
            #expect(isDone)
            // Lost is lost, and said.
            #expect(bench.outbox.unstoredCount > 100)
        }
        let bench = DiskBench(folder, boot: "b2")
        let (numbers, gaps) = try result(bench)
        check(numbers, gaps, of: 10_000)
        #expect(gaps.count == 3)
        let again = DiskBench(folder, boot: "b3")
        again.pass(.seconds(5))
        #expect(again.transport.log == [])
    }

    @Test func whatDropNewestHasDroppedIsToldAfterACrash() throws {
        let folder = Folder()
        var left = 0
        do {
            let bench = try outage(.dropNewest, 10_000, folder)
            bench.pass(.seconds(10))
            left = bench.outbox.unstoredCount
            // A card is not worn by it.
            let before = bench.status.written.syncs
            for number in 0..<600 {
                #expect(!bench.append("\(number) " + String(repeating: "x", count: 150), key: "more"))
                bench.pass(.milliseconds(100))
            }
            #expect(bench.status.written.syncs - before <= 8)
        }
        let bench = DiskBench(folder, boot: "b2")
        let (numbers, gaps) = try result(bench)
        // What was in memory alone went with the process, and at most the last ten seconds of what is missing.
        let more = gaps["more", default: 0]
        #expect(more >= 450 && more <= 600)
        #expect(numbers.count + gaps.values.reduce(0, +) - more == 10_000 - left)
    }

    @Test func thinKeepsSomeOfEverything() throws {
        let bench = try outage(.thin, 12_000)
        let (numbers, gaps) = try result(bench)
        check(numbers, gaps, of: 12_000)
        #expect(numbers.count > 1_500)
        // Every stretch of the outage has left something.
        for start in stride(from: 0, to: 12_000, by: 1_000) {
            #expect(numbers.contains { (start..<(start + 1_000)).contains($0) })
        }
    }

    /// Gaps are told after a crash too: they are on the disk.
    @Test func gapsSurviveACrash() throws {
        let folder = Folder()
        var left = 0
        do {
            let bench = DiskBench(folder, room: 0) {
                $0.maxSize = 1_000_000
                $0.maxMemory = 128_000
            }
            for number in 0..<10_000 {
                bench.append("\(number) " + String(repeating: "x", count: 150))
                if number % 20 == 0 { bench.pass(.milliseconds(200)) }
            }
            bench.pass(.seconds(5))
            left = bench.outbox.unstoredCount
            #expect(bench.status.dropped > 0)
        }
        #expect(left == 0)
        let bench = DiskBench(folder, boot: "b2")
        let (numbers, gaps) = try result(bench)
        #expect(numbers.count + (gaps["k"] ?? 0) == 10_000)
        #expect(bench.transport.held.isEmpty)
        let again = DiskBench(folder, boot: "b3")
        again.pass(.seconds(5))
        #expect(again.transport.log == [])
    }

    /// What fills the file is its own bound and no fault of the disk, however much a commit is.
    @Test func aCommitTakesWhatThereIsRoomFor() throws {
        let bench = DiskBench(room: 0) { $0.maxSize = 1_000_000 }
        for number in 0..<20_000 {
            bench.append("\(number) " + String(repeating: "x", count: 150), key: "k\(number % 3)")
            if number % 1_000 == 0 { bench.pass(.seconds(3)) }
        }
        bench.pass(.seconds(5))
        #expect(!bench.lines.lines.contains { $0.contains("SQLite") })
        #expect(bench.lines.lines.contains { $0.contains("1 MB of records wait on the disk (max_size)") })
        #expect(bench.outbox.unstoredCount == 0)
        #expect(bench.status.bytes <= 1_000_000 / 16 * 15 + 16_384)
        let (numbers, gaps) = try result(bench)
        check(numbers, gaps, of: 20_000)
        #expect(numbers.last == 19_999)
    }

    /// The record that tells of a gap is among the oldest that are dropped: what it told is missing still.
    @Test(arguments: [OutboxSettings.WhenFull.dropOldest, .thin])
    func whatADroppedRecordToldIsToldAgain(_ whenFull: OutboxSettings.WhenFull) throws {
        let bench = DiskBench(room: 0) {
            $0.maxSize = 1_000_000
            $0.maxMemory = 256_000
            $0.whenFull = whenFull
        }
        func append(_ numbers: Range<Int>) {
            for number in numbers {
                bench.append("\(number) " + String(repeating: "x", count: 150), key: "k\(number % 3)")
                if number % 20 == 0 { bench.pass(.milliseconds(200)) }
            }
            bench.pass(.seconds(5))
        }
        // The first of these are read ahead, and stay.
        append(0..<1_500)
        for _ in 0..<700 { #expect(!bench.append(String(repeating: "x", count: 20_000), key: "k0")) }
        bench.pass(.seconds(5))
        #expect(try bench.stored().count == 1_501)
        append(1_500..<12_000)
        #expect(bench.status.dropped > 1_000)
        var (numbers, gaps) = try result(bench)
        gaps["k0", default: 0] -= 700
        check(numbers, gaps, of: 12_000)
        let file = try OutboxFile.open(bench.path, access: .readOnly)
        #expect(try file.gaps().isEmpty)
        #expect(try file.marks(PositionRanges.Range(first: 0, last: .max)).isEmpty)
    }

    /// The same in memory, with a disk that does not open.
    @Test func whatARecordDroppedInMemoryToldIsToldAgain() throws {
        let bench = DiskBench(room: 0, opens: false) { $0.maxMemory = 256_000 }
        for _ in 0..<700 { bench.append(String(repeating: "x", count: 20_000)) }
        bench.loop.advance(by: .seconds(6))
        #expect(bench.outbox.pendingCount == 1)
        for number in 0..<5_000 { bench.append("\(number) " + String(repeating: "x", count: 150)) }
        let (numbers, gaps) = try result(bench)
        #expect(numbers.count < 2_000)
        #expect(numbers.count + gaps["k", default: 0] == 5_700)
    }

    @Test func aGapInMemoryIsToldToo() throws {
        let bench = DiskBench(room: 10) { $0.maxMemory = 128_000 }
        bench.append("x")
        bench.transport.deliver(0, .tooLarge)
        bench.pass(.seconds(2))
        #expect(bench.transport.log.count == 2)
        let record = try JSONDecoder().decode(GapRecord.self, from: Data(bench.transport.log[1].utf8))
        #expect(record.sensorID == "k")
        #expect(record.gap.count == 1)
        // The telling of a gap is not told of.
        bench.transport.deliver(0, .tooLarge)
        bench.pass(.seconds(5))
        #expect(bench.transport.log.count == 2)
    }

    /// By hand, with `kedge outbox drop`: consumers are told of it by the next start.
    @Test func whatIsDroppedByHandIsAGap() throws {
        let folder = Folder()
        let first = DiskBench(folder, room: 0) { $0.durability = .always }
        first.append(0..<30)
        first.stop()
        #expect(try OutboxFile.open(first.path, access: .readWrite).dropAll() == 30)
        let second = DiskBench(folder, boot: "b2")
        let (numbers, gaps) = try result(second)
        #expect(numbers == [])
        #expect(gaps == ["k0": 6, "k1": 6, "k2": 6, "k3": 6, "k4": 6])
    }
}
