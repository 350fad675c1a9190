import Platform
import Records
import Storage

/// What the disk's thread owns: the file. Its jobs run one after the other.
final class DiskThread {
    private let path: String
    private let maxSize: Int64
    private let fileSystem: String?
    private var file: OutboxFile?
    /// The file was opened for reading only, or turned out to be: before something is written it is opened anew.
    private var isReadOnly = false
    /// Held from before the file is opened until it is closed for good.
    private var lock: FileLock?
    /// What connections that are closed have written.
    private var before = WriteCounters()
    /// What had been written at the last checkpoint.
    private var checkpointed: UInt64 = 0

    /// Bytes written after which the log is moved into the file.
    private static var checkpointBytes: UInt64 { 1_048_576 }

    init(path: String, maxSize: Int64, fileSystem: String?) {
        self.path = path
        self.maxSize = maxSize
        self.fileSystem = fileSystem
    }

    func perform(_ request: DiskRequest) {
        do throws(StorageError) {
            if request.closes {
                defer {
                    close()
                    lock = nil
                    request.written = before
                }
                try restoreIfMoved(request)
                return
            }
            let file = try openFile(request)
            try write(request, file)
            try read(request, file)
            if request.isCommitted {
                try measure(request, file)
                try checkpoint(file)
            }
        } catch {
            request.failure = error
            if error.isDamage { replace(request) }
        }
        request.written = written
    }

    /// Commits what is to be written. What cannot be written is no reason not to read: a file system that has become
    /// read-only still gives what is on it.
    private func write(_ request: DiskRequest, _ file: OutboxFile) throws(StorageError) {
        do throws(StorageError) {
            if request.writes { try commit(request, file) }
            request.isCommitted = true
            if request.takesGaps { request.gaps = try file.gaps() }
        } catch {
            if error.isDamage { throw error }
            if error.isReadOnly { isReadOnly = true }
            request.failure = error
        }
    }

    private var written: WriteCounters {
        var sum = before
        if let own = file?.database.written {
            sum.bytes += own.bytes
            sum.writes += own.writes
            sum.syncs += own.syncs
        }
        return sum
    }

    private func close() {
        before = written
        checkpointed = 0
        file = nil
        isReadOnly = false
    }

    /// The file is not in its place any more. As long as it is open all of it can be had: a copy takes the place, unless
    /// somebody else has put something there.
    private func restoreIfMoved(_ request: DiskRequest) throws(StorageError) {
        if file?.database.hasMoved != true { return }
        request.isMisplaced = true
        if OutboxFile.exists(path) {
            throw StorageError(
                file: path, operation: "commit", code: 1, reason: "another file has taken its place; left alone")
        }
        // One that went with the file keeps nobody off.
        lock = nil
        lock = try FileLock.take(path, setting: "outbox.path")
        let copy = path + ".restoring"
        try file?.copy(to: copy)
        // Closing removes a log by its name: before there is another of that name.
        close()
        try OutboxFile.put(copy, at: path)
        request.isMisplaced = false
        request.isRestored = true
    }

    private func openFile(_ request: DiskRequest) throws(StorageError) -> OutboxFile {
        if request.writes { try restoreIfMoved(request) }
        if let file {
            if !isReadOnly || !request.writes { return file }
            close()
        }
        if lock == nil { lock = try FileLock.take(path, setting: "outbox.path") }
        let opened = try openOrRecover(request)
        let state = try opened.file.state()
        // Whose names and positions would be others'.
        guard request.known.identity.utf8.isEmpty || sameBytes(state.identity, request.known.identity) else {
            throw StorageError(
                file: path, operation: "open", code: 1, reason: "another outbox has taken its place; left alone")
        }
        file = opened.file
        request.recovery = opened.recovery
        request.state = state
        request.allNames = opened.file.names.entries
        return opened.file
    }

    /// Opens the file for reading alone where that is all that can be had.
    private func openOrRecover(
        _ request: DiskRequest
    ) throws(StorageError) -> (file: OutboxFile, recovery: OutboxRecovery?) {
        do throws(StorageError) {
            return try OutboxFile.openOrRecover(
                path, maxSize: maxSize, at: request.wallTime, known: request.known, fileSystem: fileSystem,
                written: before)
        } catch let failure {
            let file = try OutboxFile.openUnchanging(path, after: failure, fileSystem: fileSystem, written: before)
            isReadOnly = true
            request.failure = failure
            return (file, nil)
        }
    }

    /// The file turned out to be damaged: what can be read of it takes its place, and the request is made again.
    private func replace(_ request: DiskRequest) {
        close()
        do throws(StorageError) {
            request.recovery = try OutboxFile.replace(
                path, maxSize: maxSize, at: request.wallTime, known: request.known, fileSystem: fileSystem)
        } catch {
            request.failure = error
        }
    }

    private func commit(_ request: DiskRequest, _ file: OutboxFile) throws(StorageError) {
        try file.commit { () throws(StorageError) in
            for name in request.names { try file.add(name) }
            var change: Int64 = 0
            for range in request.deletions { change -= Int64(try file.delete(range)) }
            if let range = request.dropped {
                request.droppedCount = try file.drop(range, keeping: request.keeping)
                change -= Int64(request.droppedCount)
            }
            let next = try insert(request, file)
            change += Int64(request.storedCount)
            if request.storedCount == request.items.count { for gap in request.toldGaps { try file.settle(gap) } }
            for note in request.notes { try file.note(note.gap, topic: Int64(note.topic)) }
            try file.noteChange(count: change, next: next, written: written)
        }
    }

