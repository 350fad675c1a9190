import Actuators
import Platform
import Records

/// Takes command messages and answers each with exactly one reply: at once, or when the actuator is done.
///
/// What is checked before an actuator moves, and in which order, stands in `Admission`. A command is carried out at
/// most once: it is claimed, on the disk, before anything moves, and a claim without a reply that an earlier start has
/// left behind is answered `failed`, because nobody knows what came of it.
public final class CommandProcessor {
    public var counters: CommandCounters {
        var counters = desk.counters
        (counters.received, counters.unanswered) = (received, strangers.unanswered)
        return counters
    }
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
    /// Gets a first reply that may not have reached a broker, of an earlier start or for want of room: its id, and its bytes.
    /// Returns whether it will be sent.
    public var onUndelivered: ((String, [UInt8]) -> Bool)? {
        get { desk.again }
        set { desk.again = newValue }
    }
    /// Called when there is room again for replies that nobody took: the messages that are not dealt with should come again.
    public var onReread: (() -> Void)? {
        get { desk.onReread }
        set { desk.onReread = newValue }
    }
    /// How many of the replies that were taken, of both kinds and in that order, have been acknowledged by a broker, or
    /// given up by it, or are on a disk that sends them. Tell it by `noteDeliveries`.
    public var deliveredReplies: () -> UInt64 {
        get { desk.deliveredReplies }
        set { desk.deliveredReplies = newValue }
    }
    /// Called when no more messages should be handed over for now (`true`), and when they should again (`false`). No longer
    /// than a second after the disk last wrote: a command for the safe value may be among them. What is handed over all the
    /// same may be rejected.
    public var onHold: ((Bool) -> Void)?
    /// Called between two steps of a command, so that a test can end the process there.
    package var onStep: ((StaticString) -> Void)?

    private let node: String
    private let maximumSize: Int
    private let admission: Admission
    private let store: ClaimStore
    private let loop: any Loop
    private let strangers: StrangerWatch
    private let offsets = OffsetLedger()
    private let desk: ReplyDesk
    private var received: UInt64 = 0
    private var holdTimer: TimerID?
    private static var longestHold: Interval { .seconds(1) }
    private var isStopped = false
    /// For each actuator the last claim that a command for its safe value came after: those before it wait for the disk
    /// and must not be carried out behind its back.
    private var barriers: [Int64]

    /// - Parameters:
    ///   - node: the name that replies carry.
    ///   - journal: where claims are kept; `nil` is in memory only.
    ///   - journalQueue: what the journal is called on.
    ///   - reply: gets the replies, and returns whether they will be sent. Encode one with `Reply.encode`; its record's key is
    ///     `Reply.id`.
    public init(
        node: String, settings: CommandSettings, actuators: [Actuator], loop: any Loop, log: Log,
        journal: (any ClaimJournal)? = nil, journalQueue: (any WorkQueue)? = nil, reply: @escaping (Reply) -> Bool
    ) {
        self.node = node
        self.loop = loop
        maximumSize = settings.maximumSize
        strangers = StrangerWatch(loop: loop, log: log)
        barriers = actuators.map { _ in 0 }
        admission = Admission(maxAge: settings.maxAge, keys: settings.keys, actuators: actuators, time: loop.time)
        store = ClaimStore(capacity: settings.remember, journal: journal, queue: journalQueue, loop: loop, log: log)
        desk = ReplyDesk(
            store: store, offsets: offsets, mostUnsent: settings.remember, loop: loop, log: log, reply: reply)
        store.onPressure = { [unowned(unsafe) self] isHigh in hold(isHigh) }
        store.onRestored = { [unowned(unsafe) self] place, id in
            guard let id else { return }
            let isEvery = id.isEqual(to: Command.everyActuator)
            admission.notePrecedence(place, isSafe: isEvery) { isEvery || sameBytes($0.id, id) }
        }
        offsets.onDealtWith = { [unowned(unsafe) self] topic, partition, offset in
            if !isStopped { onDealtWith?(topic, partition, offset) }
        }
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
            desk.resend(claim)
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
        desk.stop()
        strangers.stop()
        if let holdTimer { loop.cancel(holdTimer) }
        holdTimer = nil
    }

    /// Sees which replies have arrived: what they answer is dealt with.
    public func noteDeliveries() { desk.noteDeliveries() }
    /// Keeps that replies have arrived, now rather than at the next opportunity. Before `isIdle` is waited for.
    public func keepDeliveries() { desk.keepDeliveries() }

    private func hold(_ isHeld: Bool) {
        let wasHeld = holdTimer != nil
        if let holdTimer { loop.cancel(holdTimer) }
        holdTimer = nil
        if isHeld {
            holdTimer = loop.after(Self.longestHold) { [unowned(unsafe) self] in hold(false) }
        }
        if isHeld != wasHeld { onHold?(isHeld) }
    }

    // MARK: Messages

