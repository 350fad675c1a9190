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
    /// In memory: whether records of the key are on the disk before they are sent.
    var isDurable = false
}

/// Gaps by topic and key. As many as there are sensors.
struct GapLedger {
    private(set) var gaps: [Gap] = []

    var isEmpty: Bool { gaps.isEmpty }

    mutating func add(
        topic: Int, key: UnsafeRawBufferPointer, count: Int64 = 1, first: Int64, last: Int64, isDurable: Bool = false
    ) {
        for index in gaps.indices where gaps[index].topic == topic && sameBytes(gaps[index].key, key) {
            gaps[index].count += count
            gaps[index].first = min(gaps[index].first, first)
            gaps[index].last = max(gaps[index].last, last)
            if isDurable { gaps[index].isDurable = true }
            return
        }
        gaps.append(
            Gap(topic: topic, key: Array(key), count: count, first: first, last: last, isDurable: isDurable))
    }

    mutating func add(_ gap: Gap) {
        gap.key.withUnsafeBytes {
            add(
                topic: gap.topic, key: $0, count: gap.count, first: gap.first, last: gap.last, isDurable: gap.isDurable)
        }
    }

    mutating func removeAll() { gaps = [] }

    /// What a record that does not agree with its checksum says of itself is believed as far as the sound ones around it,
    /// which are these, bear it out: its key is one of theirs, and it was sampled when they were.
    /// - Returns: it as a gap; `nil` when its key is none of theirs.
    func gap(topic: Int, key: UnsafeRawBufferPointer, time: Int64) -> Gap? {
        for gap in gaps where gap.topic == topic && sameBytes(gap.key, key) {
            var first = gap.first
            var last = gap.last
            for other in gaps {
                first = min(first, other.first)
                last = max(last, other.last)
            }
            let time = min(max(time, first), last)
            return Gap(topic: topic, key: gap.key, count: 1, first: time, last: time)
        }
        return nil
    }

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
        var sound = GapLedger()
        var doomed = PositionRanges()
        var damaged: [Int64] = []
        let marks = try marks(range)
        try read(
            from: range.first, through: range.last, damaged: { damaged.append($0) },
            { record in
                let time = record.time.milliseconds
                sound.add(topic: record.topicNumber, key: record.key, first: time, last: time)
                if let told = marks.first(where: { $0.position == record.position })?.told {
                    // It takes the place of many: thinning leaves it.
                    if every != nil { return true }
                    ledger.add(
                        topic: record.topicNumber, key: record.key, count: told.count, first: told.first, last: time)
                    doomed.insert(record.position)
                    return true
                }
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
        try note(damaged, among: sound)
        for position in damaged { doomed.insert(position) }
        var count = 0
        for range in doomed.ranges { count += try delete(range) }
        for gap in ledger.gaps { try note(gap) }
        return count
    }

    /// Deletes records that do not agree with their checksum. Those whose key is known from records around them become gaps.
    /// - Parameter positions: in ascending order, from one page.
    /// - Returns: how many were deleted.
    func leaveOut(_ positions: [Int64]) throws(StorageError) -> Int {
        guard let first = positions.first, let last = positions.last else { return 0 }
        var sound = GapLedger()
        try read(from: first - Self.neighbours, through: last + Self.neighbours) { record in
            let time = record.time.milliseconds
            sound.add(topic: record.topicNumber, key: record.key, first: time, last: time)
            return true
        }
        try note(positions, among: sound)
        var count = 0
        for position in positions { count += try delete(PositionRanges.Range(first: position, last: position)) }
        return count
    }

    /// Records before and behind one that are asked for its key.
    private static var neighbours: Int64 { 1_000 }

    private func note(_ damaged: [Int64], among sound: GapLedger) throws(StorageError) {
        if damaged.isEmpty { return }
        let query = try database.prepare("SELECT topic,key,time FROM records WHERE position=?")
        for position in damaged {
            try query.bind(1, position)
            var gap: Gap?
            if try query.step() {
                gap = sound.gap(
                    topic: Int(truncatingIfNeeded: query.integer(0)), key: query.bytes(1), time: query.integer(2))
            }
            query.reset()
            guard var gap else { continue }
            if let told = try marks(PositionRanges.Range(first: position, last: position)).first?.told {
                gap.count = told.count
                gap.first = min(gap.first, told.first)
            }
            try note(gap)
        }
    }

    /// Adds to what is missing of a key.
    /// - Parameter topic: its number in this file, where the gap does not have that.
    func note(_ gap: Gap, topic: Int64? = nil) throws(StorageError) {
        let insert = try database.prepare(
            "INSERT INTO gaps VALUES(?,?,?,?,?) ON CONFLICT(topic,key) DO UPDATE SET count=count+excluded.count,"
                + "first=min(first,excluded.first),last=max(last,excluded.last)")
        try bind(gap, topic ?? Int64(gap.topic), to: insert)
    }

    /// Takes off what has been told of a key. What came to it since stays.
    func settle(_ gap: Gap) throws(StorageError) {
        let update = try database.prepare(
            "UPDATE gaps SET count=count-?3,first=?5 WHERE topic=?1 AND key=?2 AND ?4 IS NOT NULL")
        try bind(gap, Int64(gap.topic), to: update)
        try database.execute("DELETE FROM gaps WHERE count<=0")
    }

    private func bind(_ gap: Gap, _ topic: Int64, to statement: Statement) throws(StorageError) {
        try statement.bind(1, topic)
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

    // MARK: Records that tell of gaps

    /// Notes what the record at `position` tells, for when it is dropped. Goes with it.
    func mark(_ position: Int64, _ told: RecordEntry.Told, _ last: Int64) throws(StorageError) {
        let insert = try database.prepare("INSERT OR REPLACE INTO gaps VALUES(?,?,?,?,?)")
        try bind(Gap(topic: 0, key: [], count: told.count, first: told.first, last: last), -position, to: insert)
    }

    /// What records of a range tell.
    func marks(
        _ range: PositionRanges.Range
    ) throws(StorageError) -> [(position: Int64, told: RecordEntry.Told)] {
        let query = try database.prepare("SELECT topic,count,first FROM gaps WHERE topic BETWEEN ? AND ?")
        try query.bind(1, -range.last)
        try query.bind(2, -range.first)
        var marks: [(position: Int64, told: RecordEntry.Told)] = []
        while try query.step() {
            marks.append((-query.integer(0), RecordEntry.Told(count: query.integer(1), first: query.integer(2))))
        }
        return marks
    }

    func gaps() throws(StorageError) -> [Gap] {
        let query = try database.prepare("SELECT topic,key,count,first,last FROM gaps WHERE topic>0")
        var gaps: [Gap] = []
        while try query.step() {
            gaps.append(
                Gap(
                    topic: Int(truncatingIfNeeded: query.integer(0)), key: Array(query.bytes(1)),
                    count: query.integer(2), first: query.integer(3), last: query.integer(4)))
        }
        return gaps
    }
}
