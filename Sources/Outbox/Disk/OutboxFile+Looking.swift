import Platform
import Storage

/// For `kedge outbox`, beside a running agent or without one.
extension OutboxFile {
    /// Opens a file to look at it, also where nothing can be written: on a read-only medium, or in another user's folder.
    /// - Parameter fileSystem: as `Database.Settings.fileSystem`.
    public static func openToLook(_ path: String, fileSystem: String? = nil) throws(StorageError) -> OutboxFile {
        do throws(StorageError) {
            return try open(path, access: .readOnly, fileSystem: fileSystem)
        } catch {
            return try openUnchanging(path, after: error, fileSystem: fileSystem)
        }
    }

    /// Opens a file for which `failure` says that there is no place for a log, as one that nobody writes. Not where there is
    /// a log: that would have to be read, too.
    static func openUnchanging(
        _ path: String, after failure: StorageError, fileSystem: String?, written: WriteCounters = WriteCounters()
    ) throws(StorageError) -> OutboxFile {
        guard failure.isReadOnly || failure.isUnopenable, exists(path), !hasLog(path) else { throw failure }
        do throws(StorageError) {
            return try open(path, access: .readOnly, isUnchanging: true, fileSystem: fileSystem, written: written)
        } catch {
            throw failure
        }
    }

    /// When the record at `position` was sampled; `nil` when there is none.
    public func time(of position: Int64) throws(StorageError) -> WallTime? {
        let query = try database.prepare("SELECT time FROM records WHERE position=?")
        try query.bind(1, position)
        guard try query.step() else { return nil }
        let time = WallTime(nanoseconds: query.integer(0) &* 1_000_000)
        query.reset()
        return time
    }

    /// What `look` has found.
    public struct Survey {
        /// Records that are as they were appended.
        public var sound: Int64 = 0
        /// Records that are not.
        public var damaged: Int64 = 0
        /// Whether all pages could be read.
        public var isWhole = true
        /// Records that are missing for that, as far as the file itself tells.
        public var missing: Int64 = 0

        public var isSound: Bool { damaged == 0 && isWhole }
    }

    /// Calls `body` with every record, in the order of their positions, and goes on behind what cannot be read.
    /// - Parameter pause: called now and then, when nothing of the file is held: a reader's place in the log keeps the agent
    ///   from beginning that anew. `false` ends the look.
    public func look(
        pause: () -> Bool = { true }, _ body: (StoredRecord) -> Void
    ) throws(StorageError) -> Survey {
        var survey = Survey()
        var last = Self.highestPosition
        var total: Int64 = 0
        do throws(StorageError) {
            last = min(try database.number("SELECT next FROM state"), last)
            total = try count()
        } catch {
            if !error.isDamage { throw error }
        }
        var from: Int64 = 0
        var failures = 0
        var step = Self.step
        while from < last {
            var rows = 0
            var reached = from - 1
            var isEnd = false
            do throws(StorageError) {
                try read(
                    from: from, through: last, damaged: { _ in survey.damaged += 1 },
                    { record in
                        // In a damaged tree it may be lower.
                        if record.position <= reached { return false }
                        body(record)
                        survey.sound += 1
                        reached = record.position
                        rows += 1
                        return rows < Self.portion
                    })
                isEnd = rows < Self.portion
            } catch {
                if !error.isDamage { throw error }
                survey.isWhole = false
            }
            if isEnd { break }
            if reached >= from {
                from = reached + 1
                failures = 0
                step = Self.step
            } else {
                // Nothing to be had here: look further on.
                failures += 1
                if failures > Self.patience { step *= 2 }
                from = step > last - from ? last : from + step
            }
            if !pause() { return survey }
        }
        if !survey.isWhole { survey.missing = max(total - survey.sound - survey.damaged, 0) }
        return survey
    }

    /// Records that are read at once.
    private static var portion: Int { 256 }
    /// Positions that are skipped at once behind an unreadable one; a page has some dozens of records.
    private static var step: Int64 { 8 }
    /// Skips in a row, after which they become longer.
    private static var patience: Int { 4_096 }

    /// The first thing that SQLite finds wrong with the database's structure; `nil` when it is sound.
    public func structuralProblem() throws(StorageError) -> String? {
        do throws(StorageError) {
            let query = try database.prepare("PRAGMA quick_check(1)")
            guard try query.step() else { return nil }
            let text = query.text(0)
            query.reset()
            return text.isEqual(to: "ok") ? nil : text
        } catch {
            if error.isDamage { return error.reason }
            throw error
        }
    }

    /// Deletes every record, and notes them as gaps, which the next start of the agent tells. Not beside a running one: it
    /// sends what it has in memory all the same.
    /// - Returns: how many there were.
    public func dropAll() throws(StorageError) -> Int {
        var count = 0
        try commit { () throws(StorageError) in
            count = try drop(PositionRanges.Range(first: 0, last: Int64.max))
            try noteChange(count: Int64(-count), next: 0)
        }
        return count
    }
}