    /// Handles one message.
    /// - Parameters:
    ///   - payload: the message's value; read before this returns.
    ///   - signature: the header `sig`.
    ///   - timestampMilliseconds: the message's, since 1970; `nil` when the broker gave none.
    ///   - isBacklog: it waited in its partition, for nobody knows how long.
    public func handle(
        payload: UnsafeRawBufferPointer, signature: UnsafeRawBufferPointer? = nil, topic: String, partition: Int32,
        offset: Int64, timestampMilliseconds: Int64?, isBacklog: Bool = false
    ) {
        received += 1
        let place = ClaimList.Place(
            topic: topic, partition: partition, offset: offset, timestamp: timestampMilliseconds ?? -1)
        let ticket = offsets.take(place)
        let command: Command
        do throws(CommandError) {
            command = try CommandParser.parse(payload, maximumSize: maximumSize)
        } catch {
            let refusal = Refusal(status: .rejected, reason: error.reason, isAnonymous: !admission.isOpen)
            refuse(error.id ?? place.name, error.actuator, refusal, ticket)
            return
        }
        let candidate = Candidate(
            command: command, id: command.id ?? place.name, place: place, timestamp: timestampMilliseconds,
            isBacklog: isBacklog)
        let refusal = admission.refusal(of: candidate, payload: payload, signature: signature)
        if let refusal, refusal.isOfTime, let claim = readAgain(candidate) {
            repeated(claim, ticket)
        } else if let refusal, !refusal.isPassing || !mayClaim(candidate) {
            refuse(candidate.id, command.actuator, refusal, ticket)
        } else {
            admit(candidate, refusal, ticket)
        }
    }

    /// What this same message made, before a crash or another member of the group left its offset uncommitted: that it has
    /// grown old meanwhile must not contradict the reply that it got.
    private func readAgain(_ candidate: Candidate) -> ClaimList.Claim? {
        store.list.isPassed(candidate.place) ? store.list.find(candidate.id) : nil
    }

    /// Whether it is new, and there is a place where what comes of it is kept.
    private func mayClaim(_ candidate: Candidate) -> Bool {
        if case .query = candidate.command.action { return false }
        return store.list.find(candidate.id) == nil && !store.list.isPassed(candidate.place)
            && store.obstacle(until: admission.memory(of: candidate)) == nil
    }

    private func admit(_ candidate: Candidate, _ refusal: Refusal?, _ ticket: OffsetLedger.Ticket) {
        let command = candidate.command
        if case .query(let id) = command.action {
            query(candidate, id, ticket)
        } else if let claim = store.list.find(candidate.id) {
            repeated(claim, ticket)
        } else if store.list.isPassed(candidate.place) {
            let reason = "its place in the topic was passed before, and what came of it is forgotten"
            refuse(candidate.id, command.actuator, Refusal(status: .duplicate, reason: reason), ticket)
        } else if case .safe(let id) = command.action, refusal == nil {
            makeSafe(candidate, id, ticket)
        } else if let reason = store.obstacle(until: admission.memory(of: candidate)) {
            refuse(candidate.id, command.actuator, Refusal(status: .rejected, reason: reason), ticket)
            // It may come again, before its offset is committed, and then the disk may work: refused is refused.
            store.list.restore(candidate.place)
        } else {
            claim(candidate, refusal, ticket)
        }
    }

    private func claim(_ candidate: Candidate, _ refusal: Refusal?, _ ticket: OffsetLedger.Ticket) {
        onStep?("admitted")
        var members: [OrderGroup.Member] = []
        var refusal = refusal
        if refusal == nil {
            switch admission.orders(candidate) {
            case .refused(let found): refusal = found
            case .orders(let orders): members = orders
            }
        }
        if let refusal {
            // With one write: a crash between two would leave the outcome of what was never done unknown.
            let claim = keep(candidate, ticket, isAnswered: true) { [self] claim, isKept in noteKept(claim, isKept) }
            answer(claim, refusal.status, refusal.reason, nil)
            return
        }
        _ = keep(candidate, ticket) { [self] claim, isKept in carryOut(candidate, claim, members, isKept: isKept) }
        onStep?("claimed")
    }

    private func keep(
        _ candidate: Candidate, _ ticket: OffsetLedger.Ticket, isAnswered: Bool = false,
        _ done: @escaping (ClaimList.Claim, Bool) -> Void
    ) -> ClaimList.Claim {
        store.claim(
            candidate.id, actuator: candidate.command.actuator, at: candidate.place,
            until: admission.memory(of: candidate), ticket: ticket, isAnswered: isAnswered, done)
    }

    /// A claim on the disk will be answered, also after a crash; a message without one comes again until it has been.
    private func noteKept(_ claim: ClaimList.Claim, _ isKept: Bool) {
        guard isKept, let ticket = claim.ticket else { return }
        claim.ticket = nil
        offsets.settle(ticket)
    }

