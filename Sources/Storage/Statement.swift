import CSQLite
import Platform

/// A compiled statement. Keeps its database open; finalised when its owner goes.
///
/// `bind` places from 1, as in SQL; `column` places from 0. Memory that is bound must stay until the next `reset`.
public final class Statement {
    private let database: Database
    private let sql: String
    private let handle: OpaquePointer

    init(_ handle: OpaquePointer, of database: Database, _ sql: String) {
        self.handle = handle
        self.database = database
        self.sql = sql
    }

    deinit { sqlite3_finalize(handle) }

    private func check(_ code: Int32) throws(StorageError) {
        if code != SQLITE_OK { throw database.error(sql, code) }
    }

    // MARK: Parameters

    public func bind(_ place: Int, _ number: Int64) throws(StorageError) {
        try check(sqlite3_bind_int64(handle, Int32(place), number))
    }

    /// Not copied: `bytes` must stay until `reset`. No bytes are an empty blob, not NULL.
    public func bind(_ place: Int, _ bytes: UnsafeRawBufferPointer) throws(StorageError) {
        guard let start = bytes.baseAddress, !bytes.isEmpty else {
            try check(sqlite3_bind_zeroblob(handle, Int32(place), 0))
            return
        }
        try check(sqlite3_bind_blob64(handle, Int32(place), start, UInt64(bytes.count), nil))
    }

    /// Copied.
    public func bind(_ place: Int, _ text: String) throws(StorageError) {
        var text = text
        let code = text.withUTF8 { bytes -> Int32 in
            bytes.withMemoryRebound(to: CChar.self) { characters in
                // SQLite copies it before the call returns (SQLITE_TRANSIENT).
                sqlite3_bind_text(
                    handle, Int32(place), characters.baseAddress ?? Self.noText, Int32(clamping: characters.count),
                    unsafeBitCast(-1, to: sqlite3_destructor_type.self))
            }
        }
        try check(code)
    }

    /// Somewhere to point to for the empty text: a null pointer would be NULL.
    private static var noText: UnsafePointer<CChar>? { sqlite3_libversion() }

    public func bindNull(_ place: Int) throws(StorageError) { try check(sqlite3_bind_null(handle, Int32(place))) }

    // MARK: Running

    /// Goes to the next row.
    /// - Returns: whether there is one. At the end, and at an error, the statement is reset; what is bound stays bound.
    public func step() throws(StorageError) -> Bool {
        let code = sqlite3_step(handle)
        if code == SQLITE_ROW { return true }
        guard code == SQLITE_DONE else {
            let error = database.error(sql, code)
            sqlite3_reset(handle)
            throw error
        }
        sqlite3_reset(handle)
        return false
    }

    /// Runs a statement that gives no rows.
    public func run() throws(StorageError) {
        while try step() {}
    }

    /// Ends a query whose rows are not all wanted: it would hold its place in the log, and so the log's length.
    public func reset() { sqlite3_reset(handle) }

    // MARK: The row

    public func integer(_ column: Int) -> Int64 { sqlite3_column_int64(handle, Int32(column)) }

    /// The bytes of a blob or a text; stand until the next `step` or `reset`.
    public func bytes(_ column: Int) -> UnsafeRawBufferPointer {
        let start = sqlite3_column_blob(handle, Int32(column))
        return UnsafeRawBufferPointer(
            start: start, count: start == nil ? 0 : Int(sqlite3_column_bytes(handle, Int32(column))))
    }

    public func text(_ column: Int) -> String { String(decoding: bytes(column), as: UTF8.self) }

    public func isNull(_ column: Int) -> Bool { sqlite3_column_type(handle, Int32(column)) == SQLITE_NULL }
}
