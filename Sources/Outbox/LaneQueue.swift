/// A place in a lane: a slab and a record in it. A record number equal to the slab's count is the place of the next.
struct RecordPosition: Equatable {
    var slab: Int
    var record: Int
}

/// One lane: a list of slabs in the order of their records, and where the next offer is.
///
/// Records settle in any order; a slab leaves the list when all of its own have, wherever it stands.
final class LaneQueue {
    let lane: Outbox.Lane
    /// Slabs that it may have at once.
    let limit: Int
    private let table: SlabTable
    private var first = -1
    private(set) var last = -1
    private(set) var slabCount = 0
    /// No record before this place is waiting.
    private var cursor = RecordPosition(slab: -1, record: 0)
    /// Every record before this place is settled, stored or being stored.
    private var storeCursor = RecordPosition(slab: -1, record: 0)
    /// Whether its records may go to the disk.
    let isStorable: Bool
    /// Records that are neither settled nor stored, and those of them that must be stored before they are offered.
    private(set) var unstored = 0
    private(set) var unstoredDurable = 0
    /// Bytes of those that are in no commit under way, with keys and entries: what one begun now would store.
    private(set) var unstoredBytes = 0
    /// Records that never go to the disk beside such that may, and are not settled.
    private(set) var volatile = 0

    var counters = OutboxCounters()
    /// Records to be offered, and records that the transport has.
    private(set) var waiting = 0
    private(set) var handedOver = 0
    /// Bytes of the payloads that are not settled.
    private(set) var payloadBytes = 0
    /// Bytes of the records that the transport has, with keys and entries.
    private var handedOverBytes = 0
    /// The most of them. What the transport has cannot be dropped: if it took all (librdkafka's own queue is larger than
    /// this outbox while the broker is away), `drop-oldest` would have nothing to drop but what comes.
    private let window: Int
    var isWindowFull: Bool { handedOverBytes >= window }
    /// Nothing is offered for a while, after a failure that is worth another attempt.
    var isPaused = false
    /// Records lost to a full lane, and what has been said of them.
    let loss = LossNotice()

    init(lane: Outbox.Lane, limit: Int, table: SlabTable, isStorable: Bool = false) {
        self.lane = lane
        self.isStorable = isStorable
        self.limit = limit
        self.table = table
        window = lane == .reply || lane == .backlog ? Int.max : limit * table.slabSize / 2
    }

    /// Whether more than three quarters of its memory are taken.
    var isUnderPressure: Bool { slabCount * 4 > limit * 3 }

    /// Whether a commit would store enough to be worth its fsync: an eighth of the memory.
    var isCommitWorthwhile: Bool { unstoredBytes * 8 >= limit * table.slabSize }

    /// Whether there is room again, with some to spare, so that a lane does not alternate at its bound.
    var hasRoom: Bool { slabCount <= limit - max(limit / 8, 1) }

    /// Whether a slab more is allowed.
    var canGrow: Bool { slabCount < limit }

    /// Whether the last slab has room for a payload with its key.
    func fits(_ bytes: Int) -> Bool { last >= 0 && table.room(in: last) >= bytes }

    /// Puts an empty slab at the end.
    /// - Returns: `false` when the lane has all that it may have.
    func grow() -> Bool {
        guard canGrow, let index = table.obtain(for: lane) else { return false }
        table.slabs[index].previous = last
        if last >= 0 { table.slabs[last].next = index } else { first = index }
        last = index
        slabCount += 1
        if cursor.slab < 0 { cursor = RecordPosition(slab: index, record: 0) }
        if storeCursor.slab < 0 { storeCursor = RecordPosition(slab: index, record: 0) }
        return true
    }

    /// The memory behind the last record, where the next payload and key go. `fits` must hold.
    func tail(bytes: Int) -> UnsafeMutableRawBufferPointer {
        guard last >= 0, let memory = table.slabs[last].memory else {
            return UnsafeMutableRawBufferPointer(start: nil, count: 0)
        }
        return UnsafeMutableRawBufferPointer(start: memory + table.slabs[last].used, count: bytes)
    }

