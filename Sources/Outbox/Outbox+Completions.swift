import Platform
import Records
import Storage

/// What came of a request: the lanes hear of it, and trouble is said once.
extension Outbox {
    func finish(_ request: DiskRequest, _ disk: Disk) {
        disk.written = request.written
        if request.closes {
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
            if queue.endStoring(request.places[index].place, isStored: request.isCommitted), request.isCommitted {
                noteDeletion(request.items[index].position, disk)
            }
        }
        if request.isCommitted {
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
        for position in request.unreadable { noteDeletion(position, disk) }
        if !request.unreadable.isEmpty {
            disk.unreadable += UInt64(request.unreadable.count)
            log.error("outbox: \(request.unreadable.count) records on the disk cannot be read and are left out")
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
        log.error(
            joined(
                "outbox: ", disk.path, " is damaged; it was set aside as ", recovery.setAside, ", and ",
                decimal(recovery.recovered), " records were recovered from it"))
        if recovery.isIdentityKept || !settings.keepsPositions { return }
        log.error(
            joined(
                "outbox: its identity is lost, so nobody can tell which of them had been delivered: some may be ",
                "sent again"))
    }

    // MARK: Trouble

    private func noteFailure(_ failure: StorageError, _ request: DiskRequest, _ disk: Disk) {
        // Set aside and recovered: the same again, with the new file.
        if failure.isDamage, request.recovery != nil { return }
        if failure.isFull, disk.usedBytes >= settings.maxSize / 16 * 15 || request.items.isEmpty {
            // Its own bound, not the device's: the policy makes room.
            disk.usedBytes = settings.maxSize
            if settings.whenFull != .dropNewest, !disk.backlog.isEmpty, !request.items.isEmpty, request.dropped == nil {
                return
            }
        }
        if !disk.hasSaidDown {
            disk.hasSaidDown = true
            log.error("outbox: \(failure.description); going on from memory, the disk is tried again every 10 s")
        }
        if disk.isStopping {
            finishStopping(disk)
            return
        }
        // A read that failed while writing rests.
        if disk.isResting { return }
        let wasOpening = disk.isOpening
        disk.phase = .down
        disk.isResting = true
        disk.retryTimer = loop.after(Disk.retryPause) { [unowned(unsafe) self] in
            disk.retryTimer = nil
            disk.isResting = false
            disk.hasFailedReading = false
            if disk.isKnown, disk.phase == .down { disk.phase = .up }
            pumpDisk()
        }
        // Whoever waits for the file need not wait any longer.
        if wasOpening { onDisk?() }
    }

    private func noteSuccess(_ request: DiskRequest, _ disk: Disk) {
        if disk.hasSaidDown, request.writes || request.state != nil {
            disk.hasSaidDown = false
            if disk.phase == .down { disk.phase = .up }
            log.warning("outbox: the disk is back")
        }
        if let lost = disk.lostSinceFull, disk.usedBytes < settings.maxSize / 4 * 3 {
            disk.lostSinceFull = nil
            log.warning("outbox: room on the disk again; \(lost) records were dropped there")
        }
        if disk.hasGaps, disk.lostSinceFull == nil { armGaps() }
    }

    func noteDiskFull(_ count: Int, _ disk: Disk) {
        if let lost = disk.lostSinceFull {
            disk.lostSinceFull = lost + UInt64(count)
            return
        }
        disk.lostSinceFull = UInt64(count)
        let policy: StaticString
        switch settings.whenFull {
        case .dropOldest: policy = "the oldest are being dropped"
        case .dropNewest: policy = "new ones stay in memory as long as that has room"
        case .thin: policy = "of each sensor's one in four is kept"
        }
        log.warning(
            joined(
                "outbox: ", decimal(settings.maxSize / 1_000_000), " MB of records wait on the disk (max_size): ",
                String(policy)))
    }
}
