import Records

/// What is noted about a record, at the end of its slab.
struct RecordEntry {
    enum State: UInt8 {
        /// To be offered.
        case waiting
        /// The transport has it; a delivery report will come.
        case handedOver
        /// Acknowledged, failed or dropped.
        case settled
    }

    /// Where a record is on its way to the disk.
    enum Storage: UInt8 {
        case none
        /// In a commit that is under way.
        case storing
        case stored
    }

    /// What else is known of it.
    struct Traits: OptionSet {
        let rawValue: UInt8
        /// Not to be offered before it is on the disk (`durability: always`).
        static let durable = Traits(rawValue: 1)
        /// Tells of records that are missing; of how many and from when lies behind the key, see `told`.
        static let gap = Traits(rawValue: 2)
        /// Never goes to the disk, beside such that may.
        static let volatile = Traits(rawValue: 4)
    }

    let sequence: UInt64
    /// Its place on the disk; 0 as long as it has none.
    var position: Int64 = 0
    /// When it was sampled, in milliseconds since 1970.
    let time: Int64
    /// Where the payload begins in the slab; the key lies right behind it.
    let offset: UInt32
    let length: UInt32
    /// Of the delivery report that is awaited.
    var nonce: UInt32
    let keyLength: UInt16
    var topic: UInt16
    /// Whose sequence it is: a number of `DiskNames`; 0 for this start of the agent.
    var origin: UInt16 = 0
    var state: State
    var storage = Storage.none
    var traits: Traits = []

    /// Bytes of the slab that the record takes.
    var size: Int { Int(length) + Int(keyLength) + (traits.contains(.gap) ? Told.bytes : 0) + Self.stride }

    /// What a record that tells of a gap says of it, for when it is lost itself.
    struct Told {
        let count: Int64
        let first: Int64

        /// Bytes that it takes.
        static var bytes: Int { 16 }

        /// - Parameter place: need not be aligned.
        func write(to place: UnsafeMutableRawPointer) {
            place.storeBytes(of: count, as: Int64.self)
            place.storeBytes(of: first, toByteOffset: 8, as: Int64.self)
        }
    }

    /// Where `Told` is, or would be.
    private var end: Int { Int(offset) + Int(length) + Int(keyLength) }

    /// What the record tells; `nil` of one that tells of no gap.
    /// - Parameter memory: of its slab.
    func told(in memory: UnsafeMutableRawPointer) -> Told? {
        guard traits.contains(.gap) else { return nil }
        return Told(
            count: memory.loadUnaligned(fromByteOffset: end, as: Int64.self),
            first: memory.loadUnaligned(fromByteOffset: end + 8, as: Int64.self))
    }

    /// From one entry to the next.
    static var stride: Int { MemoryLayout<RecordEntry>.stride }
}

/// A piece of memory that holds records until all of them are settled: payloads and keys from the front, entries from
/// the back. What is in it does not move, as the transport reads payloads where they are.
struct Slab {
    /// `nil` while the slab is not in use.
    var memory: UnsafeMutableRawPointer?
    /// Bytes taken at the front.
    var used = 0
    /// Records in it, settled ones included.
    var records = 0
    var waiting = 0
    var handedOver = 0
    /// Records of it that the disk's thread reads now, or one for the page that it writes: the slab stays as it is.
    var pins = 0
    /// Places of the slab behind and before it in its lane; -1 for none.
    var next = -1
    var previous = -1
    /// Slabs come into use in this order.
    var order: UInt64 = 0
    var lane = Outbox.Lane.record
}

/// All slabs, used and unused. One owner of their memory.
final class SlabTable {
    /// Bytes of each.
    let slabSize: Int
    let capacity: Int
    let slabs: UnsafeMutablePointer<Slab>
    /// Slabs in use, and what they take, with the spares.
    private(set) var allocated = 0
    /// Pieces of memory that were left to others for good.
    private(set) var left = 0
    private var unused: [Int32]
    /// Memory kept for the next slab, so that a steady stream does not go through the allocator.
    private var spares: [UnsafeMutableRawPointer] = []
    private var nextOrder: UInt64 = 0

