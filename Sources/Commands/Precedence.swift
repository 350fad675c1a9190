import Actuators
import Platform

/// Which messages came last for each actuator, by their timestamps: brokers keep the order within a partition only, and
/// what waits in several of them comes in any order.
///
/// A command from another partition that is older than what an actuator was told before does not move it away from its
/// safe value. Senders' clocks may differ, so nothing else is withheld for it.
struct Precedence {
    private struct Mark {
        let place: ClaimList.Place
        let isSafe: Bool
    }

    private let actuators: [Actuator]
    private var marks: [Mark?]

    init(_ actuators: [Actuator]) {
        self.actuators = actuators
        marks = actuators.map { _ in nil }
    }

    /// By how many milliseconds something later for one of these actuators was sent; `nil` when nothing was.
    func lateness(of place: ClaimList.Place, _ members: [OrderGroup.Member]) -> Int64? {
        // Without a timestamp it has an `expires`, which is all that is known of its age.
        if place.timestamp < 0 { return nil }
        for (index, actuator) in actuators.enumerated() {
            guard let mark = marks[index], !mark.place.isBeside(place),
                members.contains(where: { $0.actuator === actuator && $0.order.value != actuator.plan.safe })
            else { continue }
            let ahead = mark.place.timestamp - place.timestamp
            if ahead > 0 || ahead == 0 && mark.isSafe { return ahead }
        }
        return nil
    }

    /// A command for actuators was taken, this one or an earlier start's.
    /// - Parameter latest: no timestamp is taken for a later one, in milliseconds since 1970: who sends `safe` with one of the
    ///   far future must not shut out all others.
    mutating func note(
        _ place: ClaimList.Place, isSafe: Bool, latest: Int64, where isMeant: (Actuator) -> Bool
    ) {
        let time = place.timestamp < 0 ? latest : min(place.timestamp, latest)
        for (index, actuator) in actuators.enumerated() where isMeant(actuator) {
            if let mark = marks[index], mark.place.timestamp > time { continue }
            marks[index] = Mark(
                place: ClaimList.Place(
                    topic: place.topic, partition: place.partition, offset: place.offset, timestamp: time),
                isSafe: isSafe)
        }
    }
}
