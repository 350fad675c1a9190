import Platform
import Records
import Storage
import TestSupport
import Testing

@testable import Outbox

@Suite struct AlwaysTests {
    @Test func aRecordIsOnTheDiskBeforeItIsSent() throws {
        let bench = DiskBench { $0.durability = .always }
        bench.append(0..<10)
        #expect(bench.transport.log == [])
        bench.loop.advance(by: .milliseconds(200))
        bench.queue.runJob()
        #expect(bench.transport.log == [])
        #expect(try bench.stored().count == 10)
        bench.queue.complete()
        #expect(bench.transport.log == (0..<10).map { "\($0)" })
    }

    @Test func aCommitIsOneSync() {
        let bench = DiskBench { $0.durability = .always }
        // The first one also writes the head of the log.
        bench.append(0..<1)
        bench.pass(.seconds(1))
        let before = bench.status.written.syncs
        bench.append(0..<100)
        bench.pass(.milliseconds(200))
        #expect(bench.transport.log.count == 101)
        #expect(bench.status.written.syncs == before + 1)
    }

    @Test func aCommitComesEarlyWhenThereIsEnough() {
        let bench = DiskBench { $0.durability = .always }
        bench.append(0..<256)
        bench.queue.run()
        #expect(bench.transport.log.count == 256)
    }

    @Test func aSensorOfItsOwnDurability() throws {
        let bench = DiskBench()
        bench.append("spill", key: "1")
        bench.append("always", key: "2", .always)
        bench.append("spill too", key: "1")
        #expect(bench.transport.log == ["spill", "spill too"])
        bench.pass(.milliseconds(200))
        #expect(bench.transport.log == ["spill", "spill too", "always"])
        #expect(try bench.stored() == ["pi/b1/2 always"])
    }

    /// A record that tells of a gap is one of its sensor's, and they are sent in order.
    @Test func aGapDoesNotOvertakeWhatWaitsForTheDisk() throws {
        let bench = DiskBench()
        bench.append(String(repeating: "x", count: 100_000), key: "k", .always)
        bench.pass(.milliseconds(900))
        for number in 0..<5 { bench.append("\(number)", key: "k", .always) }
        // Told after one second; the commit comes 100 ms later.
        bench.pass(.milliseconds(150))
        #expect(bench.transport.log == [])
        #expect(bench.outbox.pendingCount == 6)
        bench.pass(.milliseconds(500))
        #expect(bench.transport.log.count == 6)
        #expect(bench.transport.log.prefix(5) == ["0", "1", "2", "3", "4"])
        #expect(try bench.stored().count == 6)
    }

    /// An fsync that hangs is nobody's error, and nothing is sent: somebody has to be told.
    @Test func aDiskThatDoesNotAnswerIsSaidOnce() {
        let bench = DiskBench { $0.durability = .always }
        func said(_ part: String) -> [String] { bench.lines.lines.filter { $0.contains(part) } }
        bench.append(0..<10)
        bench.pass(.seconds(60))
        #expect(said("answer") == [])
        #expect(bench.transport.log.count == 10)
        for time in 1...2 {
            bench.append(0..<10)
            bench.loop.advance(by: .milliseconds(5_100))
            // Asked after `commit_every`, 200 ms.
            #expect(said("has not answered").count == time - 1)
            #expect(bench.status.state == .up)
            bench.loop.advance(by: .milliseconds(200))
            bench.append(10..<20)
            bench.loop.advance(by: .seconds(60))
            #expect(said("outbox.db has not answered for 5 s").count == time)
            #expect(bench.status.state == .silent)
            #expect(bench.status.silences == UInt64(time))
            #expect(bench.transport.log.count == 20 * time - 10)
            bench.queue.run()
            #expect(said("answers again, after 65 s").count == time)
            #expect(bench.status.state == .up)
            #expect(bench.transport.log.count == 20 * time + 10)
        }
        #expect(said("error: ").count == 2)
    }

    /// Nor does what may be sent without it wait behind what is on it.
    @Test func aDiskThatDoesNotAnswerHoldsUpNoLiveRecords() {
        let folder = Folder()
        do {
            let bench = DiskBench(folder, room: 0)
            for number in 0..<2_000 { bench.append("\(number) " + String(repeating: "x", count: 200)) }
            bench.stop()
        }
        let bench = DiskBench(folder, boot: "b2")
        let first = bench.transport.log.count
        bench.transport.deliverAll()
        bench.append("live")
        bench.loop.advance(by: .milliseconds(4_900))
        bench.transport.deliverAll()
        #expect(bench.transport.log.count == first)
        bench.loop.advance(by: .milliseconds(200))
        #expect(bench.transport.log.dropFirst(first) == ["live"])
        #expect(bench.status.state == .silent)
    }

    /// kill -9 at any moment: what was offered is on the disk or was acknowledged.
    @Test func nothingThatWasSentIsLost() throws {
        let folder = Folder()
        var sent: Set<String> = []
        var acknowledged: Set<String> = []
        var random = SeededGenerator(seed: 7)
        for start in 0..<20 {
            let bench = DiskBench(folder, boot: "b\(start)", room: 100) { $0.durability = .always }
            for _ in 0..<Int.random(in: 1...30, using: &random) {
                for number in 0..<Int.random(in: 0...80, using: &random) { bench.append("\(number)") }
                bench.loop.advance(by: .milliseconds(100))
                for _ in 0..<Int.random(in: 0...3, using: &random) {
                    bench.queue.runJob()
                    if random.next() % 2 == 0 { bench.queue.complete() }
                }
                while !bench.transport.held.isEmpty, random.next() % 20 != 0 {
                    acknowledged.insert(bench.transport.deliver(0).id)
                }
                bench.transport.onRoom?()
                sent.formUnion(bench.transport.held.map(\.id))
            }
        }
        let bench = DiskBench(folder, boot: "last")
        for _ in 0..<10_000 where !bench.transport.held.isEmpty {
            acknowledged.insert(bench.transport.deliver(0).id)
            bench.queue.run()
        }
        #expect(sent.count > 500)
        #expect(sent.isSubset(of: acknowledged))
    }
}
