import Platform
import Storage

/// One turn of the disk's thread: what is to be written in one commit, and what to read after it. It belongs to that
/// thread from the moment it is handed over until its completion.
final class DiskRequest {
    // What is asked for.

    /// Opens the file, and nothing else.
    var opens = false
    /// Ends the connection; the log goes into the file.
    var closes = false
    var names: [DiskNames.Entry] = []
    /// Only as many go in as there is room for: the rest of the file is for what makes room.
    var items: [StoreItem] = []
    /// Records that are settled.
    var deletions: [PositionRanges.Range] = []
    /// Records that make room.
    var dropped: PositionRanges.Range?
    /// Of each key one in so many of them is kept; none when `nil`.
    var keeping: Int?
    /// Gaps that are told by records of this commit or of an earlier one.
    var toldGaps: [Gap] = []
    var takesGaps = false
    /// What is missing and was not told, with the numbers of the topics in the file.
    var notes: [(topic: Int, gap: Gap)] = []
    /// What to read into `page`, in order.
    var wanted: [PositionRanges.Range] = []
    var page: UnsafeMutableRawPointer?
    /// What a recovery need not find in the file.
    var known = KnownOutbox()
    let wallTime: WallTime
    /// `<node>/<boot>` of this start.
    let origin: String
    /// Keeps the memory of all slabs, whatever becomes of the outbox.
    let table: SlabTable

    // For the loop alone.

    /// Where the items are.
    var places: [(lane: Outbox.Lane, place: RecordPosition)] = []
    var bytes = 0
    var slab = -1

    // What came of it.

    var failure: StorageError?
    /// Everything that was to be written is on the disk.
    var isCommitted = false
    /// Items from the first that were stored, if it is committed.
    var storedCount = 0
    var state: OutboxFileState?
    var allNames: [DiskNames.Entry] = []
    var recovery: OutboxRecovery?
    /// The file had been removed and was written again.
    var isRestored = false
    /// It is not in its place, and could not be written again.
    var isMisplaced = false
    var droppedCount = 0
    var gaps: [Gap] = []
    /// The page has what was wanted.
    var isRead = false
    /// Records in the page and the bytes that they take.
    var readCount = 0
    var readBytes = 0
    /// The page was full before this position; `nil` when everything wanted was read.
    var unreadFrom: Int64?
    /// Records that did not agree with their checksum, and when the one before the first of them was sampled.
    var unreadable = 0
    var unreadableAfter: WallTime?
    /// Records that no slab can hold.
    var oversized = 0
    /// Either kind has left the file, and there may be gaps for them.
    var hasNewGaps = false
    var usedBytes: Int64 = 0
    var count: Int64 = 0
    var written = WriteCounters()

    /// Records and bytes that one commit takes at most.
    static var mostItems: Int { 1_024 }
    static var mostBytes: Int { 262_144 }

    init(table: SlabTable, wallTime: WallTime, origin: String) {
        self.origin = origin
        self.table = table
        self.wallTime = wallTime
    }

    var isFull: Bool { items.count >= Self.mostItems || bytes >= Self.mostBytes }
    /// Whether not all of the items found room.
    var isPartial: Bool { isCommitted && storedCount < items.count }
    var writes: Bool {
        !items.isEmpty || !deletions.isEmpty || dropped != nil || !toldGaps.isEmpty || !notes.isEmpty
    }
    var isNothing: Bool { !opens && !closes && !writes && !takesGaps && page == nil }
}
