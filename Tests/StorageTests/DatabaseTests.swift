import CSQLite
import Foundation
import Platform
import Testing

@testable import Storage

@Suite struct DatabaseTests {
    private let folder = Folder()
    private var path: String { folder.file("test.db") }

    private func filled(_ rows: Int) throws -> Database {
        let database = try Database(path)
        try database.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, data BLOB)")
        let insert = try database.prepare("INSERT INTO t(name,data) VALUES(?,?)")
        try database.execute("BEGIN IMMEDIATE")
        for row in 0..<rows {
            let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: row), count: row % 7)
            try insert.bind(1, "row \(row)")
            try bytes.withUnsafeBytes { bytes in
                try insert.bind(2, bytes)
                try insert.run()
            }
        }
        try database.execute("COMMIT")
        return database
    }

    @Test func whatIsBoundComesBack() throws {
        let database = try filled(20)
        #expect(database.lastRow == 20)
        let query = try database.prepare("SELECT id, name, data, NULL, length(data) FROM t WHERE id>? ORDER BY id")
        try query.bind(1, 3)
        var expected: Int64 = 4
        while try query.step() {
            #expect(query.integer(0) == expected)
            #expect(query.text(1) == "row \(expected - 1)")
            #expect(Array(query.bytes(2)) == [UInt8](repeating: UInt8(expected - 1), count: Int(expected - 1) % 7))
            #expect(query.isNull(3))
            #expect(!query.isNull(2))
            #expect(query.integer(4) == (expected - 1) % 7)
            expected += 1
        }
        #expect(expected == 21)
        // The parameter stays, the rows come again.
        #expect(try query.step())
        query.reset()
        try query.bindNull(1)
        #expect(try !query.step())
    }

    @Test func emptyAndOddText() throws {
        let database = try Database(path)
        let query = try database.prepare("SELECT ?1, typeof(?1), length(?1)")
        for text in ["", "a'b\"c;--", "Grüße 🌡", "x\u{0}y"] {
            try query.bind(1, text)
            #expect(try query.step())
            #expect(query.text(0) == text)
            #expect(query.text(1) == "text")
            query.reset()
        }
    }

    @Test func theConnectionIsSetUpAsTheSettingsSay() throws {
        var settings = Database.Settings()
        settings.maxSize = 1_000_000
        settings.cache = 100 * 1_024
        settings.busyTimeout = .milliseconds(1_234)
        let database = try Database(path, settings)
        #expect(try database.number("PRAGMA synchronous") == 2)
        #expect(try database.number("PRAGMA cache_size") == -100)
        #expect(try database.number("PRAGMA max_page_count") == 244)
        #expect(try database.number("PRAGMA busy_timeout") == 1_234)
        #expect(try database.number("PRAGMA journal_size_limit") == 1_048_576)
        #expect(try database.number("PRAGMA wal_autocheckpoint") == 0)
        let query = try database.prepare("PRAGMA journal_mode")
        #expect(try query.step())
        #expect(query.text(0) == "wal")
        settings.isDurable = false
        #expect(try Database(path, settings).number("PRAGMA synchronous") == 1)
    }

    @Test func aCommitIsOneSync() throws {
        let database = try filled(5)
        let insert = try database.prepare("INSERT INTO t(name) VALUES('x')")
        let before = database.written
        for _ in 0..<10 { try insert.run() }
        #expect(database.written.syncs - before.syncs == 10)
        let one = database.written
        try database.execute("BEGIN")
        for _ in 0..<10 { try insert.run() }
        try database.execute("COMMIT")
        #expect(database.written.syncs - one.syncs == 1)
        #expect(database.written.bytes > one.bytes)
        // A frame of the log: the page and 24 bytes about it.
        #expect((database.written.bytes - one.bytes) % (4_096 + 24) == 0)
    }

    @Test func readingWritesNothing() throws {
        let database = try filled(2_000)
        let before = database.written
        #expect(try database.number("SELECT count(*) FROM t WHERE name LIKE '%7%'") > 0)
        #expect(database.written == before)
    }

    @Test func theLogGoesIntoTheFileAtACheckpoint() throws {
        let database = try filled(2_000)
        #expect(folder.size("test.db-wal") > 50_000)
        try database.checkpoint(truncating: true)
        #expect(folder.size("test.db-wal") == 0)
        #expect(folder.size("test.db") > 40_000)
    }

    @Test func anotherConnectionReadsMeanwhile() throws {
        let database = try filled(3)
        var settings = Database.Settings()
        settings.access = .readOnly
        let reader = try Database(path, settings)
        try database.execute("BEGIN IMMEDIATE")
        try database.execute("DELETE FROM t")
        #expect(try reader.number("SELECT count(*) FROM t") == 3)
        try database.execute("COMMIT")
        #expect(try reader.number("SELECT count(*) FROM t") == 0)
        #expect(throws: StorageError.self) { try reader.execute("DELETE FROM t") }
    }

    @Test func whatAFileIsFullOf() throws {
        var settings = Database.Settings()
        settings.maxSize = 100_000
        let database = try Database(path, settings)
        try database.execute("CREATE TABLE t(data BLOB)")
        do throws(StorageError) {
            for _ in 0..<200 { try database.execute("INSERT INTO t VALUES(zeroblob(1000))") }
            Issue.record("it never was full")
        } catch {
            #expect(error.isFull)
            #expect(error.file == path)
            #expect(error.operation == "INSERT INTO t VALUES(zeroblob(1000))")
            #expect(error.description == "\(path): \(error.operation): database or disk is full (SQLite 13)")
        }
        #expect(try database.number("SELECT count(*) FROM t") > 50)
    }

    @Test func whatIsNoDatabaseIsDamage() throws {
        try Data(repeating: 7, count: 10_000).write(to: URL(fileURLWithPath: path))
        do throws(StorageError) {
            _ = try Database(path)
            Issue.record("opened")
        } catch {
            #expect(error.isDamage)
            #expect(!error.isFull)
        }
    }

    @Test func whatIsNotThereSaysWhy() {
        var settings = Database.Settings()
        for access in [Database.Access.readOnly, .readWrite] {
            settings.access = access
            do throws(StorageError) {
                _ = try Database(path, settings)
                Issue.record("opened")
            } catch {
                #expect(error.operation == "open")
                #expect(error.reason == "unable to open database file: No such file or directory")
            }
        }
        #expect(folder.size("test.db") == -1)
        settings.fileSystem = "no such layer"
        #expect(throws: StorageError.self) { try Database(path, settings) }
    }

    @Test func aBusyFileIsWaitedForNoLongerThanSaid() throws {
        var settings = Database.Settings()
        settings.busyTimeout = .milliseconds(10)
        let first = try filled(1)
        let second = try Database(path, settings)
        try first.execute("BEGIN IMMEDIATE")
        do throws(StorageError) {
            try second.execute("BEGIN IMMEDIATE")
            Issue.record("two writers")
        } catch {
            #expect(error.isBusy)
        }
        #expect(!second.isInTransaction)
        #expect(first.isInTransaction)
        first.rollBack()
        first.rollBack()
        #expect(!first.isInTransaction)
        try second.execute("BEGIN IMMEDIATE")
    }

    @Test func aWrongStatementIsNamed() throws {
        let database = try Database(path)
        do throws(StorageError) {
            _ = try database.prepare("SELECT x FROM nowhere")
            Issue.record("prepared")
        } catch {
            #expect(error.code == SQLITE_ERROR)
            #expect(error.reason == "no such table: nowhere")
        }
    }

    /// A statement keeps the file open: whichever goes first, nothing dangles.
    @Test func ownersMayGoInAnyOrder() throws {
        var database: Database? = try filled(3)
        let query = try database!.prepare("SELECT count(*) FROM t")
        database = nil
        #expect(try query.step())
        #expect(query.integer(0) == 3)
    }
}
