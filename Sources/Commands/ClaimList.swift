import Platform

/// The commands of the last time by their ids, each with its first reply, so that none is carried out twice.
///
/// Bounded, by their number and in bytes: the oldest that may be forgotten makes room for a new one. One may be forgotten
/// when its command could not be admitted again (`until`), also by a clock that does not step, and its reply has arrived, or
/// a crash would lose that; while there is none such in a full list, there is no room. Those that must be remembered for
/// long (`longSpan`) get half of the room at most: a sender whose commands never end must not shut the others out. This is
/// what things are looked up in; `ClaimStore` keeps it on the disk.
final class ClaimList {
    /// A command that was taken.
    final class Claim {
        /// Counts claims; never repeats on a node. 0 for one of which the journal knows nothing, because there was no room, or
        /// its claims were not known yet.
        let sequence: Int64
        let id: String
        /// As the reply names it.
        let actuator: String?
        /// Until when it must be remembered, in milliseconds since 1970.
        let until: Int64
        /// The first reply; empty until there is one. Set by `ClaimList.answer`.
        fileprivate(set) var reply: [UInt8] = []
        /// Whether the first reply has arrived, or nobody asks.
        var isDelivered: Bool
        /// Its message, until that is dealt with.
        var ticket: OffsetLedger.Ticket?
        /// Messages of the same id that came before there was a reply, and wait for it.
        var repeats: [OffsetLedger.Ticket] = []
        fileprivate let hash: UInt64
        /// Whether it counts as one that is remembered for long.
        fileprivate var isLong = false
        fileprivate var isListed = false
        /// When `until` is by the clock as it was when this was listed, an hour later at most: a wall clock that goes forth, and
        /// back, must not make it new.
        fileprivate var end = Instant(nanoseconds: 0)
        /// What it takes, about.
        fileprivate var size: Int {
            ClaimList.overhead + id.utf8.count + (actuator?.utf8.count ?? 0) + reply.count
        }

        init(
            sequence: Int64, id: String, actuator: String?, until: Int64, reply: [UInt8] = [],
            isDelivered: Bool = false
        ) {
            self.sequence = sequence
            self.id = id
            self.actuator = actuator
            self.until = until
            self.reply = reply
            self.isDelivered = isDelivered
            hash = ClaimList.hash(id)
        }
    }

    /// Where a message stands in its topic, and its timestamp in milliseconds.
    struct Place: Equatable {
        let topic: String
        let partition: Int32
        let offset: Int64
        let timestamp: Int64

        /// Whether both stand in one partition.
        func isBeside(_ other: Place) -> Bool { partition == other.partition && sameBytes(topic, other.topic) }

        /// What answers a message without an id.
        var name: String {
            // A topic has at most 249 characters; longer ones come from nowhere good.
            joined(excerpt(topic, limit: 249), "/", decimal(partition), "/", decimal(offset))
        }
    }

    /// Commands that must be remembered for longer than this have half of the room.
    static var longSpan: Interval { Keyring.longestValidity }
    /// What a claim takes in memory beside its texts, about.
    private static var overhead: Int { 192 }

    let capacity: Int
    /// In bytes. Replies to what is under way come on top of it: one for each command that waits for the disk or its actuator.
    let maximumBytes: Int
    private(set) var bytes = 0
    /// The oldest first.
    private var claims: [Claim] = []
    /// Numbers of claims that were forgotten and may still be on the disk.
    private var forgotten: [Int64] = []
    private(set) var lastSequence: Int64 = 0
    /// The last place of each partition that a claim came from.
    private(set) var places: [Place] = []

    init(capacity: Int) {
        self.capacity = max(1, capacity)
        // A claim with the reply to a command for one actuator takes some 350.
        maximumBytes = max(65_536, self.capacity * 768)
    }

    /// The claim of that id; `nil` when it is new or forgotten.
    func find(_ id: String) -> Claim? {
        let hash = Self.hash(id)
        return claims.first { $0.hash == hash && sameBytes($0.id, id) }
    }

    /// Claims that were made before those of earlier starts were known.
    var unnumbered: [Claim] { claims.filter { $0.sequence == 0 } }

    /// Whether a message that stands there was passed before: nothing is known of it any more, but it is not new. Where a
    /// topic was made anew its offsets begin again, and only they, so the timestamp must not be newer either.
    func isPassed(_ place: Place) -> Bool {
        guard let last = places.first(where: { $0.isBeside(place) }) else { return false }
        return place.offset <= last.offset && place.timestamp <= last.timestamp
    }

