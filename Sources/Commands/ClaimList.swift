import Platform

/// The commands of the last time by their ids, each with its first reply, so that none is carried out twice.
///
/// Bounded: the oldest makes room for a new one. This is what is looked things up in; `ClaimStore` keeps it on the disk.
final class ClaimList {
    /// A command that was taken.
    final class Claim {
        /// Counts claims; never repeats on a node. 0 for one of which the journal knows nothing, because its claims were
        /// not known yet.
        let sequence: Int64
        let id: String
        /// As the reply names it.
        let actuator: String?
        /// The first reply; empty until there is one.
        var reply: [UInt8] = []
        /// Commands of the same id that came before there was a reply, and wait for it.
        var repeats = 0
        fileprivate let hash: UInt64

        init(sequence: Int64, id: String, actuator: String?, reply: [UInt8] = []) {
            self.sequence = sequence
            self.id = id
            self.actuator = actuator
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
    private var claims: [Claim] = []
    /// The oldest, once it is full.
    private var next = 0
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

    /// Makes a claim on an id that `find` does not find.
    /// - Parameter isNumbered: not before the claims of earlier starts are known, or it would take the number of one of them.
    func add(_ id: String, actuator: String?, at place: Place, isNumbered: Bool = true) -> Claim {
        let claim = Claim(sequence: isNumbered ? lastSequence + 1 : 0, id: id, actuator: actuator)
        restore(claim)
        restore(place)
        return claim
    }

    /// Takes over what an earlier start has kept, the oldest first.
    func restore(_ claim: Claim) {
        lastSequence = max(lastSequence, claim.sequence)
        if claims.count < capacity {
            claims.append(claim)
        } else {
            claims[next] = claim
            next = (next + 1) % capacity
        }
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
