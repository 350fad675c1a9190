import Platform
import Records
import Storage
import TestSupport
import Testing

@testable import Outbox

/// What a transport that keeps positions relies on: all up to the one it has kept is delivered.
@Suite struct PositionTests {
    /// A card's image brings an old file back, and the brokers know of later positions.
    @Test func positionsGoOnBehindWhatWasSettled() throws {
        let folder = Folder()
        let bench = DiskBench(folder, room: 0) { $0.durability = .always }
        let identity = bench.outbox.storeIdentity
        #expect(bench.outbox.settle(through: 50_000, of: identity))
        bench.append(0..<10)
        bench.pass(.seconds(1))
        bench.stop()
        let next = DiskBench(folder, boot: "b2", opens: false)
        next.outbox.isDrainHeld = true
        next.queue.run()
        #expect(next.outbox.settle(through: 50_000, of: identity))
        next.outbox.isDrainHeld = false
        next.deliverAll()
        #expect(next.transport.log == (0..<10).map { "\($0)" })
    }

    /// A record that tells of a gap stands between others, and its position must, too.
    @Test func positionsAscendInTheOrderOfTheOffersWithGapsAmongThem() {
        let bench = DiskBench(room: 0) {
            $0.durability = .always
            $0.keepsPositions = true
        }
        bench.append(0..<10)
        bench.append(String(repeating: "x", count: 100_000), key: "k1")
        bench.pass(.milliseconds(1_050))
        bench.append(10..<20)
        bench.pass(.seconds(5))
        bench.makeRoom()
        let positions = bench.transport.held.map(\.position)
        #expect(positions.count == 21)
        #expect(bench.transport.log[10].contains("\"gap\""))
        #expect(positions == positions.sorted())
    }

    /// A start takes a number for its name, and there are 65,535.
    @Test func namesThatNobodyNeedsAreForgotten() throws {
        let folder = Folder()
        do {
            let bench = DiskBench(folder, room: 0)
            bench.append(0..<3)
            bench.stop()
            let names = try Database(folder.file("outbox.db"))
            try names.execute(
                "WITH RECURSIVE n(i) AS (SELECT 65400 UNION ALL SELECT i+1 FROM n WHERE i<65535) "
                    + "INSERT INTO names SELECT i,'old/'||i FROM n")
        }
        do {
            // Not while there are records.
            let bench = DiskBench(folder, boot: "b2")
            #expect(bench.transport.log == ["0", "1", "2"])
            bench.deliverAll()
            bench.stop()
        }
        let bench = DiskBench(folder, boot: "b3", room: 0) { $0.durability = .always }
        bench.append(0..<3)
        bench.pass(.seconds(1))
        #expect(try bench.stored().count == 3)
    }
}
