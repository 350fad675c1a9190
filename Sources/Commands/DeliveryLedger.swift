/// Replies on their way to the brokers, in the order in which they were sent, and what waits for them to arrive there.
final class DeliveryLedger {
    private struct Entry {
        let number: UInt64
        let ticket: OffsetLedger.Ticket?
        let claim: ClaimList.Claim?
    }

    private var sent: UInt64 = 0
    private var entries: [Entry] = []
    /// Claims whose replies nobody took, for want of room.
    private var unsent: [ClaimList.Claim] = []
    private let mostUnsent: Int
    /// Messages were answered with replies that nobody took: their tickets stay open.
    private var hasMissing = false

    /// - Parameter mostUnsent: of more claims than that the replies are left to the next start.
    init(mostUnsent: Int) { self.mostUnsent = mostUnsent }

    /// Whether anything waits.
    var isEmpty: Bool { entries.isEmpty && unsent.isEmpty && !hasMissing }

    /// A reply was handed over.
    /// - Parameters:
    ///   - isTaken: whether it will be sent.
    ///   - ticket: of the message that it answers, where that is not dealt with before.
    ///   - claim: of which it is the first reply.
    func add(isTaken: Bool, ticket: OffsetLedger.Ticket?, claim: ClaimList.Claim?) {
        if isTaken {
            sent += 1
            if ticket != nil || claim != nil { entries.append(Entry(number: sent, ticket: ticket, claim: claim)) }
            return
        }
        if ticket != nil { hasMissing = true }
        if let claim, unsent.count < mostUnsent { unsent.append(claim) }
    }

    /// What the first `count` replies that were taken have released.
    func arrived(
        _ count: UInt64, ticket settle: (OffsetLedger.Ticket) -> Void, claim: (ClaimList.Claim) -> Void
    ) {
        let ended = entries.prefix { $0.number <= count }
        if ended.isEmpty { return }
        let done = Array(ended)
        entries.removeFirst(done.count)
        for entry in done {
            if let arrived = entry.claim { claim(arrived) }
            if let ticket = entry.ticket { settle(ticket) }
        }
    }

    /// When all others have arrived: claims whose replies are to be offered again, and whether messages are to be read again.
    func takeUnsent() -> (claims: [ClaimList.Claim], hasMissing: Bool) {
        if !entries.isEmpty { return ([], false) }
        let found = (unsent, hasMissing)
        (unsent, hasMissing) = ([], false)
        return found
    }
}
