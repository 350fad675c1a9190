import Platform
import Records
import Storage

/// A record on its way to the file: where it lies in memory, and what is noted about it.
struct StoreItem {
    let position: Int64
    /// Numbers of `DiskNames`.
    let origin: Int
    let topic: Int
    let sequence: UInt64
    /// When it was sampled, in milliseconds since 1970.
    let time: Int64
    let key: UnsafeRawBufferPointer
    let payload: UnsafeRawBufferPointer
    /// What it tells, if it tells of a gap.
    var told: RecordEntry.Told?
}

/// A record as it is in the file. Key and payload stand until the next row is asked for.
public struct StoredRecord {
    public let position: Int64
    /// `<node>/<boot>`.
    public let origin: String
    public let sequence: UInt64
    public let time: WallTime
    public let topic: String
    public let key: UnsafeRawBufferPointer
    public let payload: UnsafeRawBufferPointer
    let originNumber: Int
    let topicNumber: Int
}

/// What is known of a file as a whole.
public struct OutboxFileState {
    /// Drawn when the file was made: positions of one identity are never used twice, also across damage. It stays with
    /// what is recovered from the file, as the positions do.
    public var identity = ""
    /// The position that the next record gets at least.
    public var next: Int64 = 1
    /// Records in it.
    public var count: Int64 = 0
    /// The lowest and the highest position in it; 0 when it is empty.
    public var first: Int64 = 0
    public var last: Int64 = 0
    /// Bytes of the pages in use.
    public var usedBytes: Int64 = 0
    /// Bytes of the file, log not counted.
    public var fileBytes: Int64 = 0
    /// Whether there are gaps to be told.
    public var hasGaps = false
    /// What has been written in the whole life of the file, as of the last commit.
    public var writtenBytes: Int64 = 0
    public var syncs: Int64 = 0
}

/// The outbox's file: a SQLite database with this schema, version 1 (`PRAGMA user_version`).
///
///     names    number, name                 topics, id prefixes `<node>/<boot>`, and the identity (`OutboxMark`)
///     records  position, origin, sequence,  origin and topic are numbers of names; time is in milliseconds since
///              time, topic, key, payload,   1970; sum is FNV-1a over all of it, names in words
///              sum
///     gaps     topic, key, count,           what was dropped and not told yet, by topic and key
///              first, last            with a position's negative for a topic: what the record there tells
///     state    identity, next, count,       one row; the last two: bytes and fsyncs that the agent has written so far,
///              written, syncs               as of the last commit
///
/// Records are appended at the end and go from the beginning. `position` is never used again: `state.next` outlives
/// the records. Used on one thread at a time; everything may block.
public final class OutboxFile {
    public let path: String
    let database: Database
    private let statements: Statements
    private(set) var names = DiskNames()
    /// What `state` knows of the writing in this process; takes effect with the commit.
    private var noted = WriteCounters()
    private var pending = WriteCounters()

    /// "kedg": marks the file as ours.
    private static var applicationID: Int64 { 0x6B65_6467 }
    private static var version: Int64 { 1 }
    /// No position is higher: what a damaged file has beyond it was never given out, and there is always a next one.
    static var highestPosition: Int64 { 1 << 62 }

    /// Opens, and with `.create` makes, the file.
    /// - Parameters:
    ///   - isUnchanging: with `readOnly`, as `Database.Settings.isUnchanging`.
    ///   - maxSize: the most bytes that it may have; no limit when 0.
    ///   - written: what `state` of this file knows of already, of what this process has written.
    /// - Throws: `StorageError`; one with `isDamage` for a file that is to be recovered from.
    public static func open(
        _ path: String, access: Database.Access, isUnchanging: Bool = false, maxSize: Int64 = 0,
        fileSystem: String? = nil, written: WriteCounters = WriteCounters()
    ) throws(StorageError) -> OutboxFile {
        var settings = Database.Settings()
        settings.access = access
        settings.isUnchanging = isUnchanging
        settings.maxSize = maxSize
        settings.fileSystem = fileSystem
        let database = try Database(path, settings)
        let version = try database.number("PRAGMA user_version")
        let owner = try database.number("PRAGMA application_id")
        let isEmpty = try database.number("SELECT count(*) FROM sqlite_schema") == 0
        if isEmpty, version == 0, case .create = access {
            try make(database)
        } else if isEmpty, version == 0 {
            // Cut off while it was being made: as good as no file.
            throw StorageError(
                file: path, operation: "open", code: StorageError.nothing,
                reason: "nothing is in it yet: the agent ended while it made it")
        } else if try database.number(
            "SELECT count(*) FROM sqlite_schema WHERE name IN('state','names','records','gaps')") == 4,
            owner != applicationID
        {
            // Our tables under another's mark.
            throw damage(path)
        } else if owner != applicationID {
            throw StorageError(file: path, operation: "open", code: 1, reason: "not an outbox of kedge; left alone")
        } else if version != Self.version {
            throw StorageError(
                file: path, operation: "open", code: 1,
                reason: joined(
                    "an outbox of version ", decimal(version), ", which this kedge does not know; left alone"))
        }
        if try database.number("SELECT count(*) FROM sqlite_schema WHERE type='table'") != 4 { throw damage(path) }
        let file = OutboxFile(path, database, try Statements(database))
        file.noted = written
        file.pending = written
        try file.readNames()
        if case .create = access { try file.forgetNames() }
        return file
    }

