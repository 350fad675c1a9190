import Platform
import Records

/// Carries out several orders, each for another actuator: all of them or none, as far as the hardware allows.
///
/// Nothing moves unless all may: an actuator that is busy, or that forbids its order, refuses them all. Then the orders
/// for a safe value go first, together, and the others when those are done; so one actuator of an interlock can take over
/// from another. When an order fails all the same, the actuators that were switched on, and that nothing else has taken
/// since, go to their safe values: a rollback never switches anything on.
public final class OrderGroup {
    /// An order of the group, and what became of it.
    public final class Member {
        public let actuator: Actuator
        public let order: Order
        /// `nil` for one that was not begun.
        public fileprivate(set) var outcome: Outcome?
        /// Was done, and then undone.
        public fileprivate(set) var isRolledBack = false

        public init(_ actuator: Actuator, _ order: Order) {
            self.actuator = actuator
            self.order = order
        }

        fileprivate var isForSafeValue: Bool { sameValue(order.value, actuator.plan.safe) }
    }

    public let members: [Member]
    private let id: String
    private let completion: (OrderGroup) -> Void
    private let lateness: () -> String?
    private var open = 0
    /// What kept the group from being done; `nil` when all were.
    public private(set) var obstacle: (actuator: String, outcome: Outcome)?

    /// - Parameters:
    ///   - id: of the command behind it.
    ///   - lateness: as for `Actuator.perform`.
    ///   - completion: called once, with the outcomes.
    public init(
        _ members: [Member], id: String, lateness: @escaping () -> String?,
        completion: @escaping (OrderGroup) -> Void
    ) {
        self.members = members
        self.id = id
        self.lateness = lateness
        self.completion = completion
    }

    /// Begins; the group lives until it is done.
    public func perform() {
        if let denial = denial() {
            obstacle = denial
            completion(self)
            return
        }
        perform(members.filter { $0.isForSafeValue }) { [self] in
            perform(members.filter { !$0.isForSafeValue }) { [self] in completion(self) }
        }
    }

    /// Why nothing of it is begun.
    private func denial() -> (actuator: String, outcome: Outcome)? {
        let yielding = members.filter { $0.isForSafeValue }.map { $0.actuator }
        for member in members {
            let actuator = member.actuator
            if actuator.isStopping {
                return (actuator.id, .preempted(reason: ChangeCause.stop.description, value: actuator.value))
            }
            if actuator.isBusy {
                return (actuator.id, .refused(reason: joined("\"", actuator.id, "\" is busy with another command")))
            }
            if let denial = actuator.denial(of: member.order, yielding: yielding) { return (actuator.id, denial) }
            if member.isForSafeValue { continue }
            for other in members where other !== member && !other.isForSafeValue {
                if actuator.rivals.contains(where: { $0.actuator === other.actuator }) {
                    let reason = joined("\"", actuator.id, "\" and \"", other.actuator.id, "\" exclude each other")
                    return (actuator.id, .interlocked(reason: reason))
                }
            }
        }
        return nil
    }

    private func perform(_ part: [Member], then next: @escaping () -> Void) {
        // One more than there are, so that no early answer ends it.
        open = part.count + 1
        for member in part {
            member.actuator.perform(member.order, lateness: lateness) { [self] outcome in
                member.outcome = outcome
                if case .done = outcome {} else if obstacle == nil { obstacle = (member.actuator.id, outcome) }
                close(next)
            }
        }
        close(next)
    }

    private func close(_ next: () -> Void) {
        open -= 1
        if open > 0 { return }
        if obstacle == nil { next() } else { rollBack() }
    }

    private func rollBack() {
        var done: [Member] = []
        for member in members where !member.isForSafeValue {
            if case .done = member.outcome { done.append(member) }
        }
        open = done.count + 1
        for member in done {
            guard let holder = member.actuator.holder, sameBytes(holder, member.order.command) else {
                // What drives it now was admitted after this, and is answered by itself.
                let reason = "the group could not be done, and this was driven by something else since"
                member.outcome = .preempted(reason: reason, value: member.actuator.value)
                finish()
                continue
            }
            member.isRolledBack = true
            member.actuator.makeSafe(.rollback(id: id)) { [self] outcome in
                member.outcome = outcome
                finish()
            }
        }
        finish()
    }

    private func finish() {
        open -= 1
        if open == 0 { completion(self) }
    }
}
