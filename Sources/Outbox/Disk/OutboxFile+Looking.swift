import Platform
import Storage

/// For `kedge outbox`, beside a running agent or without one.
extension OutboxFile {
    /// When the record at `position` was sampled; `nil` when there is none.
    public func time(of position: Int64) throws(StorageError) -> WallTime? {
        let query = try database.prepare("SELECT time FROM records WHERE position=?")
        try query.bind(1, position)
        guard try query.step() else { return nil }
        let time = WallTime(nanoseconds: query.integer(0) &* 1_000_000)
        query.reset()
        return time
    }

    /// The first thing that SQLite finds wrong with the database's structure; `nil` when it is sound.
    public func structuralProblem() throws(StorageError) -> String? {
        let query = try database.prepare("PRAGMA quick_check(1)")
        guard try query.step() else { return nil }
        let text = query.text(0)
        query.reset()
        return text.isEqual(to: "ok") ? nil : text
    }

    /// Deletes every record. A running agent misses none of them: what it has in memory it sends all the same.
    /// - Returns: how many there were.
    public func dropAll() throws(StorageError) -> Int {
        var count = 0
        try commit { () throws(StorageError) in
            count = try delete(PositionRanges.Range(first: 0, last: Int64.max))
            try noteChange(count: Int64(-count), next: 0)
        }
        return count
    }
}
