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
/// This version keeps everything in memory. The disk (`durability: spill | always`) will be a store of its own beside
/// this file, fed slab by slab from `LaneQueue` — the slab is the unit of a group commit — with `append` and the
/// transport's side unchanged.
///
/// The transport must not touch a payload once the outbox is gone: end the transport first.
public final class Outbox {
    public enum Lane: UInt8, Sendable {
        /// Telemetry.
        case record
        /// Replies to commands: offered first, with a bound of their own that telemetry cannot eat up.
        case reply
    }

    /// How long a lane rests after a failure that is worth another attempt.
    public static var retryPause: Interval { .milliseconds(500) }

    /// Called whenever the last record that was pending has been settled.
    public var onIdle: (() -> Void)?
    /// Failed deliveries by error.
    public private(set) var failures = FailureTally()
    /// Delivery reports for records that were not handed over: late, double or of another transport.
    public private(set) var strayReports: UInt64 = 0

    private let settings: OutboxSettings
    private let transport: any RecordTransport
    private let loop: any Loop
    private let log: Log
    private let table: SlabTable
    private let records: LaneQueue
    private let replies: LaneQueue
    private let identity: RecordIdentity
    private var nextSequence: UInt64 = 1
    private var nextNonce: UInt32 = 1
    private var isTransportFull = false
    private var isOffering = false
    private var hasLoggedOversized = false
    private var timers: [TimerID?] = [nil, nil]

    /// - Parameters:
    ///   - node: the node's name, the first part of every record's id.
    ///   - boot: never the same for two starts of a node, the second part.
    ///   - transport: its `onDelivery` and `onRoom` are taken.
    public init(
        settings: OutboxSettings, node: String, boot: String, transport: any RecordTransport, loop: any Loop, log: Log
    ) {
        self.settings = settings
        self.transport = transport
        self.loop = loop
        self.log = log
        table = SlabTable(maxMemory: settings.maxMemory)
        let forReplies = min(max(table.capacity / 8, 2), 4)
        replies = LaneQueue(lane: .reply, limit: forReplies, table: table)
        records = LaneQueue(lane: .record, limit: table.capacity - forReplies, table: table)
        identity = RecordIdentity(node: node, boot: boot)
        transport.onDelivery = { [unowned(unsafe) self] token, failure in self.report(token, failure) }
        transport.onRoom = { [unowned(unsafe) self] in
            self.isTransportFull = false
            self.offerWaiting()
        }
    }

    deinit {
        transport.onDelivery = nil
        transport.onRoom = nil
        for timer in timers { if let timer { loop.cancel(timer) } }
    }

    // MARK: State

    /// Whether every record has been settled.
    public var isEmpty: Bool { pendingCount == 0 }
    /// Records that are not settled: waiting, or handed over and not yet reported.
    public var pendingCount: Int { waitingCount + records.handedOver + replies.handedOver }
    /// Records that the transport does not have.
    public var waitingCount: Int { records.waiting + replies.waiting }
    /// Bytes of the payloads that are not settled.
    public var pendingBytes: Int { records.payloadBytes + replies.payloadBytes }
    /// Bytes of the slabs that are allocated now, those kept for reuse included; at most `max_memory`.
    public var allocatedBytes: Int { table.allocated * table.slabSize }
    /// The largest record, payload and key together.
    public var largestRecord: Int { table.largestRecord }

    public func counters(of lane: Lane) -> OutboxCounters { queue(lane).counters }

    private func queue(_ lane: Lane) -> LaneQueue { lane == .reply ? replies : records }

    // MARK: Appending

    /// Encodes one record into the outbox and offers it to the transport.
    /// - Parameters:
    ///   - key: copied; may be empty.
    ///   - maximumBytes: what the payload takes at most. Less may be written, and only that is kept.
    ///   - encode: writes the payload; must not call the outbox. A writer that has overflowed gives the record up.
    /// - Returns: whether the outbox has it. If not, the lane's counters say why.
    @discardableResult
    public func append(
        topic: TopicID, key: UnsafeRawBufferPointer, lane: Lane = .record, maximumBytes: Int,
        encode: (inout ByteWriter) -> Void
    ) -> Bool {
        let queue = queue(lane)
        let size = maximumBytes + key.count
        guard maximumBytes >= 0, size <= table.largestRecord, key.count <= Int(UInt16.max),
            let topicNumber = UInt16(exactly: topic.index)
        else {
            refuseOversized(queue, size: size)
            return false
        }
        if !queue.fits(size), !makeRoom(for: size, in: queue) {
            queue.counters.refused += 1
            noteLost(1, queue)
            return false
        }
        let memory = queue.tail(bytes: size)
        var writer = ByteWriter(UnsafeMutableRawBufferPointer(rebasing: memory[..<maximumBytes]))
        encode(&writer)
        guard !writer.isOverflowed else {
            refuseOversized(queue, size: size)
            return false
        }
        let payload = writer.count
        if let start = memory.baseAddress, let source = key.baseAddress {
            (start + payload).copyMemory(from: source, byteCount: key.count)
        }
        queue.commit(sequence: nextSequence, topic: topicNumber, payload: payload, key: key.count)
        nextSequence += 1
        offerWaiting()
        return true
    }

    /// Gets the lane an empty slab; drops records for it if that is the policy.
    private func makeRoom(for size: Int, in queue: LaneQueue) -> Bool {
        if queue.grow() { return true }
        // A reply is an answer to someone who waits: the old ones are not worth less than the new.
        guard queue.lane == .record, settings.whenFull == .dropOldest else { return false }
        let dropped = queue.dropOldestSlab()
        if dropped == 0 { return false }
        queue.counters.dropped += UInt64(dropped)
        noteLost(dropped, queue)
        // The last slab, if it was that one, is now empty in its place; any other has been given back.
        return queue.fits(size) || queue.grow()
    }

