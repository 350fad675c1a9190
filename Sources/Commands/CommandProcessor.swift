import Actuators
import Platform
import Records

/// Takes command messages and answers each with exactly one reply: at once, or when the actuator is done.
///
/// What is checked before an actuator moves, and in which order, stands in `Admission`. A command is carried out at
/// most once: it is claimed, on the disk, before anything moves, and a claim without a reply that an earlier start has
/// left behind is answered `failed`, because nobody knows what came of it.
public final class CommandProcessor {
    public private(set) var counters = CommandCounters()
    /// Whether the wall clock can be trusted; until it can, commands with `expires` are rejected.
    public var isClockSynchronised: () -> Bool {
        get { admission.isClockSynchronised }
        set { admission.isClockSynchronised = newValue }
    }
    /// Called when a message, and all before it in its partition, will not be needed again: with topic, partition and
    /// offset.
    public var onDealtWith: ((String, Int32, Int64) -> Void)?
    /// Called with the actuators whose states are asked for.
    public var onQuery: (([Actuator]) -> Void)?
    /// Gets the first reply of an earlier start that may not have reached a broker: its id, and its bytes.
    public var onUndelivered: ((String, [UInt8]) -> Void)?
    /// Whether all replies so far have been acknowledged by a broker.
    public var areRepliesDelivered: () -> Bool = { true }
    /// Called between two steps of a command, so that a test can end the process there.
    package var onStep: ((StaticString) -> Void)?

    private let node: String
    private let maximumSize: Int
    private let admission: Admission
    private let store: ClaimStore
    private let loop: any Loop
    private let log: Log
    private let reply: (Reply) -> Void
    private let limiter = ReplyLimiter()
    /// Claims whose replies are on their way.
    private var undelivered: [Int64] = []
    private var deliveryTimer: TimerID?
    private var isStopped = false
    /// For each actuator the last claim that a command for its safe value came after: those before it wait for the disk
    /// and must not be carried out behind its back.
    private var barriers: [Int64]

    /// - Parameters:
    ///   - node: the name that replies carry.
    ///   - journal: where claims are kept; `nil` is in memory only.
    ///   - journalQueue: what the journal is called on.
    ///   - reply: gets the replies. Encode one with `Reply.encode`; its record's key is `Reply.id`.
    public init(
        node: String, settings: CommandSettings, actuators: [Actuator], loop: any Loop, log: Log,
        journal: (any ClaimJournal)? = nil, journalQueue: (any WorkQueue)? = nil, reply: @escaping (Reply) -> Void
    ) {
        self.node = node
        self.loop = loop
        self.log = log
        self.reply = reply
        maximumSize = settings.maximumSize
        barriers = actuators.map { _ in 0 }
        admission = Admission(maxAge: settings.maxAge, keys: settings.keys, actuators: actuators, time: loop.time)
        store = ClaimStore(capacity: settings.remember, journal: journal, queue: journalQueue, loop: loop, log: log)
    }

    deinit { stop() }

    /// Takes up what an earlier start has left behind.
    /// - Parameter done: called when messages may be handed over.
    public func start(_ done: @escaping () -> Void) {
        var isFirst = true
        store.load { [unowned(unsafe) self] open in
            for kept in open { takeUp(kept.sequence, kept.id, kept.reply) }
            if isFirst { done() }
            isFirst = false
        }
    }

    private func takeUp(_ sequence: Int64, _ id: String, _ reply: [UInt8]) {
        guard let claim = store.list.find(id), claim.sequence == sequence else { return }
        if !reply.isEmpty {
            onUndelivered?(id, reply)
            sent(claim)
            return
        }
        answer(
            claim, .failed,
            "unknown outcome: the node ended after it had taken the command, before it knew what came of it", nil)
    }

    /// Whether nothing waits for the disk.
    public var isIdle: Bool { store.isIdle }

    /// Ends it: nothing is answered any more. Orders under way still end, unheard.
    public func stop() {
        isStopped = true
        store.close()
        if let deliveryTimer { loop.cancel(deliveryTimer) }
        deliveryTimer = nil
    }

    /// Keeps that replies have arrived, now rather than at the next opportunity. Before `isIdle` is waited for.
    public func noteDeliveries() {
        guard !undelivered.isEmpty, areRepliesDelivered() else { return }
        store.delivered(undelivered)
        undelivered = []
    }

    // MARK: Messages

    /// Handles one message.
    /// - Parameters:
    ///   - payload: the message's value; read before this returns.
    ///   - signature: the header `sig`.
    ///   - timestampMilliseconds: the message's, since 1970; `nil` when the broker gave none.
    public func handle(
        payload: UnsafeRawBufferPointer, signature: UnsafeRawBufferPointer? = nil, topic: String, partition: Int32,
        offset: Int64, timestampMilliseconds: Int64?
    ) {
        counters.received += 1
        let place = ClaimList.Place(
            topic: topic, partition: partition, offset: offset, timestamp: timestampMilliseconds ?? -1)
        let command: Command
        do throws(CommandError) {
            command = try CommandParser.parse(payload, maximumSize: maximumSize)
        } catch {
            let refusal = Refusal(status: .rejected, reason: error.reason, isAnonymous: !admission.isOpen)
            refuse(error.id ?? name(of: place), error.actuator, refusal)
            dealtWith(place)
            return
        }
        let candidate = Candidate(
            command: command, id: command.id ?? name(of: place), place: place, timestamp: timestampMilliseconds)
        if let refusal = admission.refusal(of: candidate, payload: payload, signature: signature) {
            refuse(candidate.id, command.actuator, refusal)
            dealtWith(place)
            return
        }
        admit(candidate)
    }

