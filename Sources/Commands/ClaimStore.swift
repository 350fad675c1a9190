import Platform
import Storage

/// Sees to it that a claim is on the disk before anything moves, and the first reply before it is sent.
///
/// The disk has a thread of its own; what comes while it writes goes with the next write, all in one (a group commit).
/// Actions come back in the order in which they were handed over. Without a journal everything is kept in memory only,
/// and done at once.
final class ClaimStore {
    /// How long a write may take before those who wait for it are told that it failed.
    static var limit: Interval { .seconds(10) }
    /// The most commands that wait for the disk.
    static var mostWaiting: Int { 256 }
    /// The most replies that wait for a disk that does not work.
    static var mostAnswers: Int { 512 }

    let list: ClaimList
    private let journal: (any ClaimJournal)?
    private let queue: (any WorkQueue)?
    private let loop: any Loop
    private let log: Log
    /// What the next write takes along.
    private var batch = ClaimBatch()
    private var actions: [(Bool) -> Void] = []
    /// What waits for the write that is under way.
    private var written: [(Bool) -> Void] = []
    private var isWriting = false
    /// The write that is under way has taken longer than `limit`.
    private var isHung = false
    private var isLoaded = false
    private var isClosed = false
    private var limitTimer: TimerID?
    private var hasFailed = false
    /// Commands whose claim or answer waits for the disk.
    private var waiting = 0
    private var isPressed = false
    /// Called when so many commands wait for the disk that no more should come (`true`), again with each write that leaves it
    /// so, and when half of them are done.
    var onPressure: ((Bool) -> Void)?
    /// Called for each claim of an earlier start, with where its message stands and its actuator.
    var onRestored: ((ClaimList.Place, String?) -> Void)?

    /// - Parameters:
    ///   - journal: `nil` keeps claims in memory only.
    ///   - queue: where the journal is called.
    init(
        capacity: Int, journal: (any ClaimJournal)?, queue: (any WorkQueue)?, loop: any Loop, log: Log
    ) {
        list = ClaimList(capacity: capacity)
        self.journal = queue == nil ? nil : journal
        self.queue = queue
        self.loop = loop
        self.log = log
    }

    /// Ends it; nothing is called any more.
    func close() {
        if let limitTimer { loop.cancel(limitTimer) }
        limitTimer = nil
        (actions, written) = ([], [])
        (onPressure, onRestored) = (nil, nil)
        isClosed = true
    }

    /// Whether claims outlive the process.
    var isDurable: Bool { journal != nil }
    /// Whether nothing waits for the disk.
    var isIdle: Bool { !isWriting && actions.isEmpty && batch.isEmpty }
    var isFull: Bool { waiting >= Self.mostWaiting }
    /// Why no claim can be made now, in words for the reply; `nil` when it can.
    /// - Parameter until: until when it would have to be remembered, in milliseconds since 1970.
    func obstacle(until: Int64) -> String? {
        if !isReady { return "claims cannot be written to the disk, so nothing that could be done twice is done" }
        if isFull { return joined(decimal(Self.mostWaiting), " commands wait for the disk already") }
        let repeatable = " (commands.remember), and each could still be repeated, or its reply has not arrived"
        switch list.makeRoom(until: until, loop.time) {
        case nil: return nil
        case .count: return joined(decimal(list.capacity), " commands are remembered", repeatable)
        case .bytes: return joined(decimal(list.bytes), " bytes of commands are remembered", repeatable)
        case .long:
            return joined(
                "its expires is more than an hour off, and half of what can be remembered is commands of that kind",
                repeatable)
        }
    }
    /// Whether claims can be kept, as far as is known.
    var isReady: Bool { journal == nil || isLoaded && !isHung }

    /// What the disk's thread brings back.
    private final class Result {
        var history = ClaimHistory()
        var error: StorageError?
    }

    /// Reads what earlier starts have kept, and again every `limit` until that succeeds.
    /// - Parameter done: gets the claims whose replies have not been acknowledged, the oldest first; called once for
    ///   each attempt, with none where it failed.
    func load(_ done: @escaping ([ClaimBatch.Claim]) -> Void) {
        guard let journal, let queue else {
            done([])
            return
        }
        let result = Result()
        // Meanwhile messages are taken all the same: the safe value does not wait for a disk.
        limitTimer = loop.after(Self.limit) { [unowned(unsafe) self] in
            self.limitTimer = nil
            self.failForTime()
            done([])
        }
        queue.perform {
            do throws(StorageError) {
                result.history = try journal.load()
            } catch {
                result.error = error
            }
        } completion: { [self] in
            if let limitTimer { loop.cancel(limitTimer) }
            limitTimer = nil
            if isClosed { return }
            guard let error = result.error else {
                isLoaded = true
                if hasFailed { log.info("commands: claims can be written again") }
                hasFailed = false
                if !result.history.notice.utf8.isEmpty {
                    log.error(joined("commands: ", result.history.notice))
                }
                done(take(result.history.claims))
                write()
                return
            }
            fail(error.description)
            limitTimer = loop.after(Self.limit) { [unowned(unsafe) self] in
                self.limitTimer = nil
                self.load(done)
            }
            done([])
        }
    }

    private func take(_ claims: [ClaimBatch.Claim]) -> [ClaimBatch.Claim] {
        var open: [ClaimBatch.Claim] = []
        let early = list.unnumbered
        for claim in claims {
            let place = ClaimList.Place(
                topic: claim.topic, partition: claim.partition, offset: claim.offset, timestamp: claim.timestamp)
            list.restore(earlier: place)
            if claim.sequence == 0 { continue }
            onRestored?(place, claim.actuator)
            if early.contains(where: { sameBytes($0.id, claim.id) }) {
                // Its id has come once more in the meantime, and that is what is answered.
                batch.delivered.append(claim.sequence)
                list.skip(claim.sequence)
                continue
            }
            list.restore(
                ClaimList.Claim(
                    sequence: claim.sequence, id: claim.id, actuator: claim.actuator, until: claim.until,
                    reply: claim.reply, isDelivered: claim.isDelivered), loop.time)
            if !claim.isDelivered { open.append(claim) }
        }
        return open
    }

