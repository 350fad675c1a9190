import Platform
import Records

/// Where records wait between the encoder and the transport, from `append` until the broker has acknowledged them.
///
/// Records are encoded straight into slabs and handed to the transport where they lie. They are offered in the order
/// they were appended; one that failed in a way worth another attempt is offered again before everything behind it
/// that the transport does not have yet. With `enable.idempotence` librdkafka keeps the order within a partition for what it
/// retries by itself, and what comes back here as failed has records of the same key behind it only if those failed
/// too or were refused; without it a later record of the key may have overtaken. Either way the header `id` tells
/// duplicates.
///
/// The transport gets at most half of the telemetry's memory at a time: what it has cannot be dropped, so the other
/// half is what `when_full` decides on.
///
/// Memory is the way of a record as long as the broker answers. The disk (`Outbox+Disk.swift`) is beside it: a commit
/// copies records out of the slabs, a slab of which everything is stored may be emptied under pressure, and what is on
/// the disk alone is read back into slabs of the lane `backlog`. On the disk each record has a position, and a record
/// that has one is offered only after all stored ones of a lower position (`drain: oldest-first`).
///
/// The transport must not touch a payload once the outbox is gone: end the transport first.
public final class Outbox {
    public enum Lane: UInt8, Sendable {
        /// Telemetry that may go to the disk, and all of it where there is no disk.
        case record
        /// Replies to commands: offered first, with a bound of their own that telemetry cannot eat up.
        case reply
        /// Telemetry with `durability: memory` beside such that may go to the disk.
        case memory
        /// What was read back from the disk.
        case backlog
    }

    /// How long a lane rests after a failure that is worth another attempt.
    public static var retryPause: Interval { .milliseconds(500) }

    /// Called whenever the last record that was pending in memory has been settled.
    public var onIdle: (() -> Void)?
    /// Called when a reply has been acknowledged, or given up; must not append.
    public var onReplySettled: (() -> Void)?
    /// The number of the reply that was appended last; numbers grow.
    public private(set) var lastReply: UInt64 = 0
    /// The number of the oldest reply in memory that is neither settled nor on the disk; `nil` when there is none.
    public var oldestOpenReply: UInt64? { replies.oldestOpen }
    /// Called when the file has been opened for the first time, and when it is not waited for any longer.
    public var onDisk: (() -> Void)?
    /// Failed deliveries by error.
    public internal(set) var failures = FailureTally()
    /// Delivery reports for records that were not handed over: late, double or of another transport.
    public internal(set) var strayReports: UInt64 = 0

    let settings: OutboxSettings
    let transport: any RecordTransport
    let loop: any Loop
    let log: Log
    let table: SlabTable
    let records: LaneQueue
    let replies: LaneQueue
    let memory: LaneQueue
    let backlog: LaneQueue
    let identity: RecordIdentity
    /// The disk; `nil` where everything stays in memory.
    let disk: Disk?
    var nextSequence: UInt64 = 1
    var nextNonce: UInt32 = 1
    var isTransportFull = false
    var isOffering = false
    private var hasLoggedOversized = false
    var timers: [TimerID?] = [nil, nil, nil, nil]
    /// What was lost and has not been told.
    var gaps = GapLedger()
    var gapTimer: TimerID?

    /// - Parameters:
    ///   - node: the node's name, the first part of every record's id.
    ///   - boot: never the same for two starts of a node, the second part.
    ///   - transport: its `onDelivery` and `onRoom` are taken.
    ///   - disk: where records go that may go to a disk. It is opened at once, on its own thread.
    public init(
        settings: OutboxSettings, node: String, boot: String, transport: any RecordTransport, disk: Disk? = nil,
        loop: any Loop, log: Log
    ) {
        self.settings = settings
        self.transport = transport
        self.disk = disk
        self.loop = loop
        self.log = log
        table = SlabTable(maxMemory: settings.maxMemory)
        let forReplies = min(max(table.capacity / 8, 2), 4)
        let forBacklog = disk == nil ? 0 : max(table.capacity / 4, 2)
        let forMemory = disk == nil ? 0 : max(table.capacity / 8, 1)
        replies = LaneQueue(
            lane: .reply, limit: forReplies, table: table, isStorable: disk != nil && !settings.keepsPositions)
        backlog = LaneQueue(lane: .backlog, limit: forBacklog, table: table)
        memory = LaneQueue(lane: .memory, limit: forMemory, table: table)
        records = LaneQueue(
            lane: .record, limit: table.capacity - forReplies - forBacklog - forMemory, table: table,
            isStorable: disk != nil)
        identity = RecordIdentity(node: node, boot: boot)
        disk?.origin = joined(node, "/", boot)
        transport.onDelivery = { [unowned(unsafe) self] token, failure in self.report(token, failure) }
        transport.onRoom = { [unowned(unsafe) self] in
            self.isTransportFull = false
            self.offerWaiting()
        }
        openDisk()
    }

