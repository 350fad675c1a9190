import Platform
import Records
import Storage

/// What the lanes tell the disk, and what is known of it.
extension Outbox {
    /// What the disk is at; `nil` without one.
    public var diskStatus: DiskStatus? {
        guard let disk else { return nil }
        var status = DiskStatus()
        switch disk.phase {
        case .opening: status.state = .opening
        case .up: status.state = disk.hasSaidDown ? .down : .up
        case .down: status.state = .down
        case .closed: status.state = .closed
        }
        if status.state == .up, disk.silentSince != nil { status.state = .silent }
        status.records = disk.count
        status.bytes = disk.usedBytes
        status.written = disk.written
        status.dropped = disk.dropped
        status.unreadable = disk.unreadable
        status.silences = disk.silences
        return status
    }

    /// The identity of the file that positions belong to: 16 hexadecimal digits; empty before it is open.
    public var storeIdentity: String { disk?.identity ?? "" }

    /// Records in memory that would be lost if the process ended now.
    public var unstoredCount: Int {
        guard let disk else { return owedCount }
        // What is stored is not, after all.
        if disk.isMisplaced { return owedCount + Int(disk.backlog.count) }
        return records.unstored + replies.unstored + memory.waiting + memory.handedOver
    }

    func identity(_ origin: UInt16) -> RecordIdentity {
        origin == 0 ? identity : disk?.identity(Int(origin)) ?? identity
    }

    // MARK: Opening and closing

    func openDisk() {
        guard let disk else { return }
        disk.openTimer = loop.after(Disk.openPatience) { [unowned(unsafe) self] in
            disk.openTimer = nil
            guard disk.isOpening else { return }
            disk.phase = .down
            disk.hasSaidDown = true
            log.error("outbox: \(disk.path) does not open; going on from memory until it does")
            onDisk?()
            offerWaiting()
        }
        pumpDisk()
    }

    /// Stores what is not acknowledged and closes the file.
    /// - Parameter done: called, on the loop, when that is done or cannot be.
    public func store(_ done: @escaping () -> Void) {
        guard let disk, disk.phase != .closed else {
            done()
            return
        }
        disk.isStopping = true
        disk.stopDeadline = loop.time.now + Disk.stopPatience
        // There is no later to rest for.
        endRest(disk)
        disk.isSpillDue = true
        disk.areDeletionsDue = true
        disk.areNotesDue = true
        disk.onStored = done
        pumpDisk()
    }

    func finishStopping(_ disk: Disk) {
        disk.phase = .closed
        guard let done = disk.onStored else { return }
        disk.onStored = nil
        done()
    }

    // MARK: Its answers

    /// The disk is asked something. Nobody waits for the answer but what must be on the disk first.
    func awaitAnswer(_ disk: Disk) {
        let asked = loop.time.now
        disk.answerTimer = loop.after(Disk.answerPatience) { [unowned(unsafe) self] in
            disk.answerTimer = nil
            disk.silentSince = asked
            disk.silences += 1
            log.error(
                joined(
                    "outbox: ", disk.path, " has not answered for ", decimal(Disk.answerPatience.milliseconds / 1_000),
                    " s; what has to be stored before it is sent waits in memory"))
            // What has not need not wait any longer.
            offerWaiting()
        }
    }

    func noteAnswer(_ disk: Disk) {
        if let timer = disk.answerTimer { loop.cancel(timer) }
        disk.answerTimer = nil
        guard let since = disk.silentSince else { return }
        disk.silentSince = nil
        log.warning(
            joined(
                "outbox: the disk answers again, after ", decimal((loop.time.now - since).milliseconds / 1_000), " s"))
    }

    // MARK: What the lanes say

    /// A record has come that may go to the disk.
    func noteAppended(_ disk: Disk, _ queue: LaneQueue, _ traits: RecordEntry.Traits) {
        if traits.contains(.durable), !disk.isCommitDue {
            if queue.unstoredDurable >= Disk.commitCount {
                disk.isCommitDue = true
                pumpDisk()
            } else if disk.commitTimer == nil {
                disk.commitTimer = loop.after(settings.commitEvery) { [unowned(unsafe) self] in
                    disk.commitTimer = nil
                    disk.isCommitDue = true
                    pumpDisk()
                }
            }
        }
        if disk.spillTimer == nil {
            disk.spillMarks = (nextSequence - 1, nextSequence - 2)
            armSpill(disk)
        }
        // Whatever the age of what is there. What is stored already is no reason: it leaves when the commit ends.
        if queue.isUnderPressure, queue.isCommitWorthwhile, !disk.isSpillDue {
            disk.isSpillDue = true
            pumpDisk()
        }
    }

    /// What is on the disk leaves memory while that is short, so that what comes finds room for a whole commit.
    func evictUnderPressure(_ disk: Disk) {
        for queue in [records, replies] where queue.isStorable {
            while queue.isUnderPressure, evict(queue, disk) {}
            noteRoom(queue)
        }
    }

    /// Looks twice in `spill_after` whether something has waited for so long. Two numbers are all that is kept for it.
    private func armSpill(_ disk: Disk) {
        let half = Interval(nanoseconds: max(settings.spillAfter.nanoseconds / 2, 1_000_000))
        disk.spillTimer = loop.after(half) { [unowned(unsafe) self] in
            disk.spillTimer = nil
            let marks = disk.spillMarks
            for queue in [records, replies] {
                if let oldest = queue.firstUnstored(), oldest.pointee.sequence <= marks.1 { disk.isSpillDue = true }
            }
            disk.spillMarks = (nextSequence - 1, marks.0)
            if records.unstored + replies.unstored > 0 { armSpill(disk) }
            if disk.isSpillDue { pumpDisk() }
        }
    }

    /// A stored record is settled.
    func noteDeletion(_ position: Int64, _ disk: Disk) {
        disk.deletions.insert(position)
        if disk.areDeletionsDue { return }
        if disk.deletions.count >= Disk.mostDeletions {
            disk.areDeletionsDue = true
            pumpDisk()
        } else if disk.deletionTimer == nil {
            disk.deletionTimer = loop.after(disk.backlog.isEmpty ? Disk.deletionPause : Disk.drainPause) {
                [unowned(unsafe) self] in
                disk.deletionTimer = nil
                disk.areDeletionsDue = !disk.deletions.isEmpty
                pumpDisk()
            }
        }
    }

    /// Empties a slab of which everything is on the disk.
    func evict(_ queue: LaneQueue, _ disk: Disk) -> Bool {
        if !disk.isKnown { return false }
        return queue.takeOldestSlab(onlyStored: true, above: disk.highestRead) { entry, _ in
            queue.counters.evicted += 1
            disk.backlog.insert(entry.pointee.position)
        }
    }
}
