import Actuators
import Platform
import Records

extension Outcome {
    /// As a reply says it.
    var words: (status: Status, reason: String?, value: Value?) {
        switch self {
        case .done(let found): (.done, nil, found)
        case .failed(let why, let found): (.failed, why, found)
        case .preempted(let why, let found): (.preempted, why, found)
        case .refused(let why): (.rejected, why, nil)
        case .interlocked(let why): (.interlocked, why, nil)
        case .expired(let why): (.expired, why, nil)
        }
    }
}

extension Reply.Member {
    init(_ actuator: Actuator, _ outcome: Outcome) {
        let (status, reason, value) = outcome.words
        self.init(actuator: actuator.id, status: status, reason: reason, value: value, unit: actuator.plan.unit)
    }
}

extension OrderGroup {
    /// What became of each.
    var replyMembers: [Reply.Member] {
        var replies: [Reply.Member] = []
        for member in members {
            guard let outcome = member.outcome else {
                replies.append(Reply.Member(member.actuator, .refused(reason: "not begun")))
                continue
            }
            guard member.isRolledBack else {
                replies.append(Reply.Member(member.actuator, outcome))
                continue
            }
            let (_, reason, value) = outcome.words
            let text = reason.map { joined("rolled back, but ", $0) } ?? "rolled back to its safe value"
            replies.append(Reply.Member(member.actuator, .failed(reason: text, value: value)))
        }
        return replies
    }
}
