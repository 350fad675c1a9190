import Configuration
import Platform
import Records

/// When a record goes to the disk.
public enum Durability: Equatable, Sendable {
    /// Never: what waits is lost with the process.
    case memory
    /// When the broker has not acknowledged it within `spill_after`, at a stop, and when memory runs out.
    case spill
    /// Before it is sent.
    case always

    /// Reads `memory | spill | always`.
    public static func decode(_ field: Field) -> Durability? {
        let all: [Durability] = [.memory, .spill, .always]
        return field.choice(["memory", "spill", "always"]).map { all[$0] }
    }
}

/// What `outbox:` says: how much may wait for delivery, where, and what happens when more comes.
public struct OutboxSettings: Equatable, Sendable {
    public enum WhenFull: Equatable, Sendable {
        /// The oldest records that the transport does not have yet make room.
        case dropOldest
        /// What comes is refused.
        case dropNewest
        /// On the disk three of four records of each sensor make room, the oldest first.
        case thin
    }

    public enum Drain: Equatable, Sendable {
        /// In the order of sampling: live records wait behind stored ones.
        case oldestFirst
        /// Live records go at once, the stored ones behind them, in their order.
        case newestFirst
    }

    /// The range of `max_memory` in bytes.
    public static var memoryRange: ClosedRange<Int64> { 128_000...256_000_000 }
    /// The least `max_memory` in bytes where records go to a disk: one part of it is with the transport, one with the
    /// disk's thread, one fills up, and pages of the backlog need another.
    public static var leastMemoryWithDisk: Int { 256_000 }
    /// The range of `max_size` in bytes.
    public static var sizeRange: ClosedRange<Int64> { 1_000_000...64_000_000_000 }
    /// Bytes of a file of that size that records may take. The rest is for what makes room, and says what is missing.
    static func room(in maxSize: Int64) -> Int64 { maxSize / 16 * 15 }

    /// Bytes of all slabs together: payloads, keys and what is noted about each record.
    public var maxMemory: Int
    public var whenFull: WhenFull
    public var durability: Durability
    /// The file; `nil` where the configuration names none.
    public var path: String?
    /// Bytes of the file.
    public var maxSize: Int64 = 256_000_000
    public var spillAfter = Interval.seconds(2)
    /// How long a record with `always` waits for others, to be one commit with them.
    public var commitEvery = Interval.milliseconds(200)
    public var drain = Drain.oldestFirst
    /// Stored records a second, beside as many as come meanwhile where those queue up behind them (`oldestFirst`); 0 for
    /// no limit.
    public var drainRate = 5_000
    /// Whether the positions of records go into transactions: then only telemetry has any, in ascending order.
    public var keepsPositions = false
    /// How times are written in records that tell of gaps; `nil` for no such records.
    public var gapTimestamp: TimestampFormat?
    /// Topics that get no such records: of replies, and of states, whose latest record would be one.
    public var topicsWithoutGaps: [String] = []

    public init(
        maxMemory: Int = 4_000_000, whenFull: WhenFull = .dropOldest, durability: Durability = .memory,
        path: String? = nil
    ) {
        self.maxMemory = maxMemory
        self.whenFull = whenFull
        self.durability = durability
        self.path = path
    }

    /// Reads `{ path, durability, spill_after, commit_every, max_memory, max_size, when_full, drain, drain_rate }`; what
    /// is absent or wrong keeps its default.
    /// - Parameter durability: where the configuration names none.
    public static func decode(_ reader: Reader, durability: Durability = .spill) -> OutboxSettings {
        var settings = OutboxSettings()
        settings.durability = reader.field("durability").flatMap { Durability.decode($0) } ?? durability
        settings.path = reader.nonEmpty("path")
        if let memory = reader.size("max_memory", in: memoryRange) { settings.maxMemory = Int(memory) }
        if let size = reader.size("max_size", in: sizeRange) { settings.maxSize = size }
        if let after = reader.interval("spill_after", in: .milliseconds(100) ... .seconds(3_600)) {
            settings.spillAfter = after
        }
        if let every = reader.interval("commit_every", in: .milliseconds(1) ... .seconds(60)) {
            settings.commitEvery = every
        }
        switch reader.choice("when_full", ["drop-oldest", "drop-newest", "thin"]) {
        case 1: settings.whenFull = .dropNewest
        case 2:
            settings.whenFull = .thin
            if settings.durability == .memory {
                reader.report("when_full", "is thin, which is for the disk", expected: "durability: spill or always")
            }
        default: break
        }
        if reader.choice("drain", ["oldest-first", "newest-first"]) == 1 { settings.drain = .newestFirst }
        if let rate = reader.integer("drain_rate", in: 0...1_000_000) { settings.drainRate = Int(rate) }
        reader.finish()
        return settings
    }
}
