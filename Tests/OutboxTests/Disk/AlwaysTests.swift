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
