import Platform

/// Replies on their way to the brokers, in the order in which they were sent, and what waits for them to arrive there.
final class DeliveryLedger {
    private struct Entry {
        /// Of the last reply that was sent when it was made: it ends when all up to that one have arrived.
        let number: UInt64
        let ticket: OffsetLedger.Ticket?
        let claim: ClaimList.Claim?
        /// The reply itself is on its way, rather than given up.
        let isSent: Bool
        var count = 1
    }

    private var sent: UInt64 = 0
    private var entries: [Entry] = []
    /// Claims whose replies nobody took, for want of room.
    private var unsent: [ClaimList.Claim] = []
    private let mostUnsent: Int

    /// - Parameter mostUnsent: of more claims than that the replies are left to the next start.
    init(mostUnsent: Int) { self.mostUnsent = mostUnsent }

    /// Whether anything waits.
    var isEmpty: Bool { entries.isEmpty && unsent.isEmpty }

    /// A reply was handed over.
    /// - Parameters:
    ///   - isTaken: whether it will be sent.
    ///   - ticket: of the message that it answers, where that is not dealt with before.
    ///   - claim: of which it is the first reply.
    func add(isTaken: Bool, ticket: OffsetLedger.Ticket?, claim: ClaimList.Claim?) {
        if isTaken {
            sent += 1
        } else if let claim, unsent.count < mostUnsent {
            unsent.append(claim)
        }
        if ticket == nil, claim == nil || !isTaken { return }
        if !isTaken, let ticket, join(ticket) { return }
        entries.append(Entry(number: sent, ticket: ticket, claim: isTaken ? claim : nil, isSent: isTaken))
    }

    /// Many that are given up share a ticket when nothing arrives for long.
    private func join(_ ticket: OffsetLedger.Ticket) -> Bool {
        var index = entries.count
        while index > 0, !entries[index - 1].isSent {
            index -= 1
            if entries[index].ticket === ticket {
                entries[index].count += 1
                return true
            }
        }
        return false
    }

    /// What the first `count` replies that were taken have released.
    func arrived(
        _ count: UInt64, ticket settle: (OffsetLedger.Ticket, Int) -> Void, claim: (ClaimList.Claim) -> Void
    ) {
        let ended = entries.prefix { $0.number <= count }
        if ended.isEmpty { return }
        let done = Array(ended)
        entries.removeFirst(done.count)
        for entry in done {
            if let arrived = entry.claim { claim(arrived) }
            if let ticket = entry.ticket { settle(ticket, entry.count) }
        }
    }

    /// Claims whose replies are to be offered again, when all others have arrived.
    func takeUnsent() -> [ClaimList.Claim] {
        if !entries.isEmpty { return [] }
        let claims = unsent
        unsent = []
        return claims
    }
}
