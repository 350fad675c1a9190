import Platform

/// Hands replies over, and sees to what waits for them to arrive: offsets of messages that nothing else stands for, and
/// claims.
final class ReplyDesk {
    /// As `CommandProcessor.onUndelivered`.
    var again: ((String, [UInt8]) -> Bool)?
    /// As `CommandProcessor.onReread`.
    var onReread: (() -> Void)?
    /// As `CommandProcessor.deliveredReplies`.
    var deliveredReplies: () -> UInt64 = { .max }
    /// By status.
    private(set) var counters = CommandCounters()

    private let store: ClaimStore
    private let offsets: OffsetLedger
    private let deliveries: DeliveryLedger
    private let loop: any Loop
    private let log: Log
    private let reply: (Reply) -> Bool
    /// Claims whose replies have arrived, which is to be written down.
    private var delivered: [Int64] = []
    private var timer: TimerID?
    private var isStopped = false

    init(
        store: ClaimStore, offsets: OffsetLedger, mostUnsent: Int, loop: any Loop, log: Log,
        reply: @escaping (Reply) -> Bool
    ) {
        self.store = store
        self.offsets = offsets
        deliveries = DeliveryLedger(mostUnsent: mostUnsent)
        self.loop = loop
        self.log = log
        self.reply = reply
    }

    func stop() {
        isStopped = true
        if let timer { loop.cancel(timer) }
        timer = nil
    }

    /// - Parameters:
    ///   - ticket: of the message that is dealt with when the reply has arrived.
    ///   - claim: of which it is the first reply.
    func send(_ reply: Reply, _ ticket: OffsetLedger.Ticket?, _ claim: ClaimList.Claim? = nil) {
        counters.count(reply.status)
        log.debug(joined("command ", reply.id, ": ", string(reply.status.name)))
        let isTaken = self.reply(reply)
        if !store.isDurable, let ticket {
            // Without claims on a disk an offset that waits might let a command behind it be carried out again after a crash.
            offsets.settle(ticket)
            return
        }
        follow(isTaken, ticket, claim)
    }

    /// Sends a claim's reply once more.
    func resend(_ claim: ClaimList.Claim) { follow(again?(claim.id, claim.reply) ?? true, nil, claim) }

    private func follow(_ isTaken: Bool, _ ticket: OffsetLedger.Ticket?, _ claim: ClaimList.Claim?) {
        let isKept = store.isDurable && (claim?.sequence ?? 0) > 0
        deliveries.add(isTaken: isTaken, ticket: ticket, claim: isKept ? claim : nil)
        startTimer()
    }

    /// Sees which replies have arrived.
    func noteDeliveries() {
        if isStopped { return }
        deliveries.arrived(deliveredReplies()) { ticket in
            offsets.settle(ticket)
        } claim: { claim in
            claim.isDelivered = true
            delivered.append(claim.sequence)
        }
        startTimer()
    }

    /// Writes down which have, too, and sends what there was no room for.
    func keepDeliveries() {
        noteDeliveries()
        let left = deliveries.takeUnsent()
        for claim in left.claims { resend(claim) }
        if !delivered.isEmpty { store.delivered(delivered) }
        delivered = []
        if left.hasMissing { onReread?() }
    }

    /// Not for each reply: what it saves is a reply sent twice after a crash, and what it costs is wear.
    private func startTimer() {
        if timer != nil || isStopped || deliveries.isEmpty && delivered.isEmpty { return }
        timer = loop.after(.seconds(5)) { [unowned(unsafe) self] in
            self.timer = nil
            self.keepDeliveries()
            self.startTimer()
        }
    }
}