    private func refuseOversized(_ queue: LaneQueue, size: Int) {
        queue.counters.oversized += 1
        if hasLoggedOversized { return }
        hasLoggedOversized = true
        log.error("a record of up to \(size) bytes was refused: at most \(table.largestRecord) fit (said once)")
    }

    /// One line when a lane begins to lose records, none for each.
    private func noteLost(_ count: Int, _ queue: LaneQueue) {
        if let lost = queue.lostSinceFull {
            queue.lostSinceFull = lost + UInt64(count)
            return
        }
        queue.lostSinceFull = UInt64(count)
        let kilobytes = queue.limit * table.slabSize / 1_000
        if queue.lane == .reply {
            log.warning("outbox: \(kilobytes) kB of replies wait: new ones are refused")
        } else {
            let which = settings.whenFull == .dropOldest ? "oldest" : "newest"
            log.warning("outbox: \(kilobytes) kB of records wait (max_memory): the \(which) are being dropped")
        }
    }

    /// One line when an eighth of the lane is free again, so that the two lines do not alternate at the bound.
    private func noteRoom(_ queue: LaneQueue) {
        guard let lost = queue.lostSinceFull, queue.slabCount <= queue.limit - max(queue.limit / 8, 1) else { return }
        queue.lostSinceFull = nil
        log.warning("outbox: room again; \(lost) \(queue.lane == .reply ? "replies" : "records") were dropped")
    }

    // MARK: Offering

    /// Offers what waits, replies first, until the transport is full.
    private func offerWaiting() {
        // A transport may report from within an offer; the loop that runs sees to what that brings.
        if isOffering || isTransportFull { return }
        isOffering = true
        while !isTransportFull {
            if !replies.isPaused, let position = replies.nextWaiting() {
                offer(position, of: replies)
            } else if !records.isPaused, !records.isWindowFull, let position = records.nextWaiting() {
                offer(position, of: records)
            } else {
                break
            }
        }
        isOffering = false
    }

    private func offer(_ position: RecordPosition, of queue: LaneQueue) {
        guard let memory = table.slabs[position.slab].memory else { return }
        let entry = table.entry(position.record, in: memory)
        let record = entry.pointee
        let nonce = nextNonce & DeliveryToken.nonceMask
        nextNonce &+= 1
        entry.pointee.nonce = nonce
        // Before the offer, because the report may come from within it.
        queue.markHandedOver(position, entry)
        let payload = memory + Int(record.offset)
        let answer = transport.offer(
            topic: TopicID(Int(record.topic)),
            key: UnsafeRawBufferPointer(start: payload + Int(record.length), count: Int(record.keyLength)),
            payload: UnsafeRawBufferPointer(start: payload, count: Int(record.length)),
            id: identity.bytes(record.sequence),
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

    private func report(_ token: DeliveryToken, _ failure: DeliveryFailure?) {
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

    private func giveUp(
        _ position: RecordPosition, _ entry: UnsafeMutablePointer<RecordEntry>, _ queue: LaneQueue,
        _ failure: DeliveryFailure
    ) {
        queue.counters.failed += 1
        if failures.add(failure.name, at: loop.time.now) {
            let count = failures.count(of: failure.name)
            log.error("a record is lost (\(failure.name), \(count) so far): \(failure.reason)")
        }
        settle(position, entry, queue)
    }

    private func settle(_ position: RecordPosition, _ entry: UnsafeMutablePointer<RecordEntry>, _ queue: LaneQueue) {
        queue.settle(position, entry)
        noteRoom(queue)
        // There is room in the lane's window now.
        if queue.waiting > 0 { offerWaiting() }
        if isEmpty { onIdle?() }
    }

    /// Lets the other failures of the same cause come in before the lane goes on, so that they are offered in order, and
    /// a transport that fails at once is not offered the same record without end.
    private func pause(_ queue: LaneQueue) {
        if queue.isPaused { return }
        queue.isPaused = true
        timers[Int(queue.lane.rawValue)] = loop.at(loop.time.now + Self.retryPause) { [unowned(unsafe) self] in
            self.timers[Int(queue.lane.rawValue)] = nil
            queue.isPaused = false
            self.offerWaiting()
        }
    }
}

/// The record header `id`, `<node>/<boot>/<sequence>`, in memory that is used for one offer after the other.
final class RecordIdentity {
    private let memory: UnsafeMutableRawBufferPointer
    private let prefix: Int

    init(node: String, boot: String) {
        // Both slashes, and 20 digits.
        memory = UnsafeMutableRawBufferPointer.allocate(byteCount: node.utf8.count + boot.utf8.count + 22, alignment: 1)
        var writer = ByteWriter(memory)
        writer.write(utf8: node)
        writer.write(UInt8(ascii: "/"))
        writer.write(utf8: boot)
        writer.write(UInt8(ascii: "/"))
        prefix = writer.count
    }

    deinit { memory.deallocate() }

    /// Stands until the next call.
    func bytes(_ sequence: UInt64) -> UnsafeRawBufferPointer {
        var writer = ByteWriter(UnsafeMutableRawBufferPointer(rebasing: memory[prefix...]))
        writer.write(sequence)
        return UnsafeRawBufferPointer(rebasing: memory[..<(prefix + writer.count)])
    }
}
