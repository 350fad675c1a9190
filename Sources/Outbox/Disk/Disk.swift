import Platform
import Records
import Storage

/// Topics by their names, which are what is kept on the disk.
public protocol TopicDirectory: AnyObject {
    /// The name of a topic of this transport.
    func topicName(_ topic: TopicID) -> String?
    /// The topic of that name; `nil` when there can be none.
    func topicID(_ name: String) -> TopicID?
}

/// The disk as the loop knows it: what is on it and not in memory, what is to be written, and the one request that is
/// under way. The file itself belongs to the disk's thread; nothing here waits for it.
public final class Disk {
    enum Phase: Equatable {
        /// Not open yet, and given time for it.
        case opening
        case up
        /// A write failed: everything goes on from memory, and there is another attempt every now and then.
        case down
        case closed
    }

    let path: String
    let topics: any TopicDirectory
    let queue: any WorkQueue
    let thread: DiskThread
    /// `<node>/<boot>`, whose records those of this start are.
    var origin = ""
    var phase = Phase.opening
    /// Whether the file has been opened once.
    var isKnown = false
    /// A request is under way.
    var isBusy = false
    /// Between a failure and the next attempt nothing is written.
    var isResting = false
    /// Whether the last attempt at reading has failed: nothing is read either until writing is tried again.
    var hasFailedReading = false
    /// Whether the trouble has been said.
    var hasSaidDown = false
    /// The file is not in its place and could not be written again: what it has is lost with the process.
    var isMisplaced = false
    /// When it was asked what it has not answered for so long that this was said.
    var silentSince: Instant?

    /// Positions of records that are on the disk alone.
    var backlog = PositionRanges()
    /// The lowest position that is being read; `Int64.max` when none is.
    var lowestReading = Int64.max
    /// The highest position that was ever read back.
    var highestRead: Int64 = 0
    /// Settled records that are still on the disk.
    var deletions = PositionRanges()
    var nextPosition: Int64 = 1
    var names = DiskNames()
    /// Names that are not in the file yet.
    var newNames: [DiskNames.Entry] = []
    var identities: [(number: Int, identity: RecordIdentity)] = []

    // What is due.
    /// Records with `durability: always`.
    var isCommitDue = false
    /// Everything that is not stored.
    var isSpillDue = false
    var areDeletionsDue = false
    var areGapsDue = false
    /// What is missing and was not told is to be noted in the file, also by itself; and when it may be again.
    var areNotesDue = false
    var nextNotes = Instant(nanoseconds: 0)
    /// Told by records with sequences up to `toldThrough`; taken off the file's list with them.
    var toldGaps: [Gap] = []
    var hasGaps = false
    var isStopping = false
    /// At a stop, what is not stored has been noted as missing.
    var hasGivenUp = false
    /// Until when a write that failed is tried again before the agent goes without it.
    var stopDeadline = Instant(nanoseconds: 0)
    var onStored: (() -> Void)?
    /// Nothing is read back, so that `settle(through:)` may come first.
    var isDrainHeld = false
    /// Where thinning goes on.
    var thinFrom: Int64 = 0
    var hasThinned = true

    // Figures.
    var count: Int64 = 0
    var usedBytes: Int64 = 0
    var identity = ""
    var written = WriteCounters()
    /// Records dropped on the disk to make room, and records that could not be read.
    var dropped: UInt64 = 0
    var unreadable: UInt64 = 0
    /// How often it was silent.
    var silences: UInt64 = 0
    /// Records dropped there, and what has been said of them.
    let loss = LossNotice()

    // Timers.
    var commitTimer: TimerID?
    var deletionTimer: TimerID?
    var spillTimer: TimerID?
    var retryTimer: TimerID?
    var openTimer: TimerID?
    var answerTimer: TimerID?
    var drainTimer: TimerID?
    private var drainLeft = 0
    /// Stored records that may go beside those, for as many live ones have come; what had come, and when.
    private var drainCredit: UInt64 = 0
    private var drainArrived: UInt64 = 0
    private var drainAsked = Instant(nanoseconds: 0)
    /// Everything up to the first was appended one tick ago, up to the second two ticks ago.
    var spillMarks: (UInt64, UInt64) = (0, 0)

    /// How long the agent waits for the file before it goes on from memory.
    static var openPatience: Interval { .seconds(5) }
    static var retryPause: Interval { .seconds(10) }
    /// The same at a stop, and for how long.
    static var stopPause: Interval { .milliseconds(500) }
    static var stopPatience: Interval { .seconds(8) }
    /// How long an answer may take before that is said: a worn card can need a second for an fsync.
    static var answerPatience: Interval { .seconds(5) }
    /// From one commit of nothing but notes of gaps to the next.
    static var notesPause: Interval { .seconds(10) }
    /// Deletions are batched for so long, or until there are so many.
    static var deletionPause: Interval { .seconds(1) }
    /// The same while a backlog is read back: after a crash it must not begin from the start again.
    static var drainPause: Interval { .milliseconds(250) }
    static var mostDeletions: Int64 { 2_000 }
    /// A drain that has stood still for longer begins anew.
    static var drainMemory: Interval { .seconds(1) }
    /// Records with `always` that are committed without waiting for the time.
    static var commitCount: Int { 256 }

