import CSQLite
import Platform

/// A SQLite database file and the one connection to it. Closed when the owner and all its statements are gone.
///
/// It may be used by one thread at a time. Everything may block: each write for as long as the card takes, and each
/// statement for `busyTimeout` while another process holds the lock.
///
/// The write-ahead log is on, so that a commit is one sequential write and one fsync, and another process can read
/// meanwhile. Nothing checkpoints by itself: `checkpoint` moves the log into the file when its owner sees fit.
public final class Database {
    public enum Access: Sendable {
        /// Must exist; nothing is written, not even the index of the log where that can be avoided.
        case readOnly
        /// Must exist.
        case readWrite
        /// Made if absent.
        case create
    }

    public struct Settings: Sendable {
        public var access = Access.create
        /// Whether a commit is on the disk when it returns (`synchronous=FULL`). Otherwise a power cut may take the last
        /// commits away, but never the order or the shape of what is there (`NORMAL`).
        public var isDurable = true
        /// How long a statement waits for another process's lock.
        public var busyTimeout = Interval.seconds(5)
        /// Bytes of the page cache. The default suits a board with 512 MB of memory.
        public var cache = 256 * 1_024
        /// Bytes that a page has in a new database.
        public var pageSize = 4_096
        /// The most bytes that the file may have (`max_page_count`); none when 0. The log is not counted.
        public var maxSize: Int64 = 0
        /// Bytes to which the log's file is cut back after a checkpoint.
        public var logLimit: Int64 = 1_048_576
        /// Opens a file that is damaged, such as one that is shorter than it says, for reading what there is of it.
        /// Nothing is set up for writing.
        public var toleratesDamage = false
        /// With `readOnly`: nobody writes it, as on a file system that nobody can write to. Without this such a file does not
        /// open, for want of a place for the log. What a log has is not seen.
        public var isUnchanging = false
        /// The VFS to stand on; `nil` for the system's. For tests.
        public var fileSystem: String?

        public init() {}
    }

    /// The file.
    public let path: String
    private let handle: OpaquePointer
    private let fileSystem: CountingFileSystem

