import Platform
import Records

extension Outbox {
    /// Offers what waits, replies first, until the transport is full.
    func offerWaiting() {
        // A transport may report from within an offer; the loop that runs sees to what that brings.
        if isOffering || isTransportFull { return }
        isOffering = true
        while !isTransportFull {
            if !replies.isPaused, let position = replies.nextWaiting() {
                offer(position, of: replies)
            } else if !offerTelemetry() {
                break
            }
        }
        isOffering = false
        if let disk, disk.isReadDue(backlog) { pumpDisk() }
    }

    /// Offers one record.
    /// - Returns: `false` when there is none, or none that may go now.
    private func offerTelemetry() -> Bool {
        if !memory.isPaused, !memory.isWindowFull, let position = memory.nextWaiting() {
            offer(position, of: memory)
            return true
        }
        // Where nothing is on the disk that is not in memory, and nothing has to go there first, it is out of the way.
        guard let disk, backlog.waiting > 0 || records.unstoredDurable > 0 || !disk.isOutOfTheWay else {
            guard !records.isPaused, !records.isWindowFull, let live = records.nextWaiting() else { return false }
            offer(live, of: records)
            return true
        }
        let live = records.nextWaiting(needsDisk: disk.isWaitedFor)
        let mayLive = !records.isPaused && !records.isWindowFull
        let stored = backlog.nextWaiting()
        switch settings.drain {
        case .newestFirst:
            if let live, mayLive {
                offer(live, of: records)
                return true
            }
        case .oldestFirst:
            // What has a place on the disk goes by it; what has none is younger than all that have.
            let onDisk = disk.givesNothing(keepsPositions: settings.keepsPositions) ? Int64.max : disk.lowestOnDisk
            let isPassed = disk.isPassed(by: records, keepsPositions: settings.keepsPositions)
            let next = isPassed ? Int64.max : min(stored.map { storePosition($0) } ?? Int64.max, onDisk)
            if let live, isBefore(live, next) {
                // Nothing passes it while its lane rests.
                if !mayLive || disk.isOpening { return false }
                offer(live, of: records)
                return true
            }
        }
        guard let stored, !backlog.isPaused,
            disk.takeDrainAllowance(
                settings.drainRate, arrived: settings.drain == .oldestFirst ? records.counters.appended : 0, loop,
                { [unowned(unsafe) self] in offerWaiting() })
        else { return false }
        offer(stored, of: backlog)
        return true
    }

    /// Whether a live record comes before the stored one at `position` (`Int64.max` where there is none).
    private func isBefore(_ live: RecordPosition, _ position: Int64) -> Bool {
        if position == Int64.max { return true }
        let own = storePosition(live)
        return own != 0 && own < position
    }

    private func storePosition(_ place: RecordPosition) -> Int64 {
        guard let memory = table.slabs[place.slab].memory else { return 0 }
        return table.entry(place.record, in: memory).pointee.position
    }

    func offer(_ position: RecordPosition, of queue: LaneQueue) {
        guard let memory = table.slabs[position.slab].memory else { return }
        let entry = table.entry(position.record, in: memory)
        let record = entry.pointee
        let nonce = nextNonce & DeliveryToken.nonceMask
        nextNonce &+= 1
        entry.pointee.nonce = nonce
        // Before the offer, because the report may come from within it.
        queue.markHandedOver(position, entry)
        let payload = memory + Int(record.offset)
        // Before its commit has ended a position is a wish, and after a crash another record may get it. And whoever keeps
        // positions takes all below one for delivered: they are not while some are on the disk, or wait behind this one.
        let readBack = queue.lane == .backlog ? nil : backlog.nextWaiting().map { storePosition($0) }
        let isNext = record.position < min(disk?.lowestOnDisk ?? Int64.max, readBack ?? Int64.max)
        let storedAt = record.storage == .stored && isNext ? record.position : 0
        let answer = transport.offer(
            topic: TopicID(Int(record.topic)),
            key: UnsafeRawBufferPointer(start: payload + Int(record.length), count: Int(record.keyLength)),
            payload: UnsafeRawBufferPointer(start: payload, count: Int(record.length)),
            id: identity(record.origin).bytes(record.sequence), position: storedAt,
            token: DeliveryToken(slab: position.slab, record: position.record, nonce: nonce))
        switch answer {
        case .taken:
            queue.counters.handedOver += 1
        case .full:
            queue.markWaiting(position, entry)
            isTransportFull = true
        case .refused(let reason):
            giveUp(position, entry, queue, DeliveryFailure(name: "refused", reason: reason, isRetriable: false))
        }
    }

    // MARK: Delivery reports

    func report(_ token: DeliveryToken, _ failure: DeliveryFailure?) {
        let position = RecordPosition(slab: token.slab, record: token.record)
        guard position.slab < table.capacity, let memory = table.slabs[position.slab].memory,
            position.record < table.slabs[position.slab].records
        else {
            strayReports += 1
            return
        }
        let entry = table.entry(position.record, in: memory)
        guard entry.pointee.state == .handedOver, entry.pointee.nonce == token.nonce else {
            strayReports += 1
            return
        }
        let queue = queue(table.slabs[position.slab].lane)
        guard let failure else {
            queue.counters.acknowledged += 1
            settle(position, entry, queue)
            return
        }
        guard failure.isRetriable else {
            giveUp(position, entry, queue, failure)
            return
        }
        queue.counters.retried += 1
        if failures.add(failure.name, at: loop.time.now) {
            log.warning("delivery failed (\(failure.name)), will be tried again: \(failure.reason)")
        }
        queue.markWaiting(position, entry)
        pause(queue)
    }

    func giveUp(
        _ position: RecordPosition, _ entry: UnsafeMutablePointer<RecordEntry>, _ queue: LaneQueue,
        _ failure: DeliveryFailure
    ) {
        queue.counters.failed += 1
        if failures.add(failure.name, at: loop.time.now) {
            let count = failures.count(of: failure.name)
            log.error("a record is lost (\(failure.name), \(count) so far): \(failure.reason)")
        }
        // The telling of a gap that nobody takes is not told of: it would be told for ever.
        if let memory = table.slabs[position.slab].memory, !entry.pointee.traits.contains(.gap) {
            noteGap(entry, memory, queue)
        }
        settle(position, entry, queue)
    }

    func settle(_ position: RecordPosition, _ entry: UnsafeMutablePointer<RecordEntry>, _ queue: LaneQueue) {
        if let disk, entry.pointee.storage == .stored { noteDeletion(entry.pointee.position, disk) }
        queue.settle(position, entry)
        if queue.lane == .reply { onReplySettled?() }
        noteRoom(queue)
        // There is room in the lane's window now, or in memory for more of the backlog.
        if queue.waiting > 0 || !(disk?.isOutOfTheWay ?? true) { offerWaiting() }
        if isEmpty { onIdle?() }
    }

    /// Lets the other failures of the same cause come in before the lane goes on, so that they are offered in order, and
    /// a transport that fails at once is not offered the same record without end.
    func pause(_ queue: LaneQueue) {
        if queue.isPaused { return }
        queue.isPaused = true
        timers[Int(queue.lane.rawValue)] = loop.at(loop.time.now + Self.retryPause) { [unowned(unsafe) self] in
            self.timers[Int(queue.lane.rawValue)] = nil
            queue.isPaused = false
            self.offerWaiting()
        }
    }
}