    /// Makes a claim. Where there is no room for it, it is not kept.
    /// - Parameters:
    ///   - until: until when it must be remembered, in milliseconds since 1970.
    ///   - ticket: its message's.
    ///   - isAnswered: `answer` follows at once, and goes with the same write.
    ///   - done: called when it is on the disk (`true`), or cannot be brought there.
    func claim(
        _ id: String, actuator: String?, at place: ClaimList.Place, until: Int64, ticket: OffsetLedger.Ticket,
        isAnswered: Bool = false, _ done: @escaping (ClaimList.Claim, Bool) -> Void
    ) -> ClaimList.Claim {
        let claim = list.add(
            id, actuator: actuator, at: place, until: until, loop.time,
            isNumbered: journal == nil || isLoaded)
        claim.ticket = ticket
        guard journal != nil else {
            done(claim, claim.sequence > 0)
            return claim
        }
        if !isReady || claim.sequence == 0 {
            done(claim, false)
            return claim
        }
        batch.claims.append(
            ClaimBatch.Claim(
                sequence: claim.sequence, id: id, actuator: actuator, topic: place.topic, partition: place.partition,
                offset: place.offset, timestamp: place.timestamp, until: until))
        append { done(claim, $0) }
        if !isAnswered { write() }
        return claim
    }

    /// Keeps the first reply to a claim.
    /// - Parameter done: called when it is written, or cannot be.
    func answer(_ claim: ClaimList.Claim, _ reply: [UInt8], _ done: @escaping (Bool) -> Void) {
        list.answer(claim, reply)
        // Of others `delivered` tells.
        if journal == nil || claim.sequence == 0 { claim.isDelivered = true }
        if journal != nil, claim.sequence > 0, batch.answers.count < Self.mostAnswers {
            batch.answers.append(ClaimBatch.Answer(sequence: claim.sequence, reply: reply))
        }
        guard isReady, journal != nil, !isIdle else {
            done(isReady)
            return
        }
        append(done)
        write()
    }

    /// A command waits for the next write.
    private func append(_ action: @escaping (Bool) -> Void) {
        waiting += 1
        actions.append { [unowned(unsafe) self] isWritten in
            waiting -= 1
            action(isWritten)
        }
        if isFull, !isPressed {
            isPressed = true
            onPressure?(true)
        }
    }

    private func relieve() {
        if !isPressed { return }
        isPressed = waiting > Self.mostWaiting / 2
        onPressure?(isPressed)
    }

    /// Keeps that the replies of these claims have been acknowledged.
    func delivered(_ sequences: [Int64]) {
        if journal == nil { return }
        for sequence in sequences where sequence > 0 && batch.delivered.count < list.capacity {
            batch.delivered.append(sequence)
        }
        write()
    }

    private func write() {
        guard let journal, let queue, isLoaded, !isWriting else { return }
        if batch.isEmpty && actions.isEmpty { return }
        isWriting = true
        batch.forgotten += list.takeForgotten()
        let job = batch
        batch = ClaimBatch()
        written = actions
        actions = []
        if let limitTimer { loop.cancel(limitTimer) }
        limitTimer = loop.after(Self.limit) { [unowned(unsafe) self] in
            self.limitTimer = nil
            self.isHung = true
            self.failForTime()
            self.conclude(false)
            let behind = self.actions
            self.actions = []
            for action in behind { action(false) }
            self.relieve()
        }
        let result = Result()
        queue.perform {
            do throws(StorageError) {
                try journal.write(job)
            } catch {
                result.error = error
            }
        } completion: { [self] in
            finish(job, result.error)
        }
    }

    private func finish(_ job: ClaimBatch, _ error: StorageError?) {
        isHung = false
        if let limitTimer { loop.cancel(limitTimer) }
        limitTimer = nil
        if isClosed { return }
        if let error {
            fail(error.description)
            // The next write takes them along; claims that could not be kept were rejected.
            let room = Self.mostAnswers - batch.answers.count
            if room > 0 { batch.answers = Array(job.answers.suffix(room)) + batch.answers }
            if batch.delivered.count + job.delivered.count <= list.capacity {
                batch.delivered = job.delivered + batch.delivered
            }
            if batch.forgotten.count < list.capacity { batch.forgotten = job.forgotten + batch.forgotten }
        } else if hasFailed {
            hasFailed = false
            log.info("commands: claims can be written again")
        }
        // What these bring goes with one write, too.
        conclude(error == nil)
        isWriting = false
        if !batch.claims.isEmpty || !actions.isEmpty || error == nil && !batch.isEmpty {
            write()
        } else if !batch.isEmpty {
            // A reply that only memory knows would be answered once more after a crash, as an unknown outcome.
            limitTimer = loop.after(Self.limit) { [unowned(unsafe) self] in
                self.limitTimer = nil
                self.write()
            }
        }
    }

    private func failForTime() {
        fail(joined("the disk has not answered for ", decimal(Self.limit.milliseconds / 1_000), " s"))
    }

    private func conclude(_ isWritten: Bool) {
        let written = self.written
        self.written = []
        for action in written { action(isWritten) }
        relieve()
    }

    private func fail(_ reason: String) {
        if hasFailed { return }
        hasFailed = true
        log.error(joined("commands: ", reason, "; commands are rejected until claims can be written"))
    }
}
