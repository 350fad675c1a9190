import CShim
import Platform
import Records
import Storage

/// Reads a damaged file as far as it goes: through SQLite, which knows what was deleted, in steps that skip what it stumbles
/// over. Only what agrees with its checksum is taken.
final class Salvage {
    private let path: String
    private let target: OutboxFile
    private let fileSystem: String?
    private var result = OutboxRecovery()
    /// When the last record before the first loss was sampled; and whether there was one.
    private var lastTime: WallTime?
    private var hasLost = false
    /// The last record that was taken, if its batch had one key, and damaged ones since; whether nothing could be read since.
    private var last: (position: Int64, gap: Gap)?
    private var damagedSince: Int64 = 0
    private var isBroken = false
    /// What was there, as far as the records on both sides tell.
    private var missing: [Gap] = []
    /// Records that the file had, as it says itself.
    private var count: Int64?
    private var names: DiskNames
    /// Of the file that is read, where they are known.
    private var identity: String?
    private var next: Int64?
    /// The highest position of a record that was taken.
    private var highest: Int64 = 0

    /// Positions that are skipped at once behind an unreadable one; a page has some dozens of records.
    private static var step: Int64 { 8 }
    /// Skips in a row, after which they become longer.
    private static var patience: Int { 4_096 }

    /// - Parameter known: holds against what the file says.
    init(_ path: String, into target: OutboxFile, known: KnownOutbox, fileSystem: String?) {
        self.path = path
        self.target = target
        self.fileSystem = fileSystem
        names = known.names
        if known.identity.utf8.isEmpty { return }
        identity = known.identity
        next = known.next
    }

    /// - Throws: errors of the target alone.
    func run() throws(StorageError) -> OutboxRecovery {
        if let source = open(path) { try copy(from: source) }
        if result.recovered == 0 {
            // Perhaps for want of the first page alone.
            let patched = target.path + ".patched"
            defer { patched.withCString { _ = unlink($0) } }
            try target.database.checkpoint(truncating: true)
            if FirstPage.copy(path, with: target.path, to: patched), let source = open(patched) {
                result.damaged = 0
                hasLost = false
                isBroken = false
                missing = []
                try copy(from: source)
            }
        }
        result.lost = count.map { max($0 - result.recovered, result.damaged) }
        try conclude()
        if !hasLost { result.lostAfter = lastTime }
        return result
    }

    /// Something could not be read here.
    private func noteLoss() {
        if !hasLost { result.lostAfter = lastTime }
        hasLost = true
    }

    /// The records have kept their positions, so whoever has delivered all up to one means the same records: it is the same
    /// outbox. Unless nothing tells any more which one it was: then its positions say nothing of another's.
    private func conclude() throws(StorageError) {
        let mark = names.mark?.mark
        var from = highest + 1
        if let next {
            // Beyond all that were ever given out: what was read may not be the last.
            from = max(from, next) + 1_000_000
        } else if identity != nil || mark != nil {
            from = OutboxMark.start(of: max(mark?.epoch ?? 0, OutboxMark.epoch(of: highest)) + 1)
        }
        let own = identity ?? mark?.identity
        result.isIdentityKept = own != nil
        try target.commit { () throws(StorageError) in
            if let own {
                let update = try target.database.prepare("UPDATE state SET identity=?")
                try update.bind(1, own)
                try update.run()
                try target.noteMark(OutboxMark(identity: own, next: from))
            }
            // Some may have been sent and deleted before: no more are missing than the file's count says.
            var left = result.lost.map { $0 - result.damaged } ?? Int64.max
            for var gap in missing where left > 0 {
                gap.count = min(gap.count, left)
                left -= gap.count
                try target.note(gap)
            }
            try target.noteChange(count: 0, next: from)
        }
    }

    private func open(_ path: String) -> Database? {
        var settings = Database.Settings()
        // What is in the log is seen, and stays there: a connection that may write would move it into the file at its end.
        settings.access = .readOnly
        // Neither a log nor its index is made beside it, which may not be possible either.
        settings.isUnchanging = !OutboxFile.hasLog(path)
        settings.toleratesDamage = true
        settings.fileSystem = fileSystem
        do throws(StorageError) {
            return try Database(path, settings)
        } catch {
            return nil
        }
    }

