import Actuators
import Platform
import Records

/// A well-formed command on its way to its actuators.
struct Candidate {
    let command: Command
    /// The command's own, or its place in the topic.
    let id: String
    let place: ClaimList.Place
    /// The message's, in milliseconds since 1970; `nil` when it has none.
    let timestamp: Int64?
    /// It waited in its partition when this node came to it.
    let isBacklog: Bool
}

/// Why a candidate is not carried out.
struct Refusal {
    let status: Status
    let reason: String
    /// Nobody knows who sent it: it need not be answered.
    var isAnonymous = false
    /// It is the clock's: the same message may be admitted later.
    var isPassing = false

    /// The same message at another time would not be refused so.
    var isOfTime: Bool { isPassing || status == .expired }
}

/// Decides whether a command is carried out: the one place that says what is checked, and in which order. The first
/// step that refuses answers, with a status and a reason of its own.
///
///  1. *Well-formed*: `CommandParser`. rejected
///  2. *Addressed*: this node has the actuators. rejected
///  3. *Signed*, where there are keys: `Keyring`. rejected
///  4. *Fresh*: not past `expires`, not older than `max_age`, not from the future. expired, or rejected where that cannot
///     be known: while the clock is not synchronised, of what has an `expires`, and of what was waiting when this node
///     came (a clock that stood still in a power cut takes old commands for new ones). Asked again when the claim is on the disk, and when the actuator's turn has come.
///     Not asked of a message that is read again (after a crash, say) and whose claim is known: that is step 5's.
///  5. *New*: the id was not seen before. duplicate. From here on it is remembered, whatever comes of the command, and so
///     it is where only this node's clock stood in the way. rejected when there is no room to remember it.
///  6. *Possible*: the actuators take the values. rejected
///  7. *In order*: nothing that was sent later for one of its actuators came before it: `Precedence`. preempted
///
/// Now the claim is brought to the disk (`ClaimStore`), then the actuator's queue is waited for, and when its turn has
/// come `Actuator.denial` goes on:
///
///  8. *Rate limit*. rejected
///  9. *Lease*: of a command with a higher priority. preempted
/// 10. *Interlock* and dead time. interlocked
/// 11. *Minimum times*, `min_on` and `min_off`. rejected
///
/// Then the output is driven and read back, and the reply is kept and sent. A query ends after the fourth step; `safe`
/// acts after the fifth, without waiting for the disk, and preempts what came before it and still waits.
final class Admission {
    /// How far a message's timestamp may lie ahead of this node's clock. More than that, and one of the two clocks is
    /// wrong: the age is then unknown, and an old command might pass for a new one.
    static var futureTolerance: Interval { .seconds(30) }

    /// Whether the wall clock can be trusted.
    var isClockSynchronised: () -> Bool = { true }
    let actuators: [Actuator]
    private let maxAge: Interval
    private let keys: Keyring?
    private let time: any TimeSource
    private var precedence: Precedence

    init(maxAge: Interval, keys: Keyring?, actuators: [Actuator], time: any TimeSource) {
        self.maxAge = maxAge
        self.keys = keys
        self.actuators = actuators
        self.time = time
        precedence = Precedence(actuators)
    }

    /// Whether a message may be answered whoever sent it.
    var isOpen: Bool { keys == nil }

    func actuator(_ id: String) -> Actuator? { actuators.first { sameBytes($0.id, id) } }

    /// Steps 2 to 4.
    func refusal(
        of candidate: Candidate, payload: UnsafeRawBufferPointer, signature: UnsafeRawBufferPointer?
    ) -> Refusal? {
        checkAddress(candidate.command) ?? checkSignature(candidate.command, payload, signature)
            ?? checkFreshness(candidate)
    }

    // A node answers "unknown" to a broadcast as well: who misspells a name must hear it.
    private func checkAddress(_ command: Command) -> Refusal? {
        var unknown: String?
        switch command.action {
        case .set, .group:
            for assignment in command.assignments where unknown == nil && actuator(assignment.actuator) == nil {
                unknown = assignment.actuator
            }
        case .safe(let id), .query(let id):
            if !id.isEqual(to: Command.everyActuator), actuator(id) == nil { unknown = id }
        }
        guard let unknown else { return nil }
        return Refusal(
            status: .rejected, reason: joined("unknown actuator \"", excerpt(unknown), "\""), isAnonymous: !isOpen)
    }

    private func checkSignature(
        _ command: Command, _ payload: UnsafeRawBufferPointer, _ signature: UnsafeRawBufferPointer?
    ) -> Refusal? {
        guard let keys else { return nil }
        let verdict = keys.verify(payload: payload, signature: signature)
        guard case .valid(let sender) = verdict else {
            return Refusal(status: .rejected, reason: verdict.reason ?? "", isAnonymous: true)
        }
        if case .query = command.action { return nil }
        // Whoever can write to the topic can repeat a signed message, with a timestamp of its own.
        if let objection = keys.objection(to: command, at: time.wallTime) {
            return Refusal(status: .rejected, reason: objection)
        }
        for assignment in command.assignments {
            if let objection = sender.objection(actuator: assignment.actuator, value: assignment.value) {
                return Refusal(status: .rejected, reason: objection)
            }
        }
        return nil
    }

