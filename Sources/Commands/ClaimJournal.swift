import CShim
import Platform
import Storage

/// What is to be kept of claims; written whole or not at all.
public struct ClaimBatch {
    /// A command that is taken.
    public struct Claim {
        public let sequence: Int64
        public let id: String
        public let actuator: String?
        public let topic: String
        public let partition: Int32
        public let offset: Int64
        /// The message's, in milliseconds since 1970; -1 for none.
        public let timestamp: Int64
        /// Until when it must be remembered, in milliseconds since 1970.
        public var until: Int64 = 0
        /// The first reply; empty while there is none.
        public var reply: [UInt8] = []
        /// Whether the reply has been acknowledged by a broker.
        public var isDelivered = false
    }

    /// The first reply to a claim.
    public struct Answer {
        public let sequence: Int64
        public let reply: [UInt8]
    }

    public var claims: [Claim] = []
    public var answers: [Answer] = []
    /// Sequences of the claims whose replies have been acknowledged.
    public var delivered: [Int64] = []
    /// Sequences of the claims that are forgotten.
    public var forgotten: [Int64] = []

    var isEmpty: Bool { claims.isEmpty && answers.isEmpty && delivered.isEmpty }
}

/// What a journal has.
public struct ClaimHistory {
    /// The oldest first. The last place of each partition comes before them, as a claim with the sequence 0.
    public var claims: [ClaimBatch.Claim] = []
    /// What the log should say about it; empty for nothing.
    public var notice = ""

    public init() {}
}

/// Where claims outlive the process. Called on a thread of its own, one call at a time; may block.
public protocol ClaimJournal: AnyObject {
    /// What is there.
    func load() throws(StorageError) -> ClaimHistory
    /// Writes a batch. Claims are on the disk when this returns; for the rest it is enough that the process may be
    /// killed: a power cut then costs the knowledge of an answer, never that of a claim.
    func write(_ batch: ClaimBatch) throws(StorageError)
}

/// Claims in a SQLite file.
///
///     claims(sequence, id, actuator, topic, partition, "offset", timestamp, reply, delivered, until)
///     places(topic, partition, "offset", timestamp)     the last claim of each partition, also when that is forgotten
///
/// `reply` is NULL while a command is being carried out. Look at it with the sqlite3 shell.
public final class ClaimDatabase: ClaimJournal {
    private let path: String
    private var fileLock: FileLock?
    private var database: Database?
    private var insert: Statement?
    private var answer: Statement?
    private var deliver: Statement?
    private var forget: Statement?
    private var advance: Statement?
    private var isSyncing = true
    private var batches = 0

    /// Nothing is opened before `load`.
    public init(path: String) { self.path = path }

    /// Takes the file for this process, where there can be locks. Called before anything else, on any thread; `load` does it
    /// otherwise.
    /// - Throws: `StorageError` with `isBusy` when another agent has it.
    public func lock() throws(StorageError) {
        if fileLock == nil { fileLock = try FileLock.take(path, setting: "commands.path") }
    }

    public func load() throws(StorageError) -> ClaimHistory {
        try lock()
        var history = ClaimHistory()
        do throws(StorageError) {
            history.claims = try open()
        } catch {
            guard error.isDamage else { throw error }
            setAside()
            history.notice = joined(
                error.description, "; set aside as ", path,
                ".damaged: repetitions of commands from before are told by their age alone")
            history.claims = try open()
        }
        return history
    }

    /// A damaged file is no reason to take no commands, but it is kept: what happened may be read from it.
    private func setAside() {
        (insert, answer, deliver, forget, advance, database) = (nil, nil, nil, nil, nil, nil)
        for ending in ["", "-wal", "-shm"] {
            let file = joined(path, ending)
            _ = rename(file, joined(path, ".damaged", ending))
        }
    }