    private func copy(from source: Database) throws(StorageError) {
        attempt { () throws(StorageError) in
            let query = try source.prepare("SELECT number,name FROM names")
            while try query.step() {
                names.add(DiskNames.Entry(number: Int(truncatingIfNeeded: query.integer(0)), text: query.text(1)))
            }
        }
        if identity == nil {
            attempt { () throws(StorageError) in
                let query = try source.prepare("SELECT identity,next FROM state")
                guard try query.step(), query.text(0).utf8.count == 16 else { return }
                identity = query.text(0)
                if query.integer(1) > 0, query.integer(1) <= OutboxFile.highestPosition { next = query.integer(1) }
            }
        }
        var last = (next ?? 1) - 1
        attempt { () throws(StorageError) in
            last = max(last, try source.number("SELECT max(position) FROM records"))
            last = min(last, OutboxFile.highestPosition)
        }
        attempt { () throws(StorageError) in
            let number = try source.number("SELECT count FROM state WHERE id=1")
            // It may be damaged, too: there are no more records than positions.
            if number > 0, number <= last { count = number }
        }
        let kept = names
        try target.commit { () throws(StorageError) in
            for entry in kept.entries where entry.number > 0 && entry.number <= DiskNames.largest {
                try target.add(entry)
            }
        }
        var from: Int64 = Int64.min
        var failures = 0
        var step = Self.step
        while true {
            let (reached, isDone) = try copyBatch(from: source, from)
            if isDone { break }
            if let reached {
                from = reached + 1
                failures = 0
                step = Self.step
            } else {
                // Nothing to be had here: look further on.
                noteLoss()
                isBroken = true
                failures += 1
                if failures > Self.patience { step = min(step * 2, 1 << 40) }
                if from == Int64.min { from = 0 }
                if from > last { break }
                from += step
            }
        }
        attempt { () throws(StorageError) in
            let query = try source.prepare("SELECT topic,key,count,first,last FROM gaps")
            var gaps: [(topic: Int64, gap: Gap)] = []
            while try query.step() {
                let gap = Gap(
                    topic: Int(truncatingIfNeeded: query.integer(0)), key: Array(query.bytes(1)),
                    count: query.integer(2), first: query.integer(3), last: query.integer(4))
                // One below 0 is a record's position.
                if gap.count > 0, query.integer(0) < 0 || kept.text(gap.topic) != nil {
                    gaps.append((query.integer(0), gap))
                }
            }
            try target.commit { () throws(StorageError) in
                for (topic, gap) in gaps { try target.note(gap, topic: topic) }
            }
        }
    }

    /// Copies up to 1,000 records.
    /// - Returns: the position reached, `nil` when not even one could be read; and whether that was the end.
    private func copyBatch(
        from source: Database, _ from: Int64
    ) throws(StorageError) -> (reached: Int64?, isDone: Bool) {
        var reached: Int64?
        var isDone = false
        var damaged: Int64 = 0
        var copied = 0
        var sound = GapLedger()
        var first: (position: Int64, time: Int64, damaged: Int64)?
        var doubtful: [Gap] = []
        try target.commit { () throws(StorageError) in
            var failure: StorageError?
            do throws(StorageError) {
                let query = try source.prepare(
                    "SELECT position,origin,sequence,time,topic,key,payload,sum FROM records WHERE position>=? "
                        + "AND position<=4611686018427387904 ORDER BY position LIMIT 1000")
                try query.bind(1, from)
                var rows = 0
                while try query.step() {
                    rows += 1
                    // Out of order: the tree itself is damaged here.
                    if query.integer(0) < max(from, reached ?? from) { break }
                    reached = query.integer(0)
                    guard let item = item(query) else {
                        damaged += 1
                        damagedSince += 1
                        noteLoss()
                        doubtful.append(
                            Gap(
                                topic: Int(truncatingIfNeeded: query.integer(4)), key: Array(query.bytes(5)), count: 1,
                                first: query.integer(3), last: query.integer(3)))
                        continue
                    }
                    do throws(StorageError) {
                        try target.insert(item)
                        copied += 1
                        if first == nil { first = (item.position, item.time, damagedSince) }
                        damagedSince = 0
                        sound.add(topic: item.topic, key: item.key, first: item.time, last: item.time)
                        lastTime = WallTime(nanoseconds: item.time &* 1_000_000)
                        highest = max(highest, item.position)
                    } catch let error {
                        // The target's, not the source's.
                        failure = error
                        break
                    }
                }
                isDone = rows == 0
            } catch {
                isDone = false
            }
            if let failure { throw failure }
            for gap in doubtful {
                let told = gap.key.withUnsafeBytes { sound.gap(topic: gap.topic, key: $0, time: gap.first) }
                if let told { try target.note(told) }
            }
            try target.noteChange(count: Int64(copied), next: highest + 1)
        }
        if let first { noteMissing(before: first, sound) }
        result.recovered += Int64(copied)
        result.damaged += damaged
        return (reached, isDone)
    }

    /// Where nothing can be read between records of one key, all that is missing there was of that key as far as anybody
    /// can tell. Where several keys are about, it may have been any of theirs.
    private func noteMissing(before first: (position: Int64, time: Int64, damaged: Int64), _ sound: GapLedger) {
        let own = sound.gaps.count == 1 ? sound.gaps.first : nil
        if isBroken, let own, let last, own.topic == last.gap.topic, own.key == last.gap.key {
            let count = first.position - last.position - 1 - first.damaged
            if count > 0 {
                missing.append(
                    Gap(topic: own.topic, key: own.key, count: count, first: last.gap.last, last: first.time))
            }
        }
        isBroken = false
        last = own.map { (highest, $0) }
    }

    private func item(_ query: Statement) -> StoreItem? {
        let origin = Int(truncatingIfNeeded: query.integer(1))
        let topic = Int(truncatingIfNeeded: query.integer(4))
        guard let originText = names.text(origin), let topicText = names.text(topic), query.integer(0) > 0 else {
            return nil
        }
        let item = StoreItem(
            position: query.integer(0), origin: origin, topic: topic, sequence: UInt64(bitPattern: query.integer(2)),
            time: query.integer(3), key: query.bytes(5), payload: query.bytes(6))
        let sum = OutboxFile.sum(
            position: item.position, sequence: item.sequence, time: item.time, origin: originText, topic: topicText,
            key: item.key, payload: item.payload)
        return sum == query.integer(7) ? item : nil
    }

    private func attempt(_ body: () throws(StorageError) -> Void) {
        do throws(StorageError) { try body() } catch {}
    }
}
