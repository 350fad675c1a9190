import Foundation
import Platform
import Storage
import TestSupport
import Testing

@testable import Outbox

/// What a position that was kept elsewhere means after a recovery: the records have kept theirs, so it means the same.
@Suite struct IdentityTests {
    /// An outbox that was closed, and the next start of it.
    private struct Original {
        let folder: Folder
        let identity: String
        let next: Int64
        var path: String { folder.file("outbox.db") }
    }

    /// - Parameter delivered: whether everything has been delivered, so that no record tells how far positions went.
    private func original(_ count: Int = 600, delivered: Bool = false) throws -> Original {
        let folder = Folder()
        let bench = DiskBench(folder, room: 0) {
            $0.durability = .always
            $0.keepsPositions = true
        }
        bench.append(0..<count)
        bench.pass(.seconds(1))
        if delivered { bench.deliverAll() }
        bench.stop()
        let state = try OutboxFile.open(bench.path, access: .readOnly).state()
        #expect(state.count == (delivered ? 0 : Int64(count)))
        return Original(folder: folder, identity: state.identity, next: state.next)
    }

    /// Makes nonsense of pages of the file: the roots of tables, or their numbers.
    private func tear(_ original: Original, _ tables: [String], pages: [Int64] = []) throws {
        var torn = pages
        do {
            let database = try Database(original.path)
            for table in tables {
                torn.append(try database.number("SELECT rootpage FROM sqlite_schema WHERE name='\(table)'"))
            }
        }
        let file = try #require(FileHandle(forWritingAtPath: original.path))
        for page in torn {
            try file.seek(toOffset: UInt64(page - 1) * 4_096)
            try file.write(contentsOf: [UInt8](repeating: 0x5A, count: 4_096))
        }
        try file.close()
    }

    /// The next start, whose transport knows that all up to `position` is delivered.
    private func start(_ original: Original, settled position: Int64) -> DiskBench {
        let bench = DiskBench(original.folder, boot: "b2", opens: false) {
            $0.durability = .always
            $0.keepsPositions = true
        }
        bench.outbox.isDrainHeld = true
        bench.queue.run()
        bench.outbox.settle(through: position, of: original.identity)
        bench.outbox.isDrainHeld = false
        bench.deliverAll()
        return bench
    }

    @Test func aTornStateIsNoOtherOutbox() throws {
        let original = try original()
        try tear(original, ["state"])
        let bench = start(original, settled: 400)
        #expect(bench.outbox.storeIdentity == original.identity)
        #expect(bench.lines.lines.contains { $0.contains("600 records were recovered") })
        #expect(bench.transport.log == (400..<600).map { "\($0)" })
    }

    /// Nothing tells how far positions had gone, and the transport has one that is higher than any that is found.
    @Test(arguments: [1, 3]) func positionsAreNotGivenOutTwice(_ times: Int) throws {
        var original = try original(delivered: true)
        for time in 0..<times {
            try tear(original, ["state"])
            let boot = "live \(time)"
            let bench = DiskBench(original.folder, boot: "c\(time)", room: 0) { $0.durability = .always }
            #expect(bench.outbox.storeIdentity == original.identity)
            bench.append(boot)
            bench.pass(.seconds(1))
            bench.stop()
            // All that was ever given out is delivered, and what came since is not.
            let settled = max(original.next - 1, 5_000_000)
            let next = start(original, settled: settled)
            #expect(next.transport.log == [boot])
            next.stop()
            let state = try OutboxFile.open(original.path, access: .readOnly).state()
            original = Original(folder: original.folder, identity: original.identity, next: state.next)
        }
    }

    /// The damage is met while the agent runs, which knows more of the file than is left of it.
    @Test func aRecoveryUnderWayIsNoOtherOutbox() throws {
        let original = try original(3_000)
        let bench = DiskBench(original.folder, boot: "b2", opens: false) {
            $0.durability = .always
            $0.keepsPositions = true
        }
        bench.outbox.isDrainHeld = true
        bench.queue.run()
        #expect(bench.outbox.storeIdentity == original.identity)
        try tear(original, ["state", "names"], pages: [12])
        bench.outbox.settle(through: 100, of: original.identity)
        bench.outbox.isDrainHeld = false
        bench.makeRoom(1_500)
        bench.pass(.seconds(5))
        #expect(bench.lines.lines.contains { $0.contains("is damaged; it was set aside") })
        #expect(bench.outbox.storeIdentity == original.identity)
        let first = bench.transport.held.map(\.position).filter { $0 > 0 }
        #expect(first.count > 1_000 && first.min() == 101)
        bench.append("live", topic: 1)
        bench.pass(.seconds(1))
        let stored = try bench.stored()
        #expect(stored.last?.hasSuffix(" live") == true)
        // A power cut before anything of it is deleted. The transport has what was held.
        let cut = Original(folder: Folder(), identity: original.identity, next: 0)
        for name in ["outbox.db", "outbox.db-wal"] {
            let bytes = try #require(original.folder.bytes(name))
            try Data(bytes).write(to: URL(fileURLWithPath: cut.folder.file(name)))
        }
        let next = start(cut, settled: first.max() ?? 0)
        #expect(next.outbox.storeIdentity == original.identity)
        #expect(Set(next.transport.log).isDisjoint(with: bench.transport.held.map(\.text)))
        #expect(next.transport.log.last == "live")
        #expect(next.transport.log.count + first.count > 2_700)
    }

    /// Nothing is left that tells whose positions they are: then nothing is taken for delivered.
    @Test func withoutAnIdentityAllIsSentAgain() throws {
        let original = try original()
        do { try Database(original.path).execute("DELETE FROM names WHERE name LIKE '/%'") }
        try tear(original, ["state"])
        let bench = start(original, settled: 400)
        #expect(bench.transport.log == (0..<600).map { "\($0)" })
        #expect(bench.outbox.storeIdentity != original.identity)
        #expect(bench.outbox.storeIdentity.utf8.count == 16)
        #expect(bench.lines.lines.contains { $0.contains("its identity is lost") })
        bench.append("live")
        bench.deliverAll()
        #expect(bench.transport.log.last == "live")
    }

    @Test func theMarkIsReadAsItIsWritten() {
        let mark = OutboxMark(identity: "0123456789abcdef", next: 3 << 44 + 7)
        #expect(mark.text == "/0123456789abcdef/3")
        #expect(OutboxMark(mark.text)?.identity == mark.identity)
        #expect(OutboxMark(mark.text)?.epoch == 3)
        for name in ["", "sensors", "pi/b1", "/0123456789abcdef/", "/0123456789abcdef/x", "/0123456789abcde/30"] {
            #expect(OutboxMark(name) == nil, "\(name)")
        }
        #expect(OutboxMark("/0123456789abcdef/999999").map { OutboxMark.start(of: $0.epoch) } == 1 << 61)
    }
}