    /// Step 4, and again whenever the command has waited.
    func checkFreshness(_ candidate: Candidate) -> Refusal? {
        guard let refusal = checkAge(candidate) else { return nil }
        // The safe value is not withheld because a clock is wrong.
        if case .safe = candidate.command.action, refusal.status != .expired { return nil }
        return refusal
    }

    private func checkAge(_ candidate: Candidate) -> Refusal? {
        let now = time.wallTime
        if let expires = candidate.command.expires {
            if !isClockSynchronised() {
                return Refusal(
                    status: .rejected, reason: "the command has an expires, and this node's clock is not synchronised",
                    isPassing: true)
            }
            if now >= expires {
                let late = seconds(now.milliseconds - expires.milliseconds)
                return Refusal(status: .expired, reason: joined("past its expires by ", late))
            }
        }
        if candidate.isBacklog, !isClockSynchronised() {
            return Refusal(
                status: .rejected,
                reason: "it may have waited in its topic, and without a synchronised clock its age is not known",
                isPassing: true)
        }
        guard let timestamp = candidate.timestamp, timestamp >= 0 else {
            if candidate.command.expires != nil { return nil }
            return Refusal(
                status: .rejected,
                reason: "the message has no timestamp and the command no expires: nobody knows how old it is")
        }
        // A timestamp is what somebody sent: it may be any number.
        let (age, overflow) = now.milliseconds.subtractingReportingOverflow(timestamp)
        if overflow || age < -Self.futureTolerance.milliseconds {
            return Refusal(
                status: .rejected,
                reason: joined(
                    "the message's timestamp ", decimal(timestamp), " is ahead of this node's clock (",
                    decimal(now.milliseconds), "): one of the two is wrong"), isPassing: true)
        }
        if age > maxAge.milliseconds {
            return Refusal(
                status: .expired, reason: joined(seconds(age), " old, max_age is ", seconds(maxAge.milliseconds)))
        }
        return nil
    }

    /// Until when its id must be remembered, in milliseconds since 1970: until its `expires`, whoever sends it again. Without
    /// one the same bytes in a new message would be new for ever, so it is for as long as the message itself is fresh, and no
    /// longer than an hour: after that its place in the topic tells it (`ClaimList.isPassed`).
    func memory(of candidate: Candidate) -> Int64 {
        if let expires = candidate.command.expires { return expires.milliseconds }
        guard let timestamp = candidate.timestamp, timestamp >= 0 else { return Int64.min }
        let (sum, overflow) = timestamp.addingReportingOverflow(maxAge.milliseconds)
        return min(overflow ? Int64.max : sum, (time.wallTime + Keyring.longestValidity).milliseconds)
    }

    /// Steps 6 and 7, with the orders that come of it.
    func orders(_ candidate: Candidate) -> Possibility {
        var members: [OrderGroup.Member] = []
        for assignment in candidate.command.assignments {
            guard let actuator = actuator(assignment.actuator) else { continue }
            guard let value = actuator.plan.domain.admit(assignment.value) else {
                return .refused(
                    Refusal(
                        status: .rejected,
                        reason: joined(
                            "value is ", excerpt(shown(assignment.value)), ", expected ",
                            actuator.plan.domain.description)))
            }
            let order = Order(
                value: value, hold: assignment.hold, command: candidate.id, priority: candidate.command.priority)
            members.append(OrderGroup.Member(actuator, order))
        }
        if let late = precedence.lateness(of: candidate.place, members) {
            return .refused(
                Refusal(
                    status: .preempted,
                    reason: joined("what was sent ", seconds(late), " later, to another partition, came before it")))
        }
        notePrecedence(candidate.place, isSafe: false) { actuator in members.contains { $0.actuator === actuator } }
        return .orders(members)
    }

    /// A command for these actuators was taken: older ones of other partitions come after it no more.
    func notePrecedence(_ place: ClaimList.Place, isSafe: Bool, where isMeant: (Actuator) -> Bool) {
        precedence.note(
            place, isSafe: isSafe, latest: (time.wallTime + Self.futureTolerance).milliseconds, where: isMeant)
    }

    enum Possibility {
        case orders([OrderGroup.Member])
        case refused(Refusal)
    }
}

/// Such as "45.5 s".
@inline(never)
private func seconds(_ milliseconds: Int64) -> String {
    joined(decimal(milliseconds / 1_000), ".", decimal(milliseconds % 1_000 / 100), " s")
}