    private func carryOut(
        _ candidate: Candidate, _ claim: ClaimList.Claim, _ members: [OrderGroup.Member], isKept: Bool
    ) {
        if isStopped { return }
        noteKept(claim, isKept)
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
            let (status, reason, value) = outcome.words
            answer(claim, status, reason, value)
        }
    }

    private func conclude(_ claim: ClaimList.Claim, _ group: OrderGroup) {
        onStep?("acted")
        guard let obstacle = group.obstacle else {
            answer(claim, .done, nil, nil, members: group.replyMembers)
            return
        }
        let (status, reason, _) = obstacle.outcome.words
        answer(
            claim, status, joined("\"", obstacle.actuator, "\": ", reason ?? string(status.name)), nil,
            members: group.replyMembers)
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
    private func makeSafe(_ candidate: Candidate, _ id: String, _ ticket: OffsetLedger.Ticket) {
        let claim = keep(candidate, ticket) { [self] claim, isKept in noteKept(claim, isKept) }
        let actuators = meant(id)
        admission.notePrecedence(candidate.place, isSafe: true) { one in actuators.contains { $0 === one } }
        for index in barriers.indices {
            if actuators.contains(where: { $0 === admission.actuators[index] }) {
                barriers[index] = store.list.lastSequence
            }
        }
        var open = actuators.count + 1
        var outcomes = [Outcome?](repeating: nil, count: actuators.count)
        let close = { [self] in
            open -= 1
            if open == 0 { conclude(claim, id, actuators, outcomes) }
        }
        for (index, actuator) in actuators.enumerated() {
            actuator.makeSafe(.command(id: candidate.id)) {
                outcomes[index] = $0
                close()
            }
        }
        close()
    }

    private func conclude(_ claim: ClaimList.Claim, _ id: String, _ actuators: [Actuator], _ outcomes: [Outcome?]) {
        var members: [Reply.Member] = []
        var failures = ""
        for (index, actuator) in actuators.enumerated() {
            let member = Reply.Member(actuator, outcomes[index] ?? .failed(reason: "was not reached", value: nil))
            members.append(member)
            if member.status == .done { continue }
            let start = failures.utf8.isEmpty ? "\"" : "; \""
            failures += joined(start, actuator.id, "\": ", member.reason ?? "was not reached")
        }
        let isOne = !id.isEqual(to: Command.everyActuator)
        answer(
            claim, failures.utf8.isEmpty ? .done : .failed, failures.utf8.isEmpty ? nil : failures,
            isOne ? members.first?.value : nil, members: isOne ? [] : members)
    }

    private func query(_ candidate: Candidate, _ id: String, _ ticket: OffsetLedger.Ticket) {
        let actuators = meant(id)
        onQuery?(actuators)
        let isOne = !id.isEqual(to: Command.everyActuator)
        let members = isOne ? [] : actuators.map { Reply.Member($0, .done($0.value)) }
        desk.send(makeReply(candidate.id, id, .done, nil, isOne ? actuators.first?.value : nil, members), ticket)
    }

    // MARK: Replies

    private func refuse(_ id: String, _ actuator: String?, _ refusal: Refusal, _ ticket: OffsetLedger.Ticket) {
        if refusal.isAnonymous, !strangers.admit(ticket.topic, refusal.reason) {
            offsets.settle(ticket)
            return
        }
        desk.send(makeReply(id, actuator, refusal.status, refusal.reason, nil), ticket)
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
            let ticket = claim.ticket
            claim.ticket = nil
            desk.send(first, ticket, claim)
            let repeats = claim.repeats
            claim.repeats = []
            for ticket in repeats { repeatReply(of: claim, ticket) }
        }
    }

    /// The most messages that wait for the reply to the first of their id.
    private static var mostRepeats: Int { 64 }

    private func repeated(_ claim: ClaimList.Claim, _ ticket: OffsetLedger.Ticket) {
        if !claim.reply.isEmpty {
            repeatReply(of: claim, ticket)
        } else if claim.repeats.count < Self.mostRepeats {
            claim.repeats.append(ticket)
        } else {
            let reason = "a command of this id is being carried out"
            refuse(claim.id, claim.actuator, Refusal(status: .duplicate, reason: reason), ticket)
        }
    }

    private func repeatReply(of claim: ClaimList.Claim, _ ticket: OffsetLedger.Ticket) {
        desk.send(
            Reply(
                id: claim.id, node: node, actuator: claim.actuator, status: .duplicate,
                reason: "a command of this id was answered before, and nothing was done again", value: nil,
                first: claim.reply, timestamp: loop.time.wallTime), ticket)
    }

    private func makeReply(
        _ id: String, _ actuator: String?, _ status: Status, _ reason: String?, _ value: Value?,
        _ members: [Reply.Member] = []
    ) -> Reply {
        let unit = value == nil ? nil : actuator.flatMap { admission.actuator($0)?.plan.unit }
        return Reply(
            id: id, node: node, actuator: actuator, status: status, reason: reason, value: value, unit: unit,
            members: members, timestamp: loop.time.wallTime)
    }
}
