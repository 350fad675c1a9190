import Configuration
import Platform

/// What `outbox:` says: how much may wait for delivery, and what happens when more comes.
public struct OutboxSettings: Equatable, Sendable {
    public enum WhenFull: Equatable, Sendable {
        /// The oldest records that the transport does not have yet make room.
        case dropOldest
        /// What comes is refused.
        case dropNewest
    }

    /// The range of `max_memory` in bytes.
    public static var memoryRange: ClosedRange<Int64> { 128_000...256_000_000 }

    /// Bytes of all slabs together: payloads, keys and what is noted about each record.
    public var maxMemory: Int
    public var whenFull: WhenFull

    public init(maxMemory: Int = 4_000_000, whenFull: WhenFull = .dropOldest) {
        self.maxMemory = maxMemory
        self.whenFull = whenFull
    }

    /// Reads `{ durability: memory, max_memory: 4MB, when_full: drop-oldest | drop-newest }`; what is absent or wrong
    /// keeps its default. The keys of the disk outbox are known and refused.
    public static func decode(_ reader: Reader) -> OutboxSettings {
        var settings = OutboxSettings()
        if let durability = reader.choice("durability", ["memory", "spill", "always"]), durability != 0 {
            refuse("durability", reader)
        }
        // Each must be asked for, or `finish` would call it unknown.
        for key in ["path", "max_size", "spill_after"] as [StaticString] where reader.node(key) != nil {
            refuse(key, reader)
        }
        if let memory = reader.size("max_memory", in: memoryRange) { settings.maxMemory = Int(memory) }
        if reader.choice("when_full", ["drop-oldest", "drop-newest"]) == 1 { settings.whenFull = .dropNewest }
        reader.finish()
        return settings
    }

    private static func refuse(_ key: StaticString, _ reader: Reader) {
        let name = String(key)
        reader.diagnostics.report(
            reader.mark(of: key),
            "\(reader.path).\(name): the disk outbox is not in this version: durability: memory")
    }
}