    /// Opens the file and sets the connection up.
    /// - Throws: `StorageError` when it cannot be had, or is no database.
    public init(_ path: String, _ settings: Settings = Settings()) throws(StorageError) {
        let opened = try Self.open(path, settings)
        self.path = path
        handle = opened.handle
        fileSystem = opened.fileSystem
        // Everything is set: what throws from here on closes the file.
        sqlite3_extended_result_codes(handle, 1)
        sqlite3_busy_timeout(handle, Int32(clamping: settings.busyTimeout.milliseconds))
        try execute(joined("PRAGMA cache_size=-", decimal(max(settings.cache / 1_024, 16))))
        // Sorting and joining, of which there is next to none, never make files.
        try execute("PRAGMA temp_store=MEMORY")
        try execute("PRAGMA trusted_schema=OFF")
        if settings.toleratesDamage {
            // SQLite's own way of recovery: otherwise a file that lost its end is refused as a whole.
            try execute("PRAGMA writable_schema=ON")
            return
        }
        guard case .readOnly = settings.access else {
            try execute(joined("PRAGMA page_size=", decimal(settings.pageSize)))
            try execute("PRAGMA journal_mode=WAL")
            try execute(settings.isDurable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL")
            try execute("PRAGMA wal_autocheckpoint=0")
            try execute(joined("PRAGMA journal_size_limit=", decimal(settings.logLimit)))
            if settings.maxSize > 0 {
                let pages = settings.maxSize / Int64(try pageSize())
                try execute(joined("PRAGMA max_page_count=", decimal(max(pages, 1))))
            }
            return
        }
    }

    private struct Opened {
        let handle: OpaquePointer
        let fileSystem: CountingFileSystem
    }

    private static func open(_ path: String, _ settings: Settings) throws(StorageError) -> Opened {
        guard let fileSystem = CountingFileSystem.make(over: settings.fileSystem) else {
            throw StorageError(file: path, operation: "open", code: SQLITE_NOMEM, reason: "no such file system layer")
        }
        let flags: Int32
        switch settings.access {
        case .readOnly: flags = SQLITE_OPEN_READONLY
        case .readWrite: flags = SQLITE_OPEN_READWRITE
        case .create: flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
        }
        var handle: OpaquePointer?
        let name = settings.isUnchanging ? joined("file:", escaped(path), "?immutable=1") : path
        let more = settings.isUnchanging ? SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI : SQLITE_OPEN_NOMUTEX
        let code = name.withCString { sqlite3_open_v2($0, &handle, flags | more, fileSystem.cName) }
        guard code == SQLITE_OK, let handle else {
            let error = StorageError(
                file: path, operation: "open", code: handle.map { sqlite3_extended_errcode($0) } ?? code,
                reason: reason(code, handle))
            sqlite3_close(handle)
            throw error
        }
        return Opened(handle: handle, fileSystem: fileSystem)
    }

    /// As a part of a URI: https://www.sqlite.org/uri.html
    private static func escaped(_ path: String) -> String {
        var bytes: [UInt8] = []
        for byte in path.utf8 {
            switch byte {
            case UInt8(ascii: "%"): bytes += Array("%25".utf8)
            case UInt8(ascii: "?"): bytes += Array("%3f".utf8)
            case UInt8(ascii: "#"): bytes += Array("%23".utf8)
            default: bytes.append(byte)
            }
        }
        // Two slashes at the beginning would make a host of what follows.
        let prefix = bytes.starts(with: [47, 47]) ? "//" : ""
        return prefix + String(decoding: bytes, as: UTF8.self)
    }

    deinit { sqlite3_close_v2(handle) }

    /// SQLite's words, with the system's where it has any.
    private static func reason(_ code: Int32, _ handle: OpaquePointer?) -> String {
        let text = String(cString: handle.map { sqlite3_errmsg($0) } ?? sqlite3_errstr(code))
        let errno = handle.map { sqlite3_system_errno($0) } ?? 0
        return errno == 0 ? text : joined(text, ": ", errorText(errno))
    }

    /// The last error of this connection.
    func error(_ operation: String, _ code: Int32) -> StorageError {
        StorageError(file: path, operation: operation, code: code, reason: Self.reason(code, handle))
    }

    // MARK: Statements

    /// Runs a statement that gives no rows, or whose rows do not matter.
    public func execute(_ sql: String) throws(StorageError) {
        let code = sqlite3_exec(handle, sql, nil, nil, nil)
        if code != SQLITE_OK { throw error(sql, code) }
    }

    /// Compiles one statement, to be used again and again.
    public func prepare(_ sql: String) throws(StorageError) -> Statement {
        var statement: OpaquePointer?
        let code = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
        guard code == SQLITE_OK, let statement else { throw error(sql, code) }
        return Statement(statement, of: self, sql)
    }

    /// The one number that a query gives; 0 where it gives none.
    public func number(_ sql: String) throws(StorageError) -> Int64 {
        let statement = try prepare(sql)
        return try statement.step() ? statement.integer(0) : 0
    }

    /// Rows that the last statement changed.
    public var changes: Int { Int(sqlite3_changes(handle)) }
    /// The rowid of the last row inserted.
    public var lastRow: Int64 { sqlite3_last_insert_rowid(handle) }
    /// Whether a transaction is open: an error may have ended it.
    public var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }

    /// Ends an open transaction without effect; nothing where none is open.
    public func rollBack() {
        if isInTransaction { sqlite3_exec(handle, "ROLLBACK", nil, nil, nil) }
    }

    // MARK: The file

    /// What has been written through this connection.
    public var written: WriteCounters { fileSystem.counters }

    /// Whether the file has gone from its place since it was opened, or another has it: what is written then is gone with
    /// the last process that has it open.
    public var hasMoved: Bool {
        var hasMoved: Int32 = 0
        let code = sqlite3_file_control(handle, nil, SQLITE_FCNTL_HAS_MOVED, &hasMoved)
        return code == SQLITE_OK && hasMoved != 0
    }

    /// Bytes of a page.
    public func pageSize() throws(StorageError) -> Int { Int(try number("PRAGMA page_size")) }

    /// Moves the log into the file as far as readers let it, and syncs. One fsync for the log, one for the file.
    /// - Parameter truncating: cuts the log's file to nothing, when no reader is in it.
    public func checkpoint(truncating: Bool = false) throws(StorageError) {
        let mode = truncating ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE
        let code = sqlite3_wal_checkpoint_v2(handle, nil, mode, nil, nil)
        if code != SQLITE_OK { throw error("checkpoint", code) }
    }
}