    /// Why there is no room for one more.
    enum Shortage {
        case count, bytes
        /// For one that must be remembered for long.
        case long
    }

    /// Forgets what may be forgotten, as far as one more needs the room.
    /// - Parameter until: until when that one must be remembered, in milliseconds since 1970.
    /// - Returns: `nil` when there is room.
    func makeRoom(until: Int64, _ time: any TimeSource) -> Shortage? {
        while !hasRoom, forgetOne(time) {}
        if !hasRoom { return claims.count >= capacity ? .count : .bytes }
        return isLong(until, time.wallTime) && !hasLongRoom(time.wallTime) ? .long : nil
    }

    private var hasRoom: Bool { claims.count < capacity && bytes < maximumBytes }

    private func isLong(_ until: Int64, _ now: WallTime) -> Bool { until > (now + Self.longSpan).milliseconds }

    private func hasLongRoom(_ now: WallTime) -> Bool {
        var (count, bytes) = (0, 0)
        for claim in claims where claim.isLong && claim.until >= now.milliseconds {
            count += 1
            bytes += claim.size
        }
        return count < max(1, capacity / 2) && bytes < maximumBytes / 2
    }

    private func forgetOne(_ time: any TimeSource) -> Bool {
        let (wall, now) = (time.wallTime.milliseconds, time.now)
        let found = claims.firstIndex { !$0.reply.isEmpty && $0.isDelivered && $0.until < wall && $0.end <= now }
        guard let oldest = found else { return false }
        let claim = claims.remove(at: oldest)
        claim.isListed = false
        bytes -= claim.size
        if claim.sequence > 0 { forgotten.append(claim.sequence) }
        return true
    }

    /// Makes a claim on an id that `find` does not find. Where there is no room nobody will remember it, and its number is 0.
    /// - Parameters:
    ///   - until: until when it must be remembered, in milliseconds since 1970.
    ///   - isNumbered: not before the claims of earlier starts are known, or it would take the number of one of them.
    func add(
        _ id: String, actuator: String?, at place: Place, until: Int64, _ time: any TimeSource, isNumbered: Bool = true
    ) -> Claim {
        guard makeRoom(until: until, time) == nil else {
            return Claim(sequence: 0, id: id, actuator: actuator, until: until)
        }
        let number = isNumbered ? lastSequence + 1 : 0
        let claim = Claim(sequence: number, id: id, actuator: actuator, until: until)
        restore(claim, time)
        restore(place)
        return claim
    }

    /// Takes over what an earlier start has kept, the oldest first. That may be more than there is room for.
    func restore(_ claim: Claim, _ time: any TimeSource) {
        lastSequence = max(lastSequence, claim.sequence)
        while !hasRoom, forgetOne(time) {}
        claim.isLong = isLong(claim.until, time.wallTime)
        let (rest, overflow) = claim.until.subtractingReportingOverflow(time.wallTime.milliseconds)
        claim.end = time.now + .milliseconds(overflow ? 0 : max(0, min(rest, Self.longSpan.milliseconds)))
        claim.isListed = true
        bytes += claim.size
        claims.append(claim)
    }

    /// Sets a claim's first reply.
    func answer(_ claim: Claim, _ reply: [UInt8]) {
        if claim.isListed { bytes += reply.count - claim.reply.count }
        claim.reply = reply
    }

    /// The numbers of the claims that were forgotten since the last call.
    func takeForgotten() -> [Int64] {
        let numbers = forgotten
        forgotten = []
        return numbers
    }

    /// No claim gets that number, nor one before it.
    func skip(_ sequence: Int64) { lastSequence = max(lastSequence, sequence) }

    func restore(_ place: Place) {
        for index in places.indices where places[index].isBeside(place) {
            let last = places[index]
            // Made anew, or simply the next: the offset goes on from here. Messages need not come in time's order.
            places[index] = Place(
                topic: last.topic, partition: last.partition, offset: place.offset,
                timestamp: max(last.timestamp, place.timestamp))
            return
        }
        places.append(place)
    }

    /// Takes over a place that an earlier start has kept: behind one that is known already.
    func restore(earlier place: Place) {
        let known = places.first { $0.isBeside(place) }
        restore(place)
        if let known { restore(known) }
    }

    /// FNV-1a, so that most comparisons are of one word.
    private static func hash(_ id: String) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in id.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash
    }
}
