import CShim
import Foundation
import Platform
import Storage
import TestSupport
import Testing

@testable import Commands

/// Claims in the SQLite file.
@Suite struct ClaimDatabaseTests {
    private func claim(_ sequence: Int64, _ id: String, offset: Int64) -> ClaimBatch.Claim {
        ClaimBatch.Claim(
            sequence: sequence, id: id, actuator: sequence % 2 == 0 ? nil : "pump", topic: "commands", partition: 0,
            offset: offset, timestamp: 1_000 + offset)
    }

    @Test func whatIsWrittenIsThereAfterAKill() throws {
        let folder = try KeyFolder()
        let path = folder.path("commands.db")
        do {
            let database = ClaimDatabase(path: path)
            #expect(try database.load().claims.isEmpty)
            var batch = ClaimBatch()
            batch.claims = [claim(1, "a", offset: 5), claim(2, "é", offset: 6)]
            try database.write(batch)
            batch = ClaimBatch()
            batch.answers = [ClaimBatch.Answer(sequence: 1, reply: Array("{\"x\":1}".utf8))]
            try database.write(batch)
            batch = ClaimBatch()
            batch.delivered = [1]
            try database.write(batch)
        }
        let history = try ClaimDatabase(path: path).load()
        #expect(history.notice == "")
        #expect(history.claims.map { $0.sequence } == [0, 1, 2])
        #expect(history.claims[0].offset == 6 && history.claims[0].timestamp == 1_006)
        #expect(history.claims[1].id == "a" && history.claims[1].actuator == "pump")
        #expect(history.claims[1].reply == Array("{\"x\":1}".utf8))
        #expect(history.claims[1].isDelivered)
        #expect(history.claims[2].id == "é" && history.claims[2].actuator == nil)
        #expect(history.claims[2].reply.isEmpty && !history.claims[2].isDelivered)
    }

    @Test func whatIsForgottenLeavesItsPlace() throws {
        let folder = try KeyFolder()
        let database = ClaimDatabase(path: folder.path("commands.db"))
        _ = try database.load()
        for sequence in Int64(1)...600 {
            var batch = ClaimBatch()
            batch.claims = [claim(sequence, "\(sequence)", offset: sequence)]
            batch.forgotten = [sequence - 3]
            try database.write(batch)
        }
        let claims = try database.load().claims
        #expect(claims.map { $0.id } == ["", "598", "599", "600"])
        #expect(claims[0].offset == 600)
        // The log was moved into the file on the way.
        let log = try FileManager.default.attributesOfItem(atPath: folder.path("commands.db-wal"))[.size] as? Int
        #expect(log ?? .max < 8_000_000)
    }

    /// A file that does not tell until when a command must be remembered: for an hour.
    @Test func aFileOfTheFirstVersion() throws {
        let folder = try KeyFolder()
        let path = folder.path("commands.db")
        do {
            let database = try Database(path)
            try database.execute(
                """
                CREATE TABLE claims(sequence INTEGER PRIMARY KEY, id TEXT NOT NULL, actuator TEXT, topic TEXT NOT NULL,
                partition INTEGER NOT NULL, "offset" INTEGER NOT NULL, timestamp INTEGER NOT NULL, reply BLOB,
                delivered INTEGER NOT NULL DEFAULT 0)
                """)
            try database.execute("INSERT INTO claims VALUES(7,'a',NULL,'commands',0,5,1000,NULL,0)")
        }
        do {
            let database = ClaimDatabase(path: path)
            #expect(try database.load().claims.map { $0.until } == [3_601_000])
            var batch = ClaimBatch()
            var next = claim(8, "b", offset: 6)
            next.until = 77
            batch.claims = [next]
            try database.write(batch)
        }
        #expect(try ClaimDatabase(path: path).load().claims.map { $0.until } == [0, 3_601_000, 77])
    }

    @Test func aDamagedFileIsSetAside() throws {
        let folder = try KeyFolder()
        let path = try folder.file("commands.db", String(repeating: "no database at all ", count: 1_000))
        let database = ClaimDatabase(path: path)
        let history = try database.load()
        #expect(history.claims.isEmpty)
        #expect(history.notice.contains("set aside as \(path).damaged"))
        #expect(FileManager.default.fileExists(atPath: path + ".damaged"))
        var batch = ClaimBatch()
        batch.claims = [claim(1, "a", offset: 1)]
        try database.write(batch)
    }

    @Test func aFolderThatIsNotThereIsSaid() throws {
        let database = ClaimDatabase(path: "/nonexistent/commands.db")
        #expect(throws: StorageError.self) { try database.load() }
        #expect(throws: StorageError.self) { try database.write(ClaimBatch()) }
    }

    @Test func aSecondAgentIsKeptOffTheFile() throws {
        let folder = try KeyFolder()
        let path = folder.path("commands.db")
        var first: ClaimDatabase? = ClaimDatabase(path: path)
        _ = try first?.load()
        let second = ClaimDatabase(path: path)
        do throws(StorageError) {
            _ = try second.load()
            Issue.record("it was let in")
        } catch {
            #expect(error.isBusy)
            #expect(
                error.description
                    == "\(path): lock: another agent has it; stop that one, or give this one a different "
                    + "commands.path (SQLite 5)")
        }
        #expect(throws: StorageError.self) { try second.write(ClaimBatch()) }
        // The lock ends with the one who has it.
        first = nil
        #expect(try second.load().claims.isEmpty)
    }

    /// With the real file, on a real thread: a process that is gone is answered for by the next.
    @Test func anAnswerThatNobodyKnows() throws {
        let folder = try KeyFolder()
        let loop = try EventLoop()
        let path = folder.path("commands.db")
        do {
            let database = ClaimDatabase(path: path)
            _ = try database.load()
            var batch = ClaimBatch()
            batch.claims = [claim(1, "a", offset: 5)]
            try database.write(batch)
        }
        var replies: [Reply] = []
        let processor = CommandProcessor(
            node: "pi-01", settings: CommandSettings(topics: []), actuators: [], loop: loop, log: LogRecorder().log,
            journal: ClaimDatabase(path: path), journalQueue: try Worker(name: "commands", loop: loop)
        ) {
            replies.append($0)
            return true
        }
        var isReady = false
        processor.start { isReady = true }
        #expect(try loop.wait { isReady && processor.isIdle })
        #expect(replies.map { $0.id } == ["a"])
        #expect(replies.first?.status == .failed)
        #expect(replies.first?.reason?.hasPrefix("unknown outcome") == true)
        #expect(replies.first?.actuator == "pump")
        processor.stop()
    }
}