    /// Makes what was written to `tail` a record.
    func commit(sequence: UInt64, topic: UInt16, payload: Int, key: Int, time: Int64, traits: RecordEntry.Traits) {
        guard last >= 0, let memory = table.slabs[last].memory else { return }
        let slab = table.slabs + last
        let entry = RecordEntry(
            sequence: sequence, time: time, offset: UInt32(slab.pointee.used), length: UInt32(payload), nonce: 0,
            keyLength: UInt16(key), topic: topic, state: .waiting, traits: traits)
        table.entry(slab.pointee.records, in: memory).initialize(to: entry)
        slab.pointee.records += 1
        slab.pointee.waiting += 1
        slab.pointee.used += entry.size - RecordEntry.stride
        waiting += 1
        payloadBytes += payload
        counters.appended += 1
        if traits.contains(.volatile) {
            volatile += 1
        } else if isStorable {
            unstored += 1
            unstoredBytes += entry.size
            if traits.contains(.durable) { unstoredDurable += 1 }
        }
    }

    /// The oldest record that waits.
    /// - Parameter needsDisk: leaves out those that must be on the disk first and are not.
    func nextWaiting(needsDisk: Bool = false) -> RecordPosition? {
        guard let first = firstWaiting() else { return nil }
        if !needsDisk || unstoredDurable == 0 { return first }
        var place = first
        while place.slab >= 0, let memory = table.slabs[place.slab].memory {
            while place.record < table.slabs[place.slab].records {
                let entry = table.entry(place.record, in: memory)
                if entry.pointee.state == .waiting,
                    !entry.pointee.traits.contains(.durable) || entry.pointee.storage == .stored
                {
                    return place
                }
                place.record += 1
            }
            place = RecordPosition(slab: table.slabs[place.slab].next, record: 0)
        }
        return nil
    }

    /// The sequence of the oldest record that is neither settled nor stored, of those that may be.
    var oldestOpen: UInt64? {
        var index = first
        while index >= 0, let memory = table.slabs[index].memory {
            for record in 0..<table.slabs[index].records {
                let entry = table.entry(record, in: memory)
                if entry.pointee.traits.contains(.volatile) { continue }
                if entry.pointee.state != .settled, entry.pointee.storage != .stored { return entry.pointee.sequence }
            }
            index = table.slabs[index].next
        }
        return nil
    }

    private func firstWaiting() -> RecordPosition? {
        if waiting == 0 { return nil }
        while cursor.slab >= 0, let memory = table.slabs[cursor.slab].memory {
            let slab = table.slabs[cursor.slab]
            if slab.waiting > 0 {
                while cursor.record < slab.records {
                    if table.entry(cursor.record, in: memory).pointee.state == .waiting { return cursor }
                    cursor.record += 1
                }
            }
            if slab.next < 0 { return nil }
            cursor = RecordPosition(slab: slab.next, record: 0)
        }
        return nil
    }

    /// The record at `position` goes to the transport.
    func markHandedOver(_ position: RecordPosition, _ entry: UnsafeMutablePointer<RecordEntry>) {
        entry.pointee.state = .handedOver
        table.slabs[position.slab].waiting -= 1
        table.slabs[position.slab].handedOver += 1
        waiting -= 1
        handedOver += 1
        handedOverBytes += entry.pointee.size
    }

    /// The record at `position` is to be offered again, before all that come behind it.
    func markWaiting(_ position: RecordPosition, _ entry: UnsafeMutablePointer<RecordEntry>) {
        entry.pointee.state = .waiting
        table.slabs[position.slab].waiting += 1
        table.slabs[position.slab].handedOver -= 1
        waiting += 1
        handedOver -= 1
        handedOverBytes -= entry.pointee.size
        let isBefore =
            position.slab == cursor.slab
            ? position.record < cursor.record
            : cursor.slab < 0 || table.slabs[position.slab].order < table.slabs[cursor.slab].order
        if isBefore { cursor = position }
    }