    deinit {
        transport.onDelivery = nil
        transport.onRoom = nil
        for timer in timers { if let timer { loop.cancel(timer) } }
        for queue in [records, replies, memory, backlog] { queue.loss.abandon(loop) }
        if let gapTimer { loop.cancel(gapTimer) }
        disk?.abandon(loop)
    }

    // MARK: State

    /// Whether every record in memory has been settled.
    public var isEmpty: Bool { pendingCount == 0 }
    /// Records in memory that are not settled: waiting, or handed over and not yet reported.
    public var pendingCount: Int {
        waitingCount + records.handedOver + replies.handedOver + memory.handedOver + backlog.handedOver
    }
    /// The same without those that the caller can say again later: an end need not wait for them, nor count them as lost.
    public var owedCount: Int { pendingCount - replies.volatile }
    /// Records in memory that the transport does not have.
    public var waitingCount: Int { records.waiting + replies.waiting + memory.waiting + backlog.waiting }
    /// Replies in memory that are not settled, without those that never go to the disk.
    public var pendingReplies: Int { replies.waiting + replies.handedOver - replies.volatile }
    /// Bytes of the payloads that are not settled.
    public var pendingBytes: Int {
        records.payloadBytes + replies.payloadBytes + memory.payloadBytes + backlog.payloadBytes
    }
    /// Bytes of the slabs that are allocated now, those kept for reuse included; at most `max_memory`.
    public var allocatedBytes: Int { table.allocated * table.slabSize }
    /// The largest record, payload and key together.
    public var largestRecord: Int { table.largestRecord }

    public func counters(of lane: Lane) -> OutboxCounters { queue(lane).counters }

    func queue(_ lane: Lane) -> LaneQueue {
        switch lane {
        case .record: records
        case .reply: replies
        case .memory: memory
        case .backlog: backlog
        }
    }

    // MARK: Appending

    /// Encodes one record into the outbox and offers it to the transport.
    /// - Parameters:
    ///   - key: copied; may be empty.
    ///   - lane: `record` or `reply`.
    ///   - durability: of this record's sensor, the same for all records of a key; `nil` is the outbox's own. A reply
    ///     with `memory` never goes to the disk, and is taken only while half of the replies' memory is free: for what
    ///     the caller can say again later, as it is then.
    ///   - time: when it was sampled, for gaps; `nil` is now.
    ///   - maximumBytes: what the payload takes at most. Less may be written, and only that is kept.
    ///   - encode: writes the payload; must not call the outbox. A writer that has overflowed gives the record up.
    /// - Returns: whether the outbox has it. If not, the lane's counters say why.
    @discardableResult
    public func append(
        topic: TopicID, key: UnsafeRawBufferPointer, lane: Lane = .record, durability: Durability? = nil,
        time: WallTime? = nil, maximumBytes: Int, encode: (inout ByteWriter) -> Void
    ) -> Bool {
        var traits: RecordEntry.Traits = []
        if lane == .reply, durability == .memory {
            if replies.payloadBytes * 2 > replies.limit * table.slabSize { return false }
            traits = .volatile
        }
        if disk != nil, lane == .record, (durability ?? settings.durability) == .always { traits = .durable }
        return append(
            topic: topic, key: key, lane: lane == .record ? self.lane(durability) : lane, time: time, traits: traits,
            maximumBytes: maximumBytes, encode: encode)
    }

    /// Where telemetry of that durability waits.
    private func lane(_ durability: Durability?) -> Lane {
        disk != nil && (durability ?? settings.durability) == .memory ? .memory : .record
    }

