import Actuators
import Platform
import Records

/// A well-formed command on its way to its actuator.
struct Candidate {
    let command: Command
    /// The command's own, or its place in the topic.
    let id: String
    /// The message's, in milliseconds since 1970; `nil` when it has none.
    let timestamp: Int64?
}

/// Why a candidate is not carried out.
struct Refusal {
    let status: Status
    let reason: String
    /// A duplicate's: the value of the first reply.
    var value: Value?
    /// The id is remembered, and waits for this answer.
    var isClaimed = false
}

enum Decision {
    case act(Actuator, Order)
    case refuse(Refusal)
}

/// Decides whether a command is carried out. The one place that says what is checked, and in which order.
///
/// Before it comes the parser (well-formed), after it the actuator (room to wait, the stop, the hardware).
final class Admission {
    /// In this order; the first that refuses answers.
    enum Step: CaseIterable {
        /// This node has the actuator. A node answers "unknown" to a broadcast as well: who misspells a name must hear it.
        case addressed
        /// Not past `expires`, not older than `max_age`, not from the future.
        case fresh
        // The signature goes here: before anything that remembers or acts.
        /// The id was not seen before. From here on it is remembered, whatever comes of the command.
        case unseen
        // The rate limit, interlocks, min_on and min_off go here.
        /// The actuator takes the value.
        case possible
    }

    /// How far a message's timestamp may lie ahead of this node's clock. More than that, and one of the two clocks is
    /// wrong: the age is then unknown, and an old command might pass for a new one.
    static var futureTolerance: Interval { .seconds(30) }

    /// Whether the wall clock can be trusted.
    var isClockSynchronised: () -> Bool = { true }
    let recent: RecentIDs
    private let maxAge: Interval
    private let actuators: [Actuator]
    private let time: any TimeSource

    init(maxAge: Interval, capacity: Int, actuators: [Actuator], time: any TimeSource) {
        self.maxAge = maxAge
        self.actuators = actuators
        self.time = time
        recent = RecentIDs(capacity: capacity)
    }

    func decide(_ candidate: Candidate) -> Decision {
        let command = candidate.command
        let actuator = actuators.first { sameBytes($0.id, command.actuator) }
        let value = actuator?.plan.domain.admit(command.value)
        var isClaimed = false
        for step in Step.allCases {
            if var refusal = check(step, candidate, actuator, value) {
                refusal.isClaimed = isClaimed
                return .refuse(refusal)
            }
            if step == .unseen { isClaimed = true }
        }
        guard let actuator, let value else {
            return .refuse(Refusal(status: .rejected, reason: "no actuator for the value"))
        }
        return .act(actuator, Order(value: value, hold: command.hold, command: candidate.id))
    }

    private func check(_ step: Step, _ candidate: Candidate, _ actuator: Actuator?, _ value: Value?) -> Refusal? {
        switch step {
        case .addressed:
            if actuator != nil { return nil }
            return Refusal(
                status: .rejected, reason: joined("unknown actuator \"", excerpt(candidate.command.actuator), "\""))
        case .fresh: return checkAge(candidate)
        case .unseen: return checkRepetition(candidate.id)
        case .possible:
            guard let actuator, value == nil else { return nil }
            return Refusal(
                status: .rejected,
                reason: joined(
                    "value is ", excerpt(shown(candidate.command.value)), ", expected ",
                    actuator.plan.domain.description))
        }
    }

    private func checkAge(_ candidate: Candidate) -> Refusal? {
        let now = time.wallTime
        if let expires = candidate.command.expires {
            if !isClockSynchronised() {
                return Refusal(
                    status: .rejected, reason: "the command has an expires, and this node's clock is not synchronised")
            }
            if now >= expires {
                let late = seconds(now.milliseconds - expires.milliseconds)
                return Refusal(status: .expired, reason: joined("past its expires by ", late))
            }
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
                    decimal(now.milliseconds), "): one of the two is wrong"))
        }
        if age > maxAge.milliseconds {
            return Refusal(
                status: .expired, reason: joined(seconds(age), " old, max_age is ", seconds(maxAge.milliseconds)))
        }
        return nil
    }

    private func checkRepetition(_ id: String) -> Refusal? {
        switch recent.claim(id) {
        case .new: return nil
        case .inProgress:
            return Refusal(status: .duplicate, reason: "the first command of this id is still being carried out")
        case .answered(let answer):
            return Refusal(
                status: .duplicate,
                reason: joined("the first command of this id was answered ", string(answer.status.name)),
                value: answer.value)
        }
    }
}

/// Such as "45.5 s".
@inline(never)
private func seconds(_ milliseconds: Int64) -> String {
    joined(decimal(milliseconds / 1_000), ".", decimal(milliseconds % 1_000 / 100), " s")
}