    private func open() throws(StorageError) -> [ClaimBatch.Claim] {
        let database = try Database(path)
        try database.execute(
            """
            CREATE TABLE IF NOT EXISTS claims(sequence INTEGER PRIMARY KEY, id TEXT NOT NULL, actuator TEXT,
            topic TEXT NOT NULL, partition INTEGER NOT NULL, "offset" INTEGER NOT NULL, timestamp INTEGER NOT NULL,
            reply BLOB, delivered INTEGER NOT NULL DEFAULT 0, until INTEGER NOT NULL DEFAULT 0)
            """)
        try addUntil(database)
        try database.execute(
            """
            CREATE TABLE IF NOT EXISTS places(topic TEXT NOT NULL, partition INTEGER NOT NULL,
            "offset" INTEGER NOT NULL, timestamp INTEGER NOT NULL, PRIMARY KEY(topic, partition)) WITHOUT ROWID
            """)
        insert = try database.prepare("INSERT INTO claims VALUES(?,?,?,?,?,?,?,NULL,0,?)")
        answer = try database.prepare("UPDATE claims SET reply=? WHERE sequence=?")
        deliver = try database.prepare("UPDATE claims SET delivered=1 WHERE sequence=?")
        forget = try database.prepare("DELETE FROM claims WHERE sequence=?")
        advance = try database.prepare(
            """
            INSERT INTO places VALUES(?,?,?,?) ON CONFLICT(topic,partition)
            DO UPDATE SET "offset"=excluded."offset", timestamp=max(timestamp,excluded.timestamp)
            """)
        self.database = database
        // Places first: a forgotten claim's comes with no sequence.
        var claims = try rows(
            database, "SELECT 0,'',NULL,topic,partition,\"offset\",timestamp,NULL,1,0 FROM places")
        for claim in try rows(database, "SELECT * FROM claims ORDER BY sequence") { claims.append(claim) }
        return claims
    }

    /// Files of the first version tell no times: what is in them is remembered for an hour.
    private func addUntil(_ database: Database) throws(StorageError) {
        let column = try database.prepare("SELECT 1 FROM pragma_table_info('claims') WHERE name='until'")
        if try column.step() { return }
        try database.execute("ALTER TABLE claims ADD COLUMN until INTEGER NOT NULL DEFAULT 0")
        let longest = decimal(Keyring.longestValidity.milliseconds)
        try database.execute(joined("UPDATE claims SET until=timestamp+", longest, " WHERE timestamp>=0"))
    }

    private func rows(_ database: Database, _ sql: String) throws(StorageError) -> [ClaimBatch.Claim] {
        let query = try database.prepare(sql)
        var claims: [ClaimBatch.Claim] = []
        while try query.step() {
            claims.append(
                ClaimBatch.Claim(
                    sequence: query.integer(0), id: query.text(1), actuator: query.isNull(2) ? nil : query.text(2),
                    topic: query.text(3), partition: Int32(truncatingIfNeeded: query.integer(4)),
                    offset: query.integer(5), timestamp: query.integer(6), until: query.integer(9),
                    reply: Array(query.bytes(7)), isDelivered: query.integer(8) != 0))
        }
        return claims
    }

    public func write(_ batch: ClaimBatch) throws(StorageError) {
        guard let database else {
            throw StorageError(file: path, operation: "write", code: 21, reason: "the file could not be opened")
        }
        let syncs = !batch.claims.isEmpty
        if syncs != isSyncing {
            try database.execute(syncs ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL")
            isSyncing = syncs
        }
        do throws(StorageError) {
            try database.execute("BEGIN IMMEDIATE")
            try fill(batch)
            try database.execute("COMMIT")
        } catch {
            database.rollBack()
            throw error
        }
        // The log is read through for each look-up: a few hundred pages of it are enough.
        batches += 1
        if batches % 256 == 0 { try database.checkpoint() }
    }

    private func fill(_ batch: ClaimBatch) throws(StorageError) {
        guard let insert, let answer, let deliver, let forget, let advance else { return }
        for claim in batch.claims {
            try insert.bind(1, claim.sequence)
            try insert.bind(2, claim.id)
            if let actuator = claim.actuator { try insert.bind(3, actuator) } else { try insert.bindNull(3) }
            try insert.bind(4, claim.topic)
            try insert.bind(5, Int64(claim.partition))
            try insert.bind(6, claim.offset)
            try insert.bind(7, claim.timestamp)
            try insert.bind(8, claim.until)
            try insert.run()
            try advance.bind(1, claim.topic)
            try advance.bind(2, Int64(claim.partition))
            try advance.bind(3, claim.offset)
            try advance.bind(4, claim.timestamp)
            try advance.run()
        }
        for entry in batch.answers { try set(entry, answer) }
        for sequence in batch.delivered {
            try deliver.bind(1, sequence)
            try deliver.run()
        }
        for sequence in batch.forgotten {
            try forget.bind(1, sequence)
            try forget.run()
        }
    }

    private func set(_ entry: ClaimBatch.Answer, _ answer: Statement) throws(StorageError) {
        var failure: StorageError?
        entry.reply.withUnsafeBytes { bytes in
            do throws(StorageError) {
                try answer.bind(1, bytes)
                try answer.bind(2, entry.sequence)
                try answer.run()
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }
}