    private init(_ path: String, _ database: Database, _ statements: Statements) {
        self.path = path
        self.database = database
        self.statements = statements
    }

    private static func make(_ database: Database) throws(StorageError) {
        try database.execute("BEGIN IMMEDIATE")
        do throws(StorageError) {
            try database.execute(joined("PRAGMA application_id=", decimal(applicationID)))
            try database.execute(
                "CREATE TABLE state(id INTEGER PRIMARY KEY CHECK(id=1),identity TEXT NOT NULL,next INTEGER NOT NULL,"
                    + "count INTEGER NOT NULL,written INTEGER NOT NULL,syncs INTEGER NOT NULL)")
            try database.execute("CREATE TABLE names(number INTEGER PRIMARY KEY,name TEXT NOT NULL)")
            try database.execute(
                "CREATE TABLE records(position INTEGER PRIMARY KEY,origin INTEGER NOT NULL,sequence INTEGER NOT NULL,"
                    + "time INTEGER NOT NULL,topic INTEGER NOT NULL,key BLOB NOT NULL,payload BLOB NOT NULL,"
                    + "sum INTEGER NOT NULL)")
            try database.execute(
                "CREATE TABLE gaps(topic INTEGER NOT NULL,key BLOB NOT NULL,count INTEGER NOT NULL,"
                    + "first INTEGER NOT NULL,last INTEGER NOT NULL,PRIMARY KEY(topic,key)) WITHOUT ROWID")
            try database.execute("INSERT INTO state VALUES(1,lower(hex(randomblob(8))),1,0,0,0)")
            try database.execute(joined("PRAGMA user_version=", decimal(version)))
            try database.execute("COMMIT")
        } catch {
            database.rollBack()
            throw error
        }
    }

    /// The database is sound as far as SQLite sees it, and still not what was written.
    private static func damage(_ path: String) -> StorageError {
        StorageError(file: path, operation: "open", code: 11, reason: "an outbox whose tables are damaged")
    }

    private func readNames() throws(StorageError) {
        let query = try database.prepare("SELECT number,name FROM names")
        while try query.step() {
            guard let number = Int(exactly: query.integer(0)), (1...DiskNames.largest).contains(number) else {
                throw Self.damage(path)
            }
            names.add(DiskNames.Entry(number: number, text: query.text(1)))
        }
    }

    /// Every start adds a name, and there are numbers for so many. When there are no records, nobody needs them.
    private func forgetNames() throws(StorageError) {
        if names.entries.count < 64 { return }
        if try database.number("SELECT count(*) FROM (SELECT 1 FROM records LIMIT 1)") > 0 { return }
        try database.execute("DELETE FROM names WHERE number NOT IN (SELECT topic FROM gaps) AND name NOT LIKE '/%'")
        names = DiskNames()
        try readNames()
    }

    /// What it holds. Looks at no record but the first and the last.
    public func state() throws(StorageError) -> OutboxFileState {
        var state = OutboxFileState()
        let query = try database.prepare("SELECT identity,next,count,written,syncs FROM state")
        if try query.step() {
            state.identity = query.text(0)
            state.next = query.integer(1)
            state.count = query.integer(2)
            state.writtenBytes = query.integer(3)
            state.syncs = query.integer(4)
        } else {
            throw Self.damage(path)
        }
        query.reset()
        state.first = try database.number("SELECT min(position) FROM records")
        state.last = try database.number("SELECT max(position) FROM records")
        let isEmpty = state.first == 0 && state.last == 0
        guard state.next > 0, state.next <= Self.highestPosition / 2 * 3,
            isEmpty || (state.first > 0 && state.last <= Self.highestPosition)
        else { throw Self.damage(path) }
        state.next = max(state.next, state.last + 1)
        state.hasGaps = try database.number("SELECT count(*) FROM gaps WHERE topic>0") > 0
        state.fileBytes = try database.number("PRAGMA page_count") * Int64(try database.pageSize())
        state.usedBytes = try usedBytes()
        return state
    }

    /// Bytes of the pages in use.
    func usedBytes() throws(StorageError) -> Int64 {
        let pages = try database.number("PRAGMA page_count") - (try database.number("PRAGMA freelist_count"))
        return pages * Int64(try database.pageSize())
    }

    func count() throws(StorageError) -> Int64 { try database.number("SELECT count FROM state") }

    // MARK: Transactions

    /// Runs `body` in one transaction, which is on the disk when this returns.
    func commit(_ body: () throws(StorageError) -> Void) throws(StorageError) {
        try database.execute("BEGIN IMMEDIATE")
        do throws(StorageError) {
            try body()
            try database.execute("COMMIT")
            noted = pending
        } catch {
            database.rollBack()
            throw error
        }
    }