    /// Whether telemetry of that durability goes to the disk when need be.
    public func mayGoToDisk(_ durability: Durability?) -> Bool { queue(lane(durability)).isStorable }

    /// Whether telemetry of so many bytes, payload and key, would be taken now without anything being dropped for it.
    public func hasRoom(for bytes: Int, durability: Durability? = nil) -> Bool {
        let queue = queue(lane(durability))
        // What no slab can hold is not dropped for want of room.
        if bytes > table.largestRecord || queue.fits(bytes) || queue.canGrow { return true }
        guard let disk, queue.isStorable, disk.isKnown else { return false }
        return queue.oldestSlab(onlyStored: true, above: disk.highestRead) != nil
    }

    func append(
        topic: TopicID, key: UnsafeRawBufferPointer, lane: Lane = .record, time: WallTime?,
        traits: RecordEntry.Traits, told: RecordEntry.Told? = nil, maximumBytes: Int,
        encode: (inout ByteWriter) -> Void
    ) -> Bool {
        let queue = queue(lane)
        let size = maximumBytes + key.count + (told == nil ? 0 : RecordEntry.Told.bytes)
        let milliseconds = (time ?? loop.time.wallTime).milliseconds
        guard maximumBytes >= 0, size <= table.largestRecord, key.count <= Int(UInt16.max),
            let topicNumber = UInt16(exactly: topic.index)
        else {
            refuseOversized(queue, size: size)
            noteRefused(topic, key, milliseconds, traits, queue)
            return false
        }
        if !queue.fits(size), !makeRoom(for: size, in: queue) {
            queue.counters.refused += 1
            noteLost(1, queue)
            noteRefused(topic, key, milliseconds, traits, queue)
            return false
        }
        let payload = queue.tail(bytes: size)
        var writer = ByteWriter(UnsafeMutableRawBufferPointer(rebasing: payload[..<maximumBytes]))
        encode(&writer)
        guard !writer.isOverflowed else {
            refuseOversized(queue, size: size)
            noteRefused(topic, key, milliseconds, traits, queue)
            return false
        }
        let count = writer.count
        if let start = payload.baseAddress, let source = key.baseAddress {
            (start + count).copyMemory(from: source, byteCount: key.count)
        }
        if let told, let start = payload.baseAddress { told.write(to: start + count + key.count) }
        queue.commit(
            sequence: nextSequence, topic: topicNumber, payload: count, key: key.count, time: milliseconds,
            traits: traits)
        if queue.lane == .reply { lastReply = nextSequence }
        nextSequence += 1
        if let disk, queue.isStorable, !traits.contains(.volatile) { noteAppended(disk, queue, traits) }
        offerWaiting()
        return true
    }

    /// Gets the lane an empty slab; drops records for it if that is the policy.
    private func makeRoom(for size: Int, in queue: LaneQueue) -> Bool {
        if queue.grow() { return true }
        // What is on the disk need not be in memory.
        if let disk, queue.isStorable, evict(queue, disk) { return queue.fits(size) || queue.grow() }
        // A reply is an answer to someone who waits: the old ones are not worth less than the new.
        guard queue.lane != .reply, settings.whenFull != .dropNewest else { return false }
        var dropped = 0
        let isTaken = queue.takeOldestSlab(onlyStored: false) { entry, memory in
            // Some of them may be on the disk all the same; not below what was read back, or the order would be lost.
            if let disk, entry.pointee.storage == .stored {
                if entry.pointee.position > disk.highestRead {
                    disk.backlog.insert(entry.pointee.position)
                    return
                }
                noteDeletion(entry.pointee.position, disk)
            }
            dropped += 1
            noteGap(entry, memory, queue)
        }
        if !isTaken { return false }
        queue.counters.dropped += UInt64(dropped)
        if dropped > 0 { noteLost(dropped, queue) }
        // The last slab, if it was that one, is now empty in its place; any other has been given back.
        return queue.fits(size) || queue.grow()
    }

    private func refuseOversized(_ queue: LaneQueue, size: Int) {
        queue.counters.oversized += 1
        if hasLoggedOversized { return }
        hasLoggedOversized = true
        log.error("a record of up to \(size) bytes was refused: at most \(table.largestRecord) fit (said once)")
    }
}