    private func name(of place: ClaimList.Place) -> String {
        // A topic has at most 249 characters; longer ones come from nowhere good.
        joined(excerpt(place.topic, limit: 249), "/", decimal(place.partition), "/", decimal(place.offset))
    }

    private func admit(_ candidate: Candidate) {
        let command = candidate.command
        if case .query(let id) = command.action {
            query(candidate, id)
        } else if let claim = store.list.find(candidate.id) {
            if claim.reply.isEmpty { claim.repeats += 1 } else { repeatReply(of: claim) }
            dealtWith(candidate.place)
        } else if store.list.isPassed(candidate.place) {
            let reason = "its place in the topic was passed before, and what came of it is forgotten"
            refuse(candidate.id, command.actuator, Refusal(status: .duplicate, reason: reason))
            dealtWith(candidate.place)
        } else if case .safe(let id) = command.action {
            makeSafe(candidate, id)
        } else if !store.isReady || store.isFull {
            let reason =
                store.isFull
                ? joined(decimal(ClaimStore.mostWaiting), " commands wait for the disk already")
                : "claims cannot be written to the disk, so nothing that could be done twice is done"
            refuse(candidate.id, command.actuator, Refusal(status: .rejected, reason: reason))
            // It may come again, before its offset is committed, and then the disk may work: refused is refused.
            store.list.restore(candidate.place)
            dealtWith(candidate.place)
        } else {
            claim(candidate)
        }
    }

    private func claim(_ candidate: Candidate) {
        onStep?("admitted")
        let members: [OrderGroup.Member]
        switch admission.orders(candidate) {
        case .refused(let refusal):
            let claim = store.claim(candidate.id, actuator: candidate.command.actuator, at: candidate.place) { _, _ in }
            answer(claim, refusal.status, refusal.reason, nil)
            dealtWith(candidate.place)
            return
        case .orders(let orders): members = orders
        }
        _ = store.claim(candidate.id, actuator: candidate.command.actuator, at: candidate.place) {
            [self] claim, isKept in carryOut(candidate, claim, members, isKept: isKept)
        }
        onStep?("claimed")
    }

    private func carryOut(
        _ candidate: Candidate, _ claim: ClaimList.Claim, _ members: [OrderGroup.Member], isKept: Bool
    ) {
        if isStopped { return }
        onDealtWith?(candidate.place.topic, candidate.place.partition, candidate.place.offset)
        guard isKept else {
            answer(claim, .rejected, "the claim could not be written to the disk: nothing was done", nil)
            return
        }
        onStep?("kept")
        if isOvertaken(claim, members) {
            answer(claim, .preempted, "a later command for the safe value was carried out before it", nil)
            return
        }
        let lateness = { [admission] () -> String? in admission.checkFreshness(candidate)?.reason }
        if case .group = candidate.command.action {
            OrderGroup(members, id: candidate.id, lateness: lateness) { [self] group in conclude(claim, group) }
                .perform()
            return
        }
        // Held until the actuator is done, and so is this processor: every order is answered.
        members[0].actuator.perform(members[0].order, lateness: lateness) { [self] outcome in
            onStep?("acted")
            let (status, reason, value) = words(outcome)
            answer(claim, status, reason, value)
        }
    }

    private func conclude(_ claim: ClaimList.Claim, _ group: OrderGroup) {
        onStep?("acted")
        var members: [Reply.Member] = []
        for member in group.members {
            guard let outcome = member.outcome else {
                members.append(
                    Reply.Member(actuator: member.actuator.id, status: .rejected, reason: "not begun"))
                continue
            }
            let (status, reason, value) = words(outcome)
            if member.isRolledBack {
                members.append(
                    Reply.Member(
                        actuator: member.actuator.id, status: .failed,
                        reason: reason.map { joined("rolled back, but ", $0) } ?? "rolled back to its safe value",
                        value: value))
            } else {
                members.append(
                    Reply.Member(actuator: member.actuator.id, status: status, reason: reason, value: value))
            }
        }
        guard let obstacle = group.obstacle else {
            answer(claim, .done, nil, nil, members: members)
            return
        }
        let (status, reason, _) = words(obstacle.outcome)
        answer(
            claim, status, joined("\"", obstacle.actuator, "\": ", reason ?? string(status.name)), nil,
            members: members)
    }

