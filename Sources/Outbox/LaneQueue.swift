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
    /// Records lost to a full lane since the line that said so; `nil` while there is room.
    var lostSinceFull: UInt64?

    init(lane: Outbox.Lane, limit: Int, table: SlabTable) {
        self.lane = lane
        self.limit = limit
        self.table = table
        window = lane == .reply ? Int.max : limit * table.slabSize / 2
    }

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
    func commit(sequence: UInt64, topic: UInt16, payload: Int, key: Int) {
        guard last >= 0, let memory = table.slabs[last].memory else { return }
        let slab = table.slabs + last
        table.entry(slab.pointee.records, in: memory).initialize(
            to: RecordEntry(
                sequence: sequence, offset: UInt32(slab.pointee.used), length: UInt32(payload), nonce: 0,
                keyLength: UInt16(key), topic: topic, state: .waiting))
        slab.pointee.records += 1
        slab.pointee.waiting += 1
        slab.pointee.used += payload + key
        waiting += 1
        payloadBytes += payload
        counters.appended += 1
    }

    /// The oldest record that waits.
    func nextWaiting() -> RecordPosition? {
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
        entry.pointee.state = .settled
        payloadBytes -= Int(entry.pointee.length)
        table.slabs[position.slab].handedOver -= 1
        handedOver -= 1
        handedOverBytes -= entry.pointee.size
        recycleIfSettled(position.slab)
    }

    /// Drops what waits in the oldest slab of which the transport has nothing: only then is memory won. What waits in
    /// a slab that the transport has a part of is left for it.
    /// - Returns: how many records; 0 when the transport has a part of every slab.
    func dropOldestSlab() -> Int {
        var index = first
        while index >= 0 {
            let slab = table.slabs[index]
            if slab.handedOver == 0, slab.waiting > 0, let memory = slab.memory {
                for record in 0..<slab.records {
                    let entry = table.entry(record, in: memory)
                    if entry.pointee.state != .waiting { continue }
                    entry.pointee.state = .settled
                    payloadBytes -= Int(entry.pointee.length)
                }
                waiting -= slab.waiting
                table.slabs[index].waiting = 0
                recycleIfSettled(index)
                return slab.waiting
            }
            index = slab.next
        }
        return 0
    }

    private func recycleIfSettled(_ index: Int) {
        let slab = table.slabs[index]
        if slab.waiting > 0 || slab.handedOver > 0 { return }
        if index == last {
            // Used again from its beginning: at a low rate one slab does for ever.
            table.slabs[index].records = 0
            table.slabs[index].used = 0
            if cursor.slab == index { cursor.record = 0 }
            return
        }
        if slab.previous >= 0 { table.slabs[slab.previous].next = slab.next } else { first = slab.next }
        table.slabs[slab.next].previous = slab.previous
        if cursor.slab == index { cursor = RecordPosition(slab: slab.next, record: 0) }
        slabCount -= 1
        table.giveBack(index)
    }
}
