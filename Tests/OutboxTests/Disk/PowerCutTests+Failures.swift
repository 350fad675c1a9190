import CSQLite
import Foundation
import Platform
import Records
import Storage
import TestSupport
import Testing

@testable import Outbox

/// Disks that fail, and what becomes of the records meanwhile. In the same suite, as there is one file system to record.
extension PowerCutTests {
    /// The file system is full, or read-only; then it is not any more.
    @Test(arguments: [SQLITE_FULL, SQLITE_READONLY, SQLITE_IOERR])
    func aDiskThatFailsAndComesBack(_ code: Int32) throws {
        #expect(RecordingFileSystem.isRegistered)
        RecordingFileSystem.steps = []
        defer { RecordingFileSystem.failure = 0 }
        let bench = DiskBench(fileSystem: RecordingFileSystem.name) { $0.durability = .always }
        bench.append(0..<5)
        bench.pass(.seconds(1))
        #expect(bench.transport.log.count == 5)
        RecordingFileSystem.failure = code
        bench.append(5..<10)
        bench.pass(.seconds(1))
        // From memory.
        #expect(bench.transport.log == (0..<10).map { "\($0)" })
        #expect(bench.transport.held.map { $0.position != 0 } == (0..<10).map { $0 < 5 })
        bench.append(10..<20)
        bench.pass(.seconds(60))
        #expect(bench.transport.log.count == 20)
        #expect(
            bench.lines.lines.filter { $0.hasPrefix("error: outbox: ") && $0.contains("going on from memory") }.count
                == 1)
        #expect(bench.status.state == .down)
        RecordingFileSystem.failure = 0
        bench.pass(.seconds(11))
        #expect(bench.lines.lines.last == "warning: outbox: the disk is back")
        #expect(bench.status.state == .up)
        #expect(try bench.stored().count == 20)
        bench.deliverAll()
        #expect(try bench.stored() == [])
        bench.append("always again")
        #expect(bench.transport.log.last == "19")
        bench.pass(.seconds(1))
        #expect(bench.transport.log.last == "always again")
    }

    /// What only the disk has is older, but nobody knows when it will be had.
    @Test func aDiskThatFailsWithABacklogHoldsUpNoLiveRecord() throws {
        #expect(RecordingFileSystem.isRegistered)
        RecordingFileSystem.steps = []
        defer {
            RecordingFileSystem.failure = 0
            RecordingFileSystem.readFailure = 0
        }
        // More than SQLite keeps in memory.
        let texts = (0..<3_000).map { "\($0) " + String(repeating: "x", count: 400) }
        let folder = Folder()
        do {
            let bench = DiskBench(folder, room: 0, fileSystem: RecordingFileSystem.name)
            for text in texts {
                bench.append(text)
                bench.queue.run()
            }
            bench.stop()
        }
        let bench = DiskBench(folder, boot: "b2", room: 0, fileSystem: RecordingFileSystem.name) {
            $0.durability = .always
        }
        RecordingFileSystem.failure = SQLITE_IOERR
        RecordingFileSystem.readFailure = SQLITE_IOERR
        bench.append("live")
        bench.pass(.seconds(1))
        bench.makeRoom()
        // It is asked for more, once.
        bench.queue.run()
        #expect(bench.transport.log.last == "live")
        #expect(bench.transport.log.count < 3_000)
        // Not a position that stands for all below it.
        #expect(bench.transport.held.last?.position == 0)
        bench.transport.deliverAll()
        RecordingFileSystem.failure = 0
        RecordingFileSystem.readFailure = 0
        bench.pass(.seconds(11))
        bench.deliverAll()
        #expect(bench.transport.log.filter { $0 != "live" } == texts)
    }

    /// For `kedge outbox`, on a card that is mounted read-only, and in another user's folder.
    @Test func aFileIsLookedAtWhereNothingCanBeWritten() throws {
        #expect(RecordingFileSystem.isRegistered)
        RecordingFileSystem.steps = []
        defer {
            RecordingFileSystem.isReadOnly = false
            RecordingFileSystem.failure = 0
        }
        let bench = DiskBench(room: 0) { $0.durability = .always }
        bench.append(0..<10)
        bench.stop()
        RecordingFileSystem.isReadOnly = true
        RecordingFileSystem.failure = SQLITE_CANTOPEN
        var count = 0
        let file = try OutboxFile.openToLook(bench.path, fileSystem: RecordingFileSystem.name)
        let survey = try file.look { _ in count += 1 }
        #expect(count == 10)
        #expect(survey.sound == 10 && survey.isSound)
        #expect(bench.folder.names == ["outbox.db", "outbox.db.lock"])
    }

    /// A stop is no time to rest from a failure: the disk may work again, now or in a moment.
    @Test(arguments: [0, 3_000])
    func aStopAfterAFailureStores(_ milliseconds: Int64) throws {
        #expect(RecordingFileSystem.isRegistered)
        RecordingFileSystem.steps = []
        defer { RecordingFileSystem.failure = 0 }
        let bench = DiskBench(room: 0, fileSystem: RecordingFileSystem.name)
        bench.append(0..<100)
        RecordingFileSystem.failure = SQLITE_BUSY
        bench.pass(.seconds(4))
        #expect(bench.status.state == .down)
        if milliseconds == 0 { RecordingFileSystem.failure = 0 }
        var isDone = false
        bench.outbox.store { isDone = true }
        bench.queue.run()
        #expect(isDone == (milliseconds == 0))
        bench.pass(.milliseconds(milliseconds))
        RecordingFileSystem.failure = 0
        bench.pass(.milliseconds(milliseconds == 0 ? 0 : 500))
        #expect(isDone)
        #expect(bench.outbox.unstoredCount == 0)
        #expect(try bench.stored().count == 100)
    }

    @Test func aStopGoesWithoutADiskThatKeepsFailing() {
        #expect(RecordingFileSystem.isRegistered)
        RecordingFileSystem.steps = []
        defer { RecordingFileSystem.failure = 0 }
        let bench = DiskBench(room: 0, fileSystem: RecordingFileSystem.name)
        bench.append(0..<100)
        RecordingFileSystem.failure = SQLITE_READONLY
        bench.pass(.seconds(4))
        var isDone = false
        bench.outbox.store { isDone = true }
        bench.pass(.seconds(7))
        #expect(!isDone)
        bench.pass(.seconds(2))
        #expect(isDone)
        #expect(bench.outbox.unstoredCount == 100)
        // With nothing to lose it is at once.
        RecordingFileSystem.failure = 0
        let empty = DiskBench(fileSystem: RecordingFileSystem.name)
        RecordingFileSystem.failure = SQLITE_READONLY
        empty.append("x", .always)
        empty.pass(.seconds(1))
        empty.transport.deliverAll()
        isDone = false
        empty.outbox.store { isDone = true }
        empty.queue.run()
        #expect(isDone)
    }

    /// A card that wears out is remounted read-only: what is on it goes out, though nothing can be deleted.
    @Test(arguments: [SQLITE_READONLY, SQLITE_FULL])
    func aDiskThatCanOnlyBeReadIsDrained(_ code: Int32) throws {
        #expect(RecordingFileSystem.isRegistered)
        defer { RecordingFileSystem.failure = 0 }
        let folder = Folder()
        do {
            let bench = DiskBench(folder, room: 0, fileSystem: RecordingFileSystem.name)
            bench.append(0..<3_000)
            bench.stop()
        }
        let bench = DiskBench(folder, boot: "b2", room: 0, fileSystem: RecordingFileSystem.name) {
            $0.durability = .always
        }
        RecordingFileSystem.failure = code
        bench.append("live")
        bench.pass(.seconds(1))
        bench.deliverAll()
        // In their order: what is stored was sampled before.
        #expect(bench.transport.log == (0..<3_000).map { "\($0)" } + ["live"])
        #expect(bench.status.state == .down)
        #expect(try bench.stored().count == 3_000)
        #expect(bench.lines.lines.filter { $0.contains("going on from memory") }.count == 1)
        RecordingFileSystem.failure = 0
        bench.pass(.seconds(11))
        #expect(try bench.stored() == [])
        #expect(bench.transport.log.count == 3_001)
    }

    /// Neither written nor read: asked again every 10 s, not without a pause.
    @Test func aDiskThatCannotBeReadEitherIsLeftAlone() throws {
        #expect(RecordingFileSystem.isRegistered)
        defer {
            RecordingFileSystem.failure = 0
            RecordingFileSystem.readFailure = 0
        }
        let folder = Folder()
        do {
            let bench = DiskBench(folder, room: 0, fileSystem: RecordingFileSystem.name)
            for number in 0..<1_000 { bench.append("\(number) " + String(repeating: "x", count: 400)) }
            bench.stop()
        }
        let bench = DiskBench(folder, boot: "b2", fileSystem: RecordingFileSystem.name) { $0.durability = .always }
        RecordingFileSystem.failure = SQLITE_IOERR
        RecordingFileSystem.readFailure = SQLITE_IOERR
        bench.transport.deliverAll()
        bench.append("live")
        bench.pass(.seconds(1))
        bench.transport.deliverAll()
        #expect(bench.transport.log.last == "live")
        let jobs = bench.queue.jobs
        bench.pass(.seconds(50))
        bench.transport.deliverAll()
        #expect(bench.queue.jobs - jobs <= 10)
        #expect(bench.transport.log.count < 1_000)
        RecordingFileSystem.failure = 0
        RecordingFileSystem.readFailure = 0
        bench.pass(.seconds(11))
        bench.deliverAll()
        #expect(bench.transport.log.filter { $0 != "live" }.count == 1_000)
    }

    /// What comes while such a disk is drained has no other place than memory: order is kept for as long as it has room.
    @Test func nothingIsLostForTheOrder() throws {
        #expect(RecordingFileSystem.isRegistered)
        defer { RecordingFileSystem.failure = 0 }
        let folder = Folder()
        do {
            let bench = DiskBench(folder, room: 0, fileSystem: RecordingFileSystem.name)
            bench.append(0..<5_000)
            bench.stop()
        }
        let bench = DiskBench(folder, boot: "b2", room: 0, fileSystem: RecordingFileSystem.name) {
            $0.drainRate = 10
            $0.maxMemory = 256_000
        }
        RecordingFileSystem.failure = SQLITE_READONLY
        bench.append("live 0")
        bench.pass(.seconds(3))
        #expect(bench.status.state == .down)
        bench.makeRoom()
        var before = 0
        // Beside its rate a drain lets as many go as come; these come at once.
        for number in 1..<1_500 {
            bench.append("live \(number) " + String(repeating: "x", count: 200))
            if number % 50 == 0 {
                bench.pass(.milliseconds(1_500))
                bench.transport.deliverAll()
            }
            if number == 50 { before = bench.transport.log.filter { $0.hasPrefix("live") }.count }
        }
        #expect(before == 0)
        let counters = bench.outbox.counters(of: .record)
        #expect(counters.dropped + counters.refused == 0)
        #expect(bench.transport.log.contains { $0.hasPrefix("live") })
    }

    /// All up to a position are taken for delivered: one that passes others does not give its own.
    @Test func whatPassesOthersGivesNoPosition() {
        #expect(RecordingFileSystem.isRegistered)
        defer { RecordingFileSystem.failure = 0 }
        let folder = Folder()
        do {
            let bench = DiskBench(folder, room: 0, fileSystem: RecordingFileSystem.name)
            bench.append(0..<100)
            bench.stop()
        }
        let bench = DiskBench(folder, boot: "b2", room: 0, fileSystem: RecordingFileSystem.name) {
            $0.durability = .always
            $0.keepsPositions = true
            $0.maxMemory = 256_000
        }
        bench.append("live")
        bench.pass(.seconds(1))
        #expect(bench.status.records == 101)
        #expect(bench.outbox.disk?.lowestOnDisk == Int64.max)
        RecordingFileSystem.failure = SQLITE_READONLY
        for number in 0..<430 { bench.append("\(number) " + String(repeating: "x", count: 230)) }
        bench.pass(.seconds(1))
        #expect(bench.status.state == .down)
        bench.makeRoom()
        #expect(bench.transport.log.first == "live")
        #expect(bench.transport.held.first?.position == 0)
        // Those in their order do.
        var positions: Set<Int64> = []
        while !bench.transport.held.isEmpty { positions.insert(bench.transport.deliver().position) }
        #expect(positions == Set(0...100))
    }

    /// The same before the agent starts: nothing can be made beside the file then, which SQLite does for reading, too.
    @Test(arguments: [false, true])
    func aDiskThatCanOnlyBeReadFromTheStart(hasCrashed: Bool) throws {
        #expect(RecordingFileSystem.isRegistered)
        defer { RecordingFileSystem.isReadOnly = false }
        let folder = Folder()
        do {
            let bench = DiskBench(hasCrashed ? Folder() : folder, room: 0, fileSystem: RecordingFileSystem.name)
            bench.append(0..<300)
            bench.pass(.seconds(5))
            for name in bench.folder.names where hasCrashed {
                try Data(bench.folder.bytes(name) ?? []).write(to: URL(fileURLWithPath: folder.file(name)))
            }
            bench.stop()
        }
        #expect(folder.names.contains("outbox.db-wal") == hasCrashed)
        RecordingFileSystem.isReadOnly = true
        let bench = DiskBench(folder, boot: "b2", fileSystem: RecordingFileSystem.name) { $0.durability = .always }
        bench.append("live")
        bench.pass(.seconds(1))
        for _ in 0..<30 {
            bench.transport.deliverAll()
            bench.pass(.seconds(1))
        }
        #expect(bench.transport.log == (0..<300).map { "\($0)" } + ["live"])
        #expect(bench.status.state == .down)
        #expect(bench.status.records == 300)
        #expect(bench.lines.lines.filter { $0.contains("going on from memory") }.count == 1)
        // Made writable again under the agent.
        RecordingFileSystem.isReadOnly = false
        bench.pass(.seconds(11))
        bench.append("stored")
        bench.pass(.milliseconds(300))
        #expect(bench.lines.lines.last?.contains("the disk is back") == true)
        #expect(bench.status.state == .up)
        #expect(try bench.stored().map { $0.suffix(6) } == ["stored"])
    }

    @Test func aDiskThatIsNotThereAtTheStart() throws {
        let folder = Folder()
        let bench = DiskBench(folder, fileSystem: "no such layer")
        bench.append(0..<10)
        bench.pass(.seconds(30))
        #expect(bench.transport.log.count == 10)
        #expect(bench.lines.lines.filter { $0.contains("going on from memory") }.count == 1)
        bench.stop()
        #expect(bench.outbox.unstoredCount == 10)
    }
}
