import Platform
import Records
import Storage

/// From the lanes to the disk. There is one request at a time: what becomes due while it is under way goes into the
/// next, which makes commits larger where the disk is slow.
extension Outbox {
    /// Asks the disk's thread for what is due, if it is idle.
    func pumpDisk() {
        guard let disk, !disk.isBusy, disk.phase != .closed else { return }
        let rests = disk.isResting
        let request = DiskRequest(table: table, wallTime: loop.time.wallTime, origin: disk.origin)
        if !disk.isKnown {
            request.opens = !rests
        } else {
            request.known = KnownOutbox(identity: disk.identity, next: disk.nextPosition, names: disk.names)
            if !rests { fill(request, disk) }
            readAhead(request, disk)
        }
        if request.isNothing {
            guard disk.isStopping, !rests else { return }
            request.closes = true
        }
        disk.isBusy = true
        // A file that does not open is said by itself.
        if !request.opens { awaitAnswer(disk) }
        let thread = disk.thread
        // The completion may come when the outbox is gone: it asks the disk first.
        disk.queue.perform(
            { thread.perform(request) },
            completion: { [unowned(unsafe) self] in
                disk.isBusy = false
                if disk.phase == .closed { return }
                noteAnswer(disk)
                finish(request, disk)
            })
    }

    private func fill(_ request: DiskRequest, _ disk: Disk) {
        var isComplete = false
        if disk.hasGivenUp || !(disk.isSpillDue || disk.isCommitDue) {
            // What has been noted as missing is not stored any more.
        } else if !mayStore(request, disk) {
            // What is deleted at a stop makes room, too.
            if disk.isStopping, disk.deletions.isEmpty { noteUnstored(disk) }
        } else {
            let onlyDurable = !disk.isSpillDue
            isComplete =
                collect(records, onlyDurable, request, disk) && (onlyDurable || collect(replies, false, request, disk))
            if isComplete {
                disk.isCommitDue = false
                if !onlyDurable { disk.isSpillDue = false }
            }
        }
        // Deletions go along with any commit, and by themselves when they are due.
        if disk.areDeletionsDue || !request.items.isEmpty {
            request.deletions = disk.deletions.ranges
            disk.deletions.removeAll()
            disk.areDeletionsDue = false
        }
        // With what is given up go the records that tell of those.
        if isComplete || disk.hasGivenUp, !disk.toldGaps.isEmpty {
            request.toldGaps = disk.toldGaps
            disk.toldGaps = []
        }
        if disk.areGapsDue {
            disk.areGapsDue = false
            request.takesGaps = true
        }
        if request.writes || disk.areNotesDue { noteGaps(in: request, disk) }
        if request.writes {
            request.names = disk.newNames
            disk.newNames = []
        }
    }

    private func collect(_ queue: LaneQueue, _ onlyDurable: Bool, _ request: DiskRequest, _ disk: Disk) -> Bool {
        guard let origin = disk.number(of: disk.origin) else { return true }
        return queue.collectUnstored(onlyDurable: onlyDurable) { place in
            if request.isFull { return false }
            guard let memory = table.slabs[place.slab].memory else { return false }
            let entry = table.entry(place.record, in: memory)
            guard let topic = disk.number(of: TopicID(Int(entry.pointee.topic))) else { return false }
            if entry.pointee.position == 0 {
                entry.pointee.position = disk.nextPosition
                disk.nextPosition += 1
            }
            let payload = memory + Int(entry.pointee.offset)
            request.items.append(
                StoreItem(
                    position: entry.pointee.position, origin: origin, topic: topic, sequence: entry.pointee.sequence,
                    time: entry.pointee.time,
                    key: UnsafeRawBufferPointer(
                        start: payload + Int(entry.pointee.length), count: Int(entry.pointee.keyLength)),
                    payload: UnsafeRawBufferPointer(start: payload, count: Int(entry.pointee.length)),
                    told: entry.pointee.told(in: memory)))
            request.places.append((queue.lane, place))
            request.bytes += entry.pointee.size
            return true
        }
    }

    /// Whether there is room in the file, or room that this commit makes.
    private func mayStore(_ request: DiskRequest, _ disk: Disk) -> Bool {
        if disk.usedBytes < OutboxSettings.room(in: settings.maxSize) { return true }
        if records.unstored + replies.unstored == 0 { return true }
        switch settings.whenFull {
        case .dropNewest:
            noteDiskFull(0, disk)
            return false
        case .thin:
            // Where a whole pass has won nothing, the oldest go.
            if let part = disk.backlog.part(from: disk.thinFrom, limit: 2_000) {
                request.dropped = part
                request.keeping = Self.thinning
                disk.thinFrom = part.last + 1
                return true
            }
            disk.thinFrom = 0
            if disk.hasThinned, let part = disk.backlog.part(from: 0, limit: 2_000) {
                disk.hasThinned = false
                request.dropped = part
                request.keeping = Self.thinning
                disk.thinFrom = part.last + 1
                return true
            }
        case .dropOldest: break
        }
        guard let part = disk.backlog.part(from: 0, limit: 1_000) else {
            // Everything on the disk is in memory too, where it waits for its delivery report.
            noteDiskFull(0, disk)
            return false
        }
        disk.backlog.remove(through: part.last)
        request.dropped = part
        return true
    }

    /// `thin` keeps one in so many records of a key: few enough for pages to be given back.
    static var thinning: Int { 4 }

    private func readAhead(_ request: DiskRequest, _ disk: Disk) {
        guard disk.isReadDue(backlog), request.dropped == nil, let slab = backlog.openPage(),
            let memory = table.slabs[slab].memory
        else { return }
        request.slab = slab
        request.page = memory
        // A page holds no more than that.
        request.wanted = disk.backlog.takeLowest(Int64(SlabTable.mostRecords))
        disk.lowestReading = request.wanted.first?.first ?? Int64.max
    }
}
