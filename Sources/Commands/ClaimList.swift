import Platform

/// The commands of the last time by their ids, each with its first reply, so that none is carried out twice.
///
/// Bounded: the oldest that may be forgotten makes room for a new one. One may be forgotten when its command could not be
/// admitted again (`until`) and has been answered; while there is none such in a full list, there is no room. This is what
/// is looked things up in; `ClaimStore` keeps it on the disk.
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
        /// The first reply; empty until there is one.
        var reply: [UInt8] = []
        /// Its message, until that is dealt with.
        var ticket: OffsetLedger.Ticket?
        /// Messages of the same id that came before there was a reply, and wait for it.
        var repeats: [OffsetLedger.Ticket] = []
        fileprivate let hash: UInt64

        init(sequence: Int64, id: String, actuator: String?, until: Int64, reply: [UInt8] = []) {
            self.sequence = sequence
            self.id = id
            self.actuator = actuator
            self.until = until
            self.reply = reply
            hash = ClaimList.hash(id)
        }
    }

    /// Where a message stands in its topic, and its timestamp in milliseconds.
    struct Place: Equatable {
        let topic: String
        let partition: Int32
        let offset: Int64
        let timestamp: Int64
    }

    let capacity: Int
    /// The oldest first.
    private var claims: [Claim] = []
    /// Numbers of claims that were forgotten and may still be on the disk.
    private var forgotten: [Int64] = []
    private(set) var lastSequence: Int64 = 0
    /// The last place of each partition that a claim came from.
    private(set) var places: [Place] = []

    init(capacity: Int) { self.capacity = max(1, capacity) }

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
        guard let last = places.first(where: { $0.partition == place.partition && sameBytes($0.topic, place.topic) })
        else { return false }
        return place.offset <= last.offset && place.timestamp <= last.timestamp
    }

    /// Whether there is room for one more, or can be.
    func hasRoom(at now: WallTime) -> Bool { claims.count < capacity || forgettable(now) != nil }

    private func forgettable(_ now: WallTime) -> Int? {
        claims.firstIndex { !$0.reply.isEmpty && $0.until < now.milliseconds }
    }

    /// Makes a claim on an id that `find` does not find. Where there is no room nobody will remember it, and its number is 0.
    /// - Parameters:
    ///   - until: until when it must be remembered, in milliseconds since 1970.
    ///   - isNumbered: not before the claims of earlier starts are known, or it would take the number of one of them.
    func add(
        _ id: String, actuator: String?, at place: Place, until: Int64, now: WallTime, isNumbered: Bool = true
    ) -> Claim {
        guard hasRoom(at: now) else { return Claim(sequence: 0, id: id, actuator: actuator, until: until) }
        let number = isNumbered ? lastSequence + 1 : 0
        let claim = Claim(sequence: number, id: id, actuator: actuator, until: until)
        restore(claim, now: now)
        restore(place)
        return claim
    }

    /// Takes over what an earlier start has kept, the oldest first. That may be more than there is room for.
    func restore(_ claim: Claim, now: WallTime) {
        lastSequence = max(lastSequence, claim.sequence)
        while claims.count >= capacity, let oldest = forgettable(now) {
            if claims[oldest].sequence > 0 { forgotten.append(claims[oldest].sequence) }
            claims.remove(at: oldest)
        }
        claims.append(claim)
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
        for index in places.indices
        where places[index].partition == place.partition && sameBytes(places[index].topic, place.topic) {
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
        let known = places.first { $0.partition == place.partition && sameBytes($0.topic, place.topic) }
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