    private func words(_ outcome: Outcome) -> (Status, String?, Value?) {
        switch outcome {
        case .done(let found): (.done, nil, found)
        case .failed(let why, let found): (.failed, why, found)
        case .preempted(let why, let found): (.preempted, why, found)
        case .refused(let why): (.rejected, why, nil)
        case .interlocked(let why): (.interlocked, why, nil)
        case .expired(let why): (.expired, why, nil)
        }
    }

    // MARK: Safe values and queries

    private func meant(_ id: String) -> [Actuator] {
        if id.isEqual(to: Command.everyActuator) { return admission.actuators }
        return admission.actuator(id).map { [$0] } ?? []
    }

    private func isOvertaken(_ claim: ClaimList.Claim, _ members: [OrderGroup.Member]) -> Bool {
        for index in barriers.indices where barriers[index] >= claim.sequence {
            if members.contains(where: { $0.actuator === admission.actuators[index] }) { return true }
        }
        return false
    }

    /// Harmless when it is done twice, so the disk is not waited for.
    private func makeSafe(_ candidate: Candidate, _ id: String) {
        let claim = store.claim(candidate.id, actuator: id, at: candidate.place) { _, _ in }
        dealtWith(candidate.place)
        let actuators = meant(id)
        for index in barriers.indices {
            if actuators.contains(where: { $0 === admission.actuators[index] }) { barriers[index] = claim.sequence }
        }
        var open = actuators.count + 1
        var failures = ""
        var value: Value?
        let close = { [self] in
            open -= 1
            if open > 0 { return }
            if failures.utf8.isEmpty {
                answer(claim, .done, nil, actuators.count == 1 ? value : nil)
            } else {
                answer(claim, .failed, failures, value)
            }
        }
        for actuator in actuators {
            actuator.makeSafe(.command(id: candidate.id)) { outcome in
                switch outcome {
                case .done(let found): value = found
                case .failed(let reason, _):
                    failures += joined(failures.utf8.isEmpty ? "" : "; ", "\"", actuator.id, "\": ", reason)
                default: failures += joined("\"", actuator.id, "\" was not reached")
                }
                close()
            }
        }
        close()
    }

    private func query(_ candidate: Candidate, _ id: String) {
        let actuators = meant(id)
        onQuery?(actuators)
        let isOne = !id.isEqual(to: Command.everyActuator)
        send(
            makeReply(candidate.id, id, .done, nil, isOne && !actuators.isEmpty ? actuators[0].value : nil))
        dealtWith(candidate.place)
    }

    // MARK: Replies

    private func refuse(_ id: String, _ actuator: String?, _ refusal: Refusal) {
        // Who writes to the topic without a key must not make the node flood the topic of replies.
        if refusal.isAnonymous, limiter.admit(at: loop.time.now) == nil {
            counters.unanswered += 1
            return
        }
        send(makeReply(id, actuator, refusal.status, refusal.reason, nil))
    }

    /// The first reply: kept, then sent.
    private func answer(
        _ claim: ClaimList.Claim, _ status: Status, _ reason: String?, _ value: Value?, members: [Reply.Member] = []
    ) {
        if isStopped { return }
        let first = makeReply(claim.id, claim.actuator, status, reason, value, members)
        store.answer(claim, first.encoded) { [self] _ in
            if isStopped { return }
            onStep?("answered")
            send(first)
            sent(claim)
            while claim.repeats > 0 {
                claim.repeats -= 1
                repeatReply(of: claim)
            }
        }
    }

    private func repeatReply(of claim: ClaimList.Claim) {
        send(
            Reply(
                id: claim.id, node: node, actuator: claim.actuator, status: .duplicate,
                reason: "a command of this id was answered before, and nothing was done again", value: nil,
                first: claim.reply, timestamp: loop.time.wallTime))
    }

    private func makeReply(
        _ id: String, _ actuator: String?, _ status: Status, _ reason: String?, _ value: Value?,
        _ members: [Reply.Member] = []
    ) -> Reply {
        Reply(
            id: id, node: node, actuator: actuator, status: status, reason: reason, value: value, members: members,
            timestamp: loop.time.wallTime)
    }

    private func send(_ reply: Reply) {
        counters.count(reply.status)
        log.debug(joined("command ", reply.id, ": ", string(reply.status.name)))
        self.reply(reply)
    }

    /// Commits in order: not before claims of messages before it are on the disk.
    private func dealtWith(_ place: ClaimList.Place) {
        store.afterWrite { [self] _ in
            if !isStopped { onDealtWith?(place.topic, place.partition, place.offset) }
        }
    }

    // MARK: Deliveries

    private func sent(_ claim: ClaimList.Claim) {
        if !store.isDurable { return }
        undelivered.append(claim.sequence)
        if deliveryTimer == nil { watchDeliveries() }
    }

    /// Not for each reply: what it saves is a reply sent twice after a crash, and what it costs is wear.
    private func watchDeliveries() {
        deliveryTimer = loop.after(.seconds(5)) { [unowned(unsafe) self] in
            self.deliveryTimer = nil
            self.noteDeliveries()
            if !self.undelivered.isEmpty { self.watchDeliveries() }
        }
    }
}
