import Platform
import Records
import Storage

/// What came of a request: the lanes hear of it, and trouble is said once.
extension Outbox {
    func finish(_ request: DiskRequest, _ disk: Disk) {
        disk.written = request.written
        if request.writes || request.closes { disk.isMisplaced = request.isMisplaced }
        if request.isRestored {
            log.warning(joined("outbox: ", disk.path, " had been removed; what was in it has been written again"))
        }
        if request.closes {
            if let failure = request.failure { log.error(joined("outbox: ", failure.description)) }
            finishStopping(disk)
            return
        }
        if let recovery = request.recovery { report(recovery, disk) }
        if let state = request.state { adopt(state, request.allNames, disk) }
        endCommit(request, disk)
        endReading(request, disk)
        if let failure = request.failure {
            noteFailure(failure, request, disk)
        } else {
            disk.count = request.count
            disk.usedBytes = request.usedBytes
            noteSuccess(request, disk)
        }
        if !request.gaps.isEmpty { tell(request.gaps, disk) }
        offerWaiting()
        pumpDisk()
    }

    /// The file is open.
    private func adopt(_ state: OutboxFileState, _ names: [DiskNames.Entry], _ disk: Disk) {
        let isFirst = !disk.isKnown
        disk.identity = state.identity
        disk.count = state.count
        disk.usedBytes = state.usedBytes
        disk.hasGaps = state.hasGaps
        disk.nextPosition = max(disk.nextPosition, state.next)
        for name in names { disk.names.add(name) }
        if !isFirst { return }
        disk.isKnown = true
        // Goes with the first commit.
        if disk.names.mark == nil {
            _ = disk.number(of: OutboxMark(identity: state.identity, next: state.next).text)
        }
        if let timer = disk.openTimer { loop.cancel(timer) }
        disk.openTimer = nil
        if disk.phase == .opening || disk.phase == .down { disk.phase = .up }
        if state.last > 0 { disk.backlog.insert(PositionRanges.Range(first: state.first, last: state.last)) }
        if state.count > 0 { log.info("outbox: \(state.count) records wait on the disk") }
        if state.hasGaps { armGaps() }
        onDisk?()
    }

    private func endCommit(_ request: DiskRequest, _ disk: Disk) {
        for index in 0..<request.places.count {
            let queue = queue(request.places[index].lane)
            let isStored = request.isCommitted && index < request.storedCount
            if queue.endStoring(request.places[index].place, isStored: isStored), isStored {
                noteDeletion(request.items[index].position, disk)
            }
        }
        if request.isCommitted {
            if !request.items.isEmpty { evictUnderPressure(disk) }
            if request.isPartial {
                disk.isSpillDue = true
                disk.toldGaps = request.toldGaps + disk.toldGaps
            }
            if !request.notes.isEmpty { disk.hasGaps = true }
            if request.droppedCount > 0 {
                disk.dropped += UInt64(request.droppedCount)
                disk.hasGaps = true
                disk.hasThinned = true
                noteDiskFull(request.droppedCount, disk)
            }
            return
        }
        if !request.items.isEmpty { disk.isSpillDue = true }
        for range in request.deletions { disk.deletions.insert(range) }
        if !request.deletions.isEmpty { disk.areDeletionsDue = true }
        if let dropped = request.dropped, request.keeping == nil { disk.backlog.insert(dropped) }
        disk.newNames = request.names + disk.newNames
        disk.toldGaps = request.toldGaps + disk.toldGaps
        if request.takesGaps { disk.areGapsDue = true }
        for note in request.notes { gaps.add(note.gap) }
        if !request.notes.isEmpty {
            disk.areNotesDue = disk.isStopping
            armGaps()
        }
    }

