import Platform
import Records

/// An actuator that must be at its safe value while another is not. The owner of both sees to it that neither goes
/// before the other.
struct Rival {
    unowned(unsafe) let actuator: Actuator
    let deadTime: Interval
}

/// What an order is held against when its turn has come, in this order: the rate limit, the lease, the interlock,
/// `min_on` and `min_off`.
extension Actuator {
    /// Why `order` is not to be begun now; `nil` when nothing forbids it.
    /// - Parameter yielding: actuators that will be at their safe values before it is begun: a group's.
    public func denial(of order: Order, yielding: [Actuator] = []) -> Outcome? {
        let now = loop.time.now
        let isSafeValue = sameValue(order.value, plan.safe)
        if let held, !isSafeValue { return .preempted(reason: held.description, value: value) }
        if !isSafeValue, let limit = plan.restraints.rateLimit, let wait = meter?.wait(at: now), wait > .zero {
            return .refused(
                reason: joined("rate limit of ", limit.description, ": again in ", milliseconds(wait)))
        }
        if let lease, order.priority < lease.priority {
            return .preempted(
                reason: joined(
                    "command ", lease.command, " of priority ", decimal(lease.priority), " has it for another ",
                    milliseconds(lease.until - now)),
                value: value)
        }
        if isSafeValue { return earlyEnd(now) }
        for rival in rivals {
            if yielding.contains(where: { $0 === rival.actuator }), rival.deadTime <= .zero { continue }
            if let denial = rival.denial(at: now) { return denial }
        }
        if let minOn = plan.restraints.minOn, let hold = order.hold, hold < minOn {
            return .refused(reason: joined("for is shorter than min_on, ", milliseconds(minOn)))
        }
        if let minOff = plan.restraints.minOff, let safeSince, now - safeSince < minOff {
            return .refused(reason: joined("min_off: again in ", milliseconds(minOff - (now - safeSince))))
        }
        return nil
    }

    private func earlyEnd(_ now: Instant) -> Outcome? {
        guard let minOn = plan.restraints.minOn, let left, backoff == nil, now - left < minOn else { return nil }
        return .refused(reason: joined("min_on: again in ", milliseconds(minOn - (now - left))))
    }

    /// Ties each actuator to those that its plan, or theirs, names.
    static func tie(_ actuators: [Actuator]) {
        for actuator in actuators {
            for other in actuators where other !== actuator {
                let isNamed = contains(actuator.plan.restraints.interlock, other.id)
                if !isNamed, !contains(other.plan.restraints.interlock, actuator.id) { continue }
                let deadTime = max(actuator.plan.restraints.deadTime, other.plan.restraints.deadTime)
                actuator.rivals.append(Rival(actuator: other, deadTime: deadTime))
            }
        }
    }
}

extension Rival {
    fileprivate func denial(at now: Instant) -> Outcome? {
        guard let safeSince = actuator.safeSince else {
            return .interlocked(
                reason: joined("\"", actuator.id, "\" is ", shown(actuator.value), ", not at its safe value"))
        }
        let rest = deadTime - (now - safeSince)
        if rest <= .zero { return nil }
        return .interlocked(
            reason: joined("dead_time after \"", actuator.id, "\": again in ", milliseconds(rest)))
    }
}

@inline(never)
private func milliseconds(_ interval: Interval) -> String { joined(decimal(interval.millisecondsRoundedUp), " ms") }