    /// - Parameters:
    ///   - queue: the disk's own.
    ///   - fileSystem: the SQLite VFS below; `nil` for the system's.
    public init(
        path: String, maxSize: Int64, queue: any WorkQueue, topics: any TopicDirectory, fileSystem: String? = nil
    ) {
        self.path = path
        self.topics = topics
        self.queue = queue
        thread = DiskThread(path: path, maxSize: maxSize, fileSystem: fileSystem)
    }

    var isOpening: Bool { phase == .opening }
    /// Whether the gaps that the file notes may be told: not as long as something is on the disk alone, behind which that
    /// would wait anyway, and where room might be made of it, too.
    var mayTellGaps: Bool { hasGaps && !loss.isLosing && backlog.isEmpty }
    /// Whether a record with `always` waits for the disk: not while there is none.
    var isWaitedFor: Bool { phase == .opening || phase == .up && !hasSaidDown }

    /// Whether a write or the opening has failed, and none has succeeded since.
    var isDown: Bool { phase == .down || (phase == .up && hasSaidDown) }

    /// Whether what is on the disk alone may not be had for long: what is in memory would wait for nothing.
    /// - Parameter keepsPositions: what is stored would go without its position then, and after a crash again: not while
    ///   the disk is only slow.
    func givesNothing(keepsPositions: Bool) -> Bool {
        silentSince != nil && !keepsPositions || isDown && hasFailedReading
    }

    /// Whether live records go ahead of stored ones for want of room: with a disk that takes none of them they would be
    /// dropped otherwise, and lost is worse than late.
    func isPassed(by live: LaneQueue, keepsPositions: Bool) -> Bool {
        live.isUnderPressure && (isDown || silentSince != nil && !keepsPositions)
    }

    /// The lowest position that is on the disk alone; `Int64.max` when everything is in memory.
    var lowestOnDisk: Int64 { min(backlog.lowest, lowestReading) }

    /// Nothing is on the disk alone, and it is known that there is not.
    var isOutOfTheWay: Bool { backlog.isEmpty && lowestReading == Int64.max && phase != .opening }

    /// Whether some of the backlog should be read: less than a page's worth of it waits. Also while writing rests: what a
    /// file system that has become read-only has goes out all the same.
    func isReadDue(_ lane: LaneQueue) -> Bool {
        isKnown && !isBusy && phase != .closed && !(isResting && hasFailedReading) && !isStopping && !isDrainHeld
            && !backlog.isEmpty && lane.waiting < 64
    }

    /// Whether one more stored record may be offered now.
    /// - Parameters:
    ///   - rate: records a second; 0 for no limit.
    ///   - arrived: records that have come so far and wait behind the stored ones. As many as come while the backlog is
    ///     drained may go beside the rate: it would never end otherwise where more come than the rate lets go.
    ///   - again: called when there is allowance again, after `false`.
    func takeDrainAllowance(
        _ rate: Int, arrived: UInt64, _ loop: any Loop, _ again: @escaping () -> Void
    ) -> Bool {
        if rate == 0 { return true }
        // What came while nothing could be sent is backlog.
        let now = loop.time.now
        drainCredit = now - drainAsked <= Self.drainMemory ? drainCredit + (arrived - drainArrived) : 0
        drainArrived = arrived
        drainAsked = now
        if drainTimer == nil {
            drainLeft = max(rate / 10, 1)
            drainTimer = loop.after(.milliseconds(rate < 10 ? Int64(1_000 / rate) : 100)) { [unowned(unsafe) self] in
                drainTimer = nil
                again()
            }
        }
        if drainLeft > 0 {
            drainLeft -= 1
        } else if drainCredit > 0 {
            drainCredit -= 1
        } else {
            return false
        }
        return true
    }

    /// No timer and no completion of this disk does anything from here on.
    func abandon(_ loop: any Loop) {
        phase = .closed
        loss.abandon(loop)
        for timer in [commitTimer, deletionTimer, spillTimer, retryTimer, openTimer, answerTimer, drainTimer] {
            if let timer { loop.cancel(timer) }
        }
    }

    /// The number of a topic in the file, made if need be; `nil` when it has no name or all numbers are taken.
    func number(of topic: TopicID) -> Int? { topics.topicName(topic).flatMap { number(of: $0) } }

    func number(of text: String) -> Int? {
        if let number = names.number(of: text) { return number }
        guard let number = names.number(adding: text) else { return nil }
        newNames.append(DiskNames.Entry(number: number, text: text))
        return number
    }

    /// What the ids of a record's origin begin with.
    func identity(_ number: Int) -> RecordIdentity? {
        for entry in identities where entry.number == number { return entry.identity }
        guard let text = names.text(number) else { return nil }
        let identity = RecordIdentity(origin: text)
        identities.append((number, identity))
        return identity
    }
}

/// What the disk is at, for status lines and metrics.
public struct DiskStatus: Equatable, Sendable {
    public enum State: Equatable, Sendable {
        case opening
        case up
        /// Everything goes on from memory.
        case down
        /// It has been asked something and does not answer, as when an fsync hangs: what must be on it first waits.
        case silent
        case closed
    }

    public var state = State.opening
    /// Records in the file, as of the last commit.
    public var records: Int64 = 0
    /// Bytes of its pages in use.
    public var bytes: Int64 = 0
    /// What was written to it since the start.
    public var written = WriteCounters()
    /// Records that were dropped on the disk to make room.
    public var dropped: UInt64 = 0
    /// Records that were not as they had been appended, or are too large for this configuration.
    public var unreadable: UInt64 = 0
    /// How often it did not answer for five seconds or more.
    public var silences: UInt64 = 0
}