    /// The record at `position`, which the transport had, is done with; its slab may go.
    func settle(_ position: RecordPosition, _ entry: UnsafeMutablePointer<RecordEntry>) {
        table.slabs[position.slab].handedOver -= 1
        handedOver -= 1
        handedOverBytes -= entry.pointee.size
        close(entry)
        recycleIfSettled(position.slab)
    }

    private func close(_ entry: UnsafeMutablePointer<RecordEntry>) {
        entry.pointee.state = .settled
        payloadBytes -= Int(entry.pointee.length)
        if entry.pointee.traits.contains(.volatile) { volatile -= 1 }
        if entry.pointee.storage == .none, mayBeStored(entry) { unstoredBytes -= entry.pointee.size }
        if entry.pointee.storage != .stored { forgetUnstored(entry) }
    }

    private func mayBeStored(_ entry: UnsafeMutablePointer<RecordEntry>) -> Bool {
        isStorable && !entry.pointee.traits.contains(.volatile)
    }

    private func isToBeStored(_ entry: UnsafeMutablePointer<RecordEntry>) -> Bool {
        entry.pointee.state != .settled && entry.pointee.storage == .none && mayBeStored(entry)
    }

    private func forgetUnstored(_ entry: UnsafeMutablePointer<RecordEntry>) {
        if !mayBeStored(entry) { return }
        unstored -= 1
        if entry.pointee.traits.contains(.durable) { unstoredDurable -= 1 }
    }

    /// Takes what waits out of the oldest slab of which neither the transport nor the disk's thread has anything: only
    /// then is memory won. What waits in a slab that they have a part of is left for it.
    /// - Parameters:
    ///   - onlyStored: leaves slabs alone that have anything that is not on the disk.
    ///   - floor: with `onlyStored`, leaves slabs alone that begin at or below this position.
    ///   - taken: gets each record that is taken out, with its slab's memory.
    /// - Returns: whether there was such a slab.
    func takeOldestSlab(
        onlyStored: Bool, above floor: Int64 = 0,
        _ taken: (UnsafeMutablePointer<RecordEntry>, UnsafeMutableRawPointer) -> Void
    ) -> Bool {
        guard let index = oldestSlab(onlyStored: onlyStored, above: floor), let memory = table.slabs[index].memory
        else {
            return false
        }
        for record in 0..<table.slabs[index].records {
            let entry = table.entry(record, in: memory)
            if entry.pointee.state != .waiting { continue }
            taken(entry, memory)
            close(entry)
        }
        waiting -= table.slabs[index].waiting
        table.slabs[index].waiting = 0
        recycleIfSettled(index)
        return true
    }

    /// The slab that `takeOldestSlab` would take.
    func oldestSlab(onlyStored: Bool, above floor: Int64 = 0) -> Int? {
        var index = first
        while index >= 0 {
            let slab = table.slabs[index]
            if slab.handedOver == 0, slab.pins == 0, slab.waiting > 0, let memory = slab.memory,
                !onlyStored || isStored(slab, memory, above: floor)
            {
                return index
            }
            index = slab.next
        }
        return nil
    }

    private func isStored(_ slab: Slab, _ memory: UnsafeMutableRawPointer, above floor: Int64) -> Bool {
        for record in 0..<slab.records {
            let entry = table.entry(record, in: memory)
            if entry.pointee.state != .waiting { continue }
            if entry.pointee.storage != .stored || entry.pointee.position <= floor { return false }
        }
        return true
    }

    private func recycleIfSettled(_ index: Int) {
        let slab = table.slabs[index]
        if slab.waiting > 0 || slab.handedOver > 0 || slab.pins > 0 { return }
        if index == last {
            // Used again from its beginning: at a low rate one slab does for ever.
            table.slabs[index].records = 0
            table.slabs[index].used = 0
            if cursor.slab == index { cursor.record = 0 }
            if storeCursor.slab == index { storeCursor.record = 0 }
            return
        }
        if slab.previous >= 0 { table.slabs[slab.previous].next = slab.next } else { first = slab.next }
        table.slabs[slab.next].previous = slab.previous
        if cursor.slab == index { cursor = RecordPosition(slab: slab.next, record: 0) }
        if storeCursor.slab == index { storeCursor = RecordPosition(slab: slab.next, record: 0) }
        slabCount -= 1
        table.giveBack(index)
    }

