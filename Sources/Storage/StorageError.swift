import CSQLite
import Platform

/// What SQLite could not do: with which file, what it was about, and why.
public struct StorageError: Error, Equatable, Sendable {
    /// The database file.
    public let file: String
    /// What was being done, such as `open`, or the beginning of a statement.
    public let operation: String
    /// SQLite's extended result code (sqlite.org/rescode.html), such as 522 for a short read.
    public let code: Int32
    /// SQLite's words for it.
    public let reason: String

    public init(file: String, operation: String, code: Int32, reason: String) {
        self.file = file
        self.operation = operation
        self.code = code
        self.reason = reason
    }

    public static func == (left: StorageError, right: StorageError) -> Bool {
        left.code == right.code && sameBytes(left.file, right.file) && sameBytes(left.operation, right.operation)
    }

    /// The primary result code: the lower eight bits.
    public var primaryCode: Int32 { code & 0xFF }
    /// The file is no database, or a damaged one: to be set aside and read out.
    public var isDamage: Bool {
        primaryCode == SQLITE_CORRUPT || primaryCode == SQLITE_NOTADB || code == Self.shortRead
    }
    /// The device, the quota or `max_page_count` is full.
    public var isFull: Bool { primaryCode == SQLITE_FULL }
    /// The code of a file in which there is no database yet (SQLITE_EMPTY, which SQLite itself does not use).
    public static var nothing: Int32 { SQLITE_EMPTY }
    /// The file or its file system does not let us write.
    public var isReadOnly: Bool { primaryCode == SQLITE_READONLY }
    /// The file cannot be opened, or not all that belongs to it: made, where a file system lets nobody write.
    public var isUnopenable: Bool { primaryCode == SQLITE_CANTOPEN }
    /// Another process holds a lock for longer than the busy timeout.
    public var isBusy: Bool { primaryCode == SQLITE_BUSY || primaryCode == SQLITE_LOCKED }

    /// SQLITE_IOERR_SHORT_READ, a macro with an expression that Swift does not see: the file ends where a page should be.
    private static var shortRead: Int32 { SQLITE_IOERR | (2 << 8) }

    /// Such as "/var/lib/kedge/outbox.db: COMMIT: database or disk is full (SQLite 13)".
    public var description: String {
        joined(file, ": ", operation, ": ", reason, " (SQLite ", decimal(code), ")")
    }
}