    func add(_ entry: DiskNames.Entry) throws(StorageError) {
        let insert = try database.prepare("INSERT OR IGNORE INTO names VALUES(?,?)")
        try insert.bind(1, Int64(entry.number))
        try insert.bind(2, entry.text)
        try insert.run()
        names.add(entry)
    }

    /// A record that has the position already is replaced: an earlier attempt may have come further than it said.
    func insert(_ item: StoreItem) throws(StorageError) {
        let insert = statements.insert
        try insert.bind(1, item.position)
        try insert.bind(2, Int64(item.origin))
        try insert.bind(3, Int64(bitPattern: item.sequence))
        try insert.bind(4, item.time)
        try insert.bind(5, Int64(item.topic))
        try insert.bind(6, item.key)
        try insert.bind(7, item.payload)
        let sum = Self.sum(
            position: item.position, sequence: item.sequence, time: item.time, origin: names.text(item.origin) ?? "",
            topic: names.text(item.topic) ?? "", key: item.key, payload: item.payload)
        try insert.bind(8, sum)
        try insert.run()
        if let told = item.told { try mark(item.position, told, item.time) }
    }

    static func sum(
        position: Int64, sequence: UInt64, time: Int64, origin: String, topic: String, key: UnsafeRawBufferPointer,
        payload: UnsafeRawBufferPointer
    ) -> Int64 {
        var sum = Checksum()
        sum.add(position)
        sum.add(Int64(bitPattern: sequence))
        sum.add(time)
        sum.add(origin)
        sum.add(topic)
        sum.add(key)
        sum.add(payload)
        return Int64(bitPattern: sum.value)
    }

    /// Deletes the records of a range.
    /// - Returns: how many there were.
    func delete(_ range: PositionRanges.Range) throws(StorageError) -> Int {
        try statements.delete.bind(1, range.first)
        try statements.delete.bind(2, range.last)
        try statements.delete.run()
        let count = database.changes
        try statements.unmark.bind(1, -range.last)
        try statements.unmark.bind(2, -range.first)
        try statements.unmark.run()
        return count
    }

    /// Carries the one row of `state` on.
    /// - Parameter written: by all connections since the start.
    func noteChange(count: Int64, next: Int64, written: WriteCounters = WriteCounters()) throws(StorageError) {
        try statements.note.bind(1, count)
        try statements.note.bind(2, next)
        try statements.note.bind(3, Int64(clamping: written.bytes - noted.bytes))
        try statements.note.bind(4, Int64(clamping: written.syncs - noted.syncs))
        try statements.note.run()
        pending = written
    }

    // MARK: Reading

    /// Calls `body` with the records from `first` to `last`, in order, until it returns `false`.
    /// What does not agree with its checksum goes to `damaged` instead.
    public func read(
        from first: Int64, through last: Int64, damaged: (Int64) -> Void = { _ in }, _ body: (StoredRecord) -> Bool
    ) throws(StorageError) {
        let query = statements.read
        try query.bind(1, first)
        try query.bind(2, last)
        // A query left open would hold its place in the log.
        defer { query.reset() }
        var previous = Int64.min
        while try query.step() {
            // A page in another's place can be sound, and out of order.
            if query.integer(0) <= previous { throw Self.damage(path) }
            previous = query.integer(0)
            guard let record = record(query) else {
                damaged(query.integer(0))
                continue
            }
            if !body(record) { return }
        }
    }

    /// The row that the query is at; `nil` when it is not what was appended.
    private func record(_ query: Statement) -> StoredRecord? {
        let origin = Int(truncatingIfNeeded: query.integer(1))
        let topic = Int(truncatingIfNeeded: query.integer(4))
        guard let originText = names.text(origin), let topicText = names.text(topic) else { return nil }
        let record = StoredRecord(
            position: query.integer(0), origin: originText, sequence: UInt64(bitPattern: query.integer(2)),
            time: WallTime(nanoseconds: query.integer(3) &* 1_000_000), topic: topicText, key: query.bytes(5),
            payload: query.bytes(6), originNumber: origin, topicNumber: topic)
        let sum = Self.sum(
            position: record.position, sequence: record.sequence, time: query.integer(3), origin: originText,
            topic: topicText, key: record.key, payload: record.payload)
        return sum == query.integer(7) ? record : nil
    }

    /// The statements that are run for every record.
    struct Statements {
        let insert: Statement
        let delete: Statement
        let unmark: Statement
        let note: Statement
        let read: Statement

        init(_ database: Database) throws(StorageError) {
            insert = try database.prepare("INSERT OR REPLACE INTO records VALUES(?,?,?,?,?,?,?,?)")
            delete = try database.prepare("DELETE FROM records WHERE position BETWEEN ? AND ?")
            unmark = try database.prepare("DELETE FROM gaps WHERE topic BETWEEN ? AND ?")
            note = try database.prepare(
                "UPDATE state SET count=max(count+?,0),next=max(next,?),written=written+?,syncs=syncs+?")
            read = try database.prepare("SELECT * FROM records WHERE position BETWEEN ? AND ? ORDER BY position")
        }
    }
}