    /// Stores what there is room for.
    /// - Returns: the position behind the last.
    private func insert(_ request: DiskRequest, _ file: OutboxFile) throws(StorageError) -> Int64 {
        var next: Int64 = 0
        var left: Int64 = 0
        request.storedCount = 0
        for item in request.items {
            if left <= 0 {
                let room = OutboxSettings.room(in: maxSize) - (try file.usedBytes())
                if room <= 0 { break }
                // Large records leave up to half of a page free.
                left = max(room / 4, 8_192)
            }
            left -= Int64(item.key.count + item.payload.count + RecordEntry.stride)
            try file.insert(item)
            next = max(next, item.position + 1)
            request.storedCount += 1
        }
        return next
    }

    private func read(_ request: DiskRequest, _ file: OutboxFile) throws(StorageError) {
        guard let page = request.page else { return }
        let table = request.table
        var count = 0
        var used = 0
        // From one good record to the next: what is between them was sampled in between.
        var last: WallTime?
        var oversized: [Int64] = []
        var damaged: [Int64] = []
        var marks: [(position: Int64, told: RecordEntry.Told)] = []
        if let first = request.wanted.first?.first, let last = request.wanted.last?.last {
            marks = try file.marks(PositionRanges.Range(first: first, last: last))
        }
        for range in request.wanted {
            var isPageFull = false
            try file.read(
                from: range.first, through: range.last,
                damaged: {
                    if damaged.isEmpty { request.unreadableAfter = last }
                    damaged.append($0)
                },
                { record in
                    let isEarlier = !sameBytes(record.origin, request.origin)
                    let growth = isEarlier ? UnsyncedRecord.growth : 0
                    let told = marks.first { $0.position == record.position }?.told
                    let more = growth + (told == nil ? 0 : RecordEntry.Told.bytes)
                    let size = record.payload.count + record.key.count + more
                    if size > table.largestRecord || record.key.count > Int(UInt16.max) {
                        oversized.append(record.position)
                        last = record.time
                        return true
                    }
                    let room = table.slabSize - used - (count + 1) * RecordEntry.stride
                    if size > room || count == SlabTable.mostRecords {
                        isPageFull = true
                        request.unreadFrom = record.position
                        return false
                    }
                    used += copy(record, isEarlier, told, to: page, at: used, table.entry(count, in: page))
                    count += 1
                    last = record.time
                    return true
                })
            if isPageFull { break }
        }
        request.isRead = true
        if !oversized.isEmpty || !damaged.isEmpty { leaveOut(oversized, damaged, request, file) }
        request.readCount = count
        request.readBytes = used
    }

    /// Records that no slab can hold, or that are not what was appended, become gaps, in one transaction. If that fails
    /// they stay where they are, for the next start.
    private func leaveOut(_ oversized: [Int64], _ damaged: [Int64], _ request: DiskRequest, _ file: OutboxFile) {
        request.unreadable = damaged.count
        do throws(StorageError) {
            try file.commit { () throws(StorageError) in
                var count = try file.leaveOut(damaged)
                for position in oversized {
                    count += try file.drop(PositionRanges.Range(first: position, last: position))
                }
                try file.noteChange(count: -Int64(count), next: 0, written: written)
            }
            request.oversized = oversized.count
            request.hasNewGaps = true
        } catch {}
    }

    /// - Parameter isEarlier: whether an earlier start took it: a clock that was not known then never will be.
    /// - Returns: the bytes of payload and key, and of what it tells.
    private func copy(
        _ record: StoredRecord, _ isEarlier: Bool, _ told: RecordEntry.Told?, to page: UnsafeMutableRawPointer,
        at offset: Int, _ entry: UnsafeMutablePointer<RecordEntry>
    ) -> Int {
        var writer = ByteWriter(
            UnsafeMutableRawBufferPointer(
                start: page + offset, count: record.payload.count + UnsyncedRecord.growth + record.key.count))
        if isEarlier {
            UnsyncedRecord.writeUncertain(record.payload, to: &writer)
        } else {
            writer.write(record.payload)
        }
        let length = writer.count
        writer.write(record.key)
        entry.initialize(
            to: RecordEntry(
                sequence: record.sequence, position: record.position, time: record.time.milliseconds,
                offset: UInt32(offset), length: UInt32(length), nonce: 0,
                keyLength: UInt16(record.key.count), topic: UInt16(truncatingIfNeeded: record.topicNumber),
                origin: UInt16(truncatingIfNeeded: record.originNumber), state: .waiting, storage: .stored,
                traits: told == nil ? [] : .gap))
        told?.write(to: page + offset + writer.count)
        return entry.pointee.size - RecordEntry.stride
    }

    private func measure(_ request: DiskRequest, _ file: OutboxFile) throws(StorageError) {
        request.usedBytes = try file.usedBytes()
        request.count = try file.count()
    }

    private func checkpoint(_ file: OutboxFile) throws(StorageError) {
        if file.database.written.bytes - checkpointed < Self.checkpointBytes { return }
        checkpointed = file.database.written.bytes
        try file.database.checkpoint()
        checkpointed = file.database.written.bytes
    }
}