    private func endReading(_ request: DiskRequest, _ disk: Disk) {
        guard request.slab >= 0, let memory = table.slabs[request.slab].memory else { return }
        disk.lowestReading = Int64.max
        disk.hasFailedReading = !request.isRead
        if !request.isRead {
            for range in request.wanted { disk.backlog.insert(range) }
            backlog.closePage(request.slab, records: 0, used: 0)
            return
        }
        if let unread = request.unreadFrom {
            for range in request.wanted where range.last >= unread {
                disk.backlog.insert(PositionRanges.Range(first: max(range.first, unread), last: range.last))
            }
        }
        if request.hasNewGaps { disk.hasGaps = true }
        if request.unreadable > 0 {
            disk.unreadable += UInt64(request.unreadable)
            log.error(
                joined(
                    "outbox: ", decimal(request.unreadable),
                    " records on the disk cannot be read and are left out", since(request.unreadableAfter)))
        }
        if request.oversized > 0 {
            disk.unreadable += UInt64(request.oversized)
            log.error(
                joined(
                    "outbox: ", decimal(request.oversized), " records on the disk are larger than ",
                    decimal(table.largestRecord), " bytes and are left out: max_memory was larger when they came"))
        }
        for record in 0..<request.readCount {
            let entry = table.entry(record, in: memory)
            disk.highestRead = max(disk.highestRead, entry.pointee.position)
            let topic = disk.names.text(Int(entry.pointee.topic)).flatMap { disk.topics.topicID($0) }
            if let topic, let number = UInt16(exactly: topic.index) {
                entry.pointee.topic = number
            } else {
                // No such topic can be: the transport says so when it is offered, and it counts as failed.
                entry.pointee.topic = UInt16.max
            }
        }
        backlog.closePage(request.slab, records: request.readCount, used: request.readBytes)
    }

    private func report(_ recovery: OutboxRecovery, _ disk: Disk) {
        var lost = ""
        switch recovery.lost {
        case 0?: break
        case let count?: lost = joined("; ", decimal(count), " were not", since(recovery.lostAfter))
        case nil: lost = joined("; how many were not is not known", since(recovery.lostAfter))
        }
        log.error(
            joined(
                "outbox: ", disk.path, " is damaged; it was set aside as ", recovery.setAside, ", and ",
                decimal(recovery.recovered), " records were recovered from it", lost))
        if recovery.isIdentityKept || !settings.keepsPositions { return }
        log.error(
            joined(
                "outbox: its identity is lost, so nobody can tell which of them had been delivered: some may be ",
                "sent again"))
    }

    /// When the first of what is lost was sampled, as far as that is known: after what is still there before it.
    private func since(_ time: WallTime?) -> String {
        guard let time else { return "" }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: TimestampFormat.maximumBytes, alignment: 1)
        defer { memory.deallocate() }
        var writer = ByteWriter(memory)
        TimestampFormat.rfc3339.write(time, to: &writer)
        // Without its quotes.
        let text = writer.written.dropFirst().dropLast()
        return joined(", the first of them sampled after ", String(decoding: text, as: UTF8.self))
    }

    // MARK: Trouble

    private func noteFailure(_ failure: StorageError, _ request: DiskRequest, _ disk: Disk) {
        // Set aside and recovered: the same again, with the new file.
        if failure.isDamage, request.recovery != nil { return }
        if failure.isFull, disk.usedBytes >= OutboxSettings.room(in: settings.maxSize) || request.items.isEmpty {
            // Its own bound, not the device's: the policy makes room.
            disk.usedBytes = settings.maxSize
            if settings.whenFull != .dropNewest, !disk.backlog.isEmpty, !request.items.isEmpty, request.dropped == nil {
                return
            }
        }
        if !disk.hasSaidDown {
            disk.hasSaidDown = true
            log.error(
                joined(
                    "outbox: ", failure.isUnopenable ? "outbox.path: " : "", failure.description,
                    "; going on from memory, the disk is tried again every 10 s"))
        }
        if disk.isStopping, records.unstored + replies.unstored == 0 || loop.time.now >= disk.stopDeadline {
            finishStopping(disk)
            return
        }
        // A read that failed while writing rests.
        if disk.isResting { return }
        let wasOpening = disk.isOpening
        disk.phase = .down
        disk.isResting = true
        disk.retryTimer = loop.after(disk.isStopping ? Disk.stopPause : Disk.retryPause) { [unowned(unsafe) self] in
            endRest(disk)
            pumpDisk()
        }
        // Whoever waits for the file need not wait any longer.
        if wasOpening { onDisk?() }
    }

    /// The next attempt may be made.
    func endRest(_ disk: Disk) {
        if let timer = disk.retryTimer { loop.cancel(timer) }
        disk.retryTimer = nil
        disk.isResting = false
        disk.hasFailedReading = false
        if disk.isKnown, disk.phase == .down { disk.phase = .up }
    }

    private func noteSuccess(_ request: DiskRequest, _ disk: Disk) {
        if disk.hasSaidDown, request.writes || request.state != nil {
            disk.hasSaidDown = false
            if disk.phase == .down { disk.phase = .up }
            log.warning("outbox: the disk is back")
        }
        noteDiskRoom(disk)
        if disk.mayTellGaps { armGaps() }
    }
}