    private static var mostSpares: Int { 2 }
    /// Bounded so that a token can name every record of every slab in 32 bits.
    static var mostSlabs: Int { 1 << DeliveryToken.slabBits }
    static var mostRecords: Int { 1 << DeliveryToken.recordBits }

    /// - Parameter maxMemory: bytes of all slabs together.
    init(maxMemory: Int) {
        slabSize = maxMemory < 1_000_000 ? 16_384 : maxMemory <= 64_000_000 ? 32_768 : 131_072
        capacity = min(max(maxMemory / slabSize, 4), Self.mostSlabs)
        slabs = UnsafeMutablePointer<Slab>.allocate(capacity: capacity)
        slabs.initialize(repeating: Slab(), count: capacity)
        unused = []
        unused.reserveCapacity(capacity)
        for index in 0..<capacity { unused.append(Int32(capacity - 1 - index)) }
        spares.reserveCapacity(Self.mostSpares)
    }

    deinit {
        for index in 0..<capacity { slabs[index].memory?.deallocate() }
        for spare in spares { spare.deallocate() }
        slabs.deallocate()
    }

    /// Takes an empty slab; `nil` when all are in use.
    func obtain(for lane: Outbox.Lane) -> Int? {
        guard let index = unused.popLast() else { return nil }
        let memory: UnsafeMutableRawPointer
        if let spare = spares.popLast() {
            memory = spare
        } else {
            memory = UnsafeMutableRawPointer.allocate(byteCount: slabSize, alignment: MemoryLayout<UInt64>.alignment)
            allocated += 1
        }
        slabs[Int(index)] = Slab(memory: memory, order: nextOrder, lane: lane)
        nextOrder += 1
        return Int(index)
    }

    /// Gives a slab back. Nothing may point into it any more.
    func giveBack(_ index: Int) {
        guard let memory = slabs[index].memory else { return }
        slabs[index] = Slab()
        unused.append(Int32(index))
        if spares.count < Self.mostSpares {
            spares.append(memory)
        } else {
            memory.deallocate()
            allocated -= 1
        }
    }

    /// Puts a copy in the place of a slab's memory, which is left as it is for whoever reads it.
    func leaveMemory(of index: Int) {
        guard let memory = slabs[index].memory else { return }
        let copy = UnsafeMutableRawPointer.allocate(byteCount: slabSize, alignment: MemoryLayout<UInt64>.alignment)
        copy.copyMemory(from: memory, byteCount: slabSize)
        slabs[index].memory = copy
        left += 1
    }

    /// The largest payload and key together that fit an empty slab.
    var largestRecord: Int { slabSize - RecordEntry.stride }

    /// Bytes free for one more payload with its key; negative when there is not even room for its entry.
    func room(in index: Int) -> Int {
        let slab = slabs[index]
        if slab.records == Self.mostRecords { return -1 }
        return slabSize - slab.used - (slab.records + 1) * RecordEntry.stride
    }

    /// The entry of a record. The slab must be in use.
    func entry(_ record: Int, in memory: UnsafeMutableRawPointer) -> UnsafeMutablePointer<RecordEntry> {
        (memory + (slabSize - (record + 1) * RecordEntry.stride)).assumingMemoryBound(to: RecordEntry.self)
    }
}

/// A token names a record by its place, and the offer by a number: a report that comes late, or twice, finds
/// another number, or nothing handed over, in that place.
extension DeliveryToken {
    static var recordBits: UInt { 10 }
    static var slabBits: UInt { 11 }

    init(slab: Int, record: Int, nonce: UInt32) {
        self.init(
            UInt(record) | UInt(slab) << Self.recordBits
                | UInt(nonce & Self.nonceMask) << (Self.recordBits + Self.slabBits))
    }

    /// 11 bits where a word has 32.
    static var nonceMask: UInt32 {
        let bits = UInt(UInt.bitWidth) - recordBits - slabBits
        return bits >= 32 ? UInt32.max : (1 << UInt32(bits)) - 1
    }

    var record: Int { Int(number & (1 << Self.recordBits - 1)) }
    var slab: Int { Int(number >> Self.recordBits & (1 << Self.slabBits - 1)) }
    var nonce: UInt32 { UInt32(truncatingIfNeeded: number >> (Self.recordBits + Self.slabBits)) & Self.nonceMask }
}