    // MARK: To and from the disk

    /// The oldest record that is neither settled nor stored, nor being stored.
    func firstUnstored() -> UnsafeMutablePointer<RecordEntry>? {
        if unstored == 0 { return nil }
        while storeCursor.slab >= 0, let memory = table.slabs[storeCursor.slab].memory {
            while storeCursor.record < table.slabs[storeCursor.slab].records {
                let entry = table.entry(storeCursor.record, in: memory)
                if isToBeStored(entry) { return entry }
                storeCursor.record += 1
            }
            if table.slabs[storeCursor.slab].next < 0 { return nil }
            storeCursor = RecordPosition(slab: table.slabs[storeCursor.slab].next, record: 0)
        }
        return nil
    }

    /// Puts what is not stored into a commit, oldest first.
    /// - Returns: `false` when the commit took no more.
    func collectUnstored(onlyDurable: Bool, _ add: (RecordPosition) -> Bool) -> Bool {
        guard firstUnstored() != nil else { return true }
        var place = storeCursor
        while place.slab >= 0, let memory = table.slabs[place.slab].memory {
            while place.record < table.slabs[place.slab].records {
                let entry = table.entry(place.record, in: memory)
                if isToBeStored(entry), !onlyDurable || entry.pointee.traits.contains(.durable) {
                    if !add(place) { return false }
                    entry.pointee.storage = .storing
                    unstoredBytes -= entry.pointee.size
                    table.slabs[place.slab].pins += 1
                }
                place.record += 1
            }
            place = RecordPosition(slab: table.slabs[place.slab].next, record: 0)
        }
        return true
    }

    /// The commit that the record at `place` was in has ended.
    /// - Returns: whether the record was settled meanwhile.
    func endStoring(_ place: RecordPosition, isStored: Bool) -> Bool {
        guard let memory = table.slabs[place.slab].memory else { return false }
        let entry = table.entry(place.record, in: memory)
        let isSettled = entry.pointee.state == .settled
        entry.pointee.storage = isStored ? .stored : .none
        if !isStored, !isSettled { unstoredBytes += entry.pointee.size }
        if isStored {
            if !isSettled { forgetUnstored(entry) }
        } else if place.slab == storeCursor.slab
            ? place.record < storeCursor.record
            : storeCursor.slab < 0 || table.slabs[place.slab].order < table.slabs[storeCursor.slab].order
        {
            storeCursor = place
        }
        unpin(place.slab)
        return isSettled
    }

    func unpin(_ slab: Int) {
        table.slabs[slab].pins -= 1
        recycleIfSettled(slab)
    }

    /// An empty slab at the end for the disk's thread to fill; pinned.
    func openPage() -> Int? {
        if last >= 0, table.slabs[last].records == 0, table.slabs[last].pins == 0 {
            table.slabs[last].pins = 1
            return last
        }
        guard grow() else { return nil }
        table.slabs[last].pins = 1
        return last
    }

    /// Makes what the disk's thread wrote into the last slab records that wait.
    func closePage(_ slab: Int, records: Int, used: Int) {
        guard let memory = table.slabs[slab].memory else { return }
        table.slabs[slab].records = records
        table.slabs[slab].used = used
        table.slabs[slab].waiting = records
        waiting += records
        for record in 0..<records { payloadBytes += Int(table.entry(record, in: memory).pointee.length) }
        counters.appended += UInt64(records)
        unpin(slab)
    }

    /// Settles what waits for which `isSettled` holds.
    func settleWaiting(where isSettled: (UnsafeMutablePointer<RecordEntry>) -> Bool) {
        var index = first
        while index >= 0, let memory = table.slabs[index].memory {
            let next = table.slabs[index].next
            for record in 0..<table.slabs[index].records {
                let entry = table.entry(record, in: memory)
                guard entry.pointee.state == .waiting, isSettled(entry) else { continue }
                close(entry)
                waiting -= 1
                table.slabs[index].waiting -= 1
            }
            recycleIfSettled(index)
            index = next
        }
    }
}
