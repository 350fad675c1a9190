import Platform
import Records
import Storage

/// Records of one key that are missing: dropped, refused or given up.
struct Gap {
    /// A number of `DiskNames` in a file, a `TopicID`'s index in memory.
    let topic: Int
    let key: [UInt8]
    var count: Int64
    /// Sample times of the first and the last of them, in milliseconds since 1970.
    var first: Int64
    var last: Int64
}

/// Gaps by topic and key. As many as there are sensors.
struct GapLedger {
    private(set) var gaps: [Gap] = []

    var isEmpty: Bool { gaps.isEmpty }

    mutating func add(topic: Int, key: UnsafeRawBufferPointer, count: Int64 = 1, first: Int64, last: Int64) {
        for index in gaps.indices where gaps[index].topic == topic && sameBytes(gaps[index].key, key) {
            gaps[index].count += count
            gaps[index].first = min(gaps[index].first, first)
            gaps[index].last = max(gaps[index].last, last)
            return
        }
        gaps.append(Gap(topic: topic, key: Array(key), count: count, first: first, last: last))
    }

    mutating func removeAll() { gaps = [] }

    private func sameBytes(_ left: [UInt8], _ right: UnsafeRawBufferPointer) -> Bool {
        if left.count != right.count { return false }
        for index in 0..<left.count where left[index] != right[index] { return false }
        return true
    }
}

/// Making room: what goes is noted in `gaps` in the same transaction, so that it is told even after a crash.
extension OutboxFile {
    /// Deletes the records of `range`, or, with `keeping`, all but every so-many-th of each key.
    /// - Returns: how many were deleted.
    func drop(_ range: PositionRanges.Range, keeping every: Int? = nil) throws(StorageError) -> Int {
        var ledger = GapLedger()
        // Place of each key in its turn.
        var turns = GapLedger()
        var doomed = PositionRanges()
        var damaged: [Int64] = []
        try read(
            from: range.first, through: range.last, damaged: { damaged.append($0) },
            { record in
                let time = record.time.milliseconds
                if let every {
                    turns.add(topic: record.topicNumber, key: record.key, first: 0, last: 0)
                    for turn in turns.gaps
                    where turn.topic == record.topicNumber && turn.key.elementsEqual(record.key)
                        && turn.count % Int64(every) == 1
                    { return true }
                }
                ledger.add(topic: record.topicNumber, key: record.key, first: time, last: time)
                doomed.insert(record.position)
                return true
            })
        for position in damaged { doomed.insert(position) }
        var count = 0
        for range in doomed.ranges { count += try delete(range) }
        for gap in ledger.gaps { try note(gap) }
        return count
    }

    /// Adds to what is missing of a key.
    func note(_ gap: Gap) throws(StorageError) {
        let insert = try database.prepare(
            "INSERT INTO gaps VALUES(?,?,?,?,?) ON CONFLICT(topic,key) DO UPDATE SET count=count+excluded.count,"
                + "first=min(first,excluded.first),last=max(last,excluded.last)")
        try bind(gap, to: insert)
    }

    /// Takes off what has been told of a key. What came to it since stays.
    func settle(_ gap: Gap) throws(StorageError) {
        let update = try database.prepare(
            "UPDATE gaps SET count=count-?3,first=?5 WHERE topic=?1 AND key=?2 AND ?4 IS NOT NULL")
        try bind(gap, to: update)
        try database.execute("DELETE FROM gaps WHERE count<=0")
    }

    private func bind(_ gap: Gap, to statement: Statement) throws(StorageError) {
        try statement.bind(1, Int64(gap.topic))
        try statement.bind(3, gap.count)
        try statement.bind(4, gap.first)
        try statement.bind(5, gap.last)
        var failure: StorageError?
        gap.key.withUnsafeBytes { key in
            do throws(StorageError) {
                try statement.bind(2, key)
                try statement.run()
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    func gaps() throws(StorageError) -> [Gap] {
        let query = try database.prepare("SELECT topic,key,count,first,last FROM gaps")
        var gaps: [Gap] = []
        while try query.step() {
            gaps.append(
                Gap(
                    topic: Int(query.integer(0)), key: Array(query.bytes(1)), count: query.integer(2),
                    first: query.integer(3), last: query.integer(4)))
        }
        return gaps
    }
}
