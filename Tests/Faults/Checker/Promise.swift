/// How an agent is set up.
public struct Mode: Equatable, Sendable, CustomStringConvertible {
    public enum Durability: String, CaseIterable, Sendable { case memory, spill, always }
    public enum Delivery: String, CaseIterable, Sendable {
        case atLeastOnce = "at-least-once"
        case exactlyOnce = "exactly-once"
    }

    public var durability: Durability
    public var delivery: Delivery

    public init(_ durability: Durability, _ delivery: Delivery) {
        self.durability = durability
        self.delivery = delivery
    }

    /// kedge refuses the other: what is sent before it has a place on the disk could come twice.
    public var isPossible: Bool { durability != .spill || delivery != .exactlyOnce }

    public var description: String { "\(durability.rawValue), \(delivery.rawValue)" }
}

/// What is done to the agent in a scenario.
public struct Attack: OptionSet, Sendable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// The process ends without notice.
    public static let kill = Attack(rawValue: 1)
    /// The broker does not answer for a while.
    public static let outage = Attack(rawValue: 2)
    /// The process is told to end while the broker does not answer.
    public static let stopInOutage = Attack(rawValue: 4)
}

/// The promises, all in this place: what a mode keeps under an attack. Order per key is kept always, and what is lost is
/// never more than the end of a boot.
public struct Promise: Equatable, Sendable {
    /// Whether the end of a boot may be lost; its records are known only because later ones of other keys arrived.
    public var allowsLostEnd: Bool
    /// How long before a kill the last sample was taken that arrived, in milliseconds; `nil` where nothing bounds it.
    public var tail: Int?
    public var allowsDuplicates: Bool

    /// - Parameters:
    ///   - linger: after which time a record is on its way, commits included, in milliseconds.
    ///   - spill: after which time it is on the disk with `spill`.
    public init(_ mode: Mode, under attack: Attack, linger: Int, spill: Int) {
        // A machine that is busy with other things samples, stores and sends late.
        let slack = 1_500
        allowsDuplicates = mode.delivery == .atLeastOnce
        let isUnsent = attack.contains(.outage)
        switch mode.durability {
        case .always:
            allowsLostEnd = false
            tail = slack + linger
        case .spill:
            allowsLostEnd = attack.contains(.kill)
            tail = slack + linger + (isUnsent ? spill : 0)
        case .memory:
            allowsLostEnd = attack.contains(.kill) || attack.contains(.stopInOutage)
            tail = isUnsent ? nil : slack + linger
        }
    }

    /// What of it an account breaks, in words.
    /// - Parameter tail: the longest time between the last sample of a boot that arrived and its kill, in milliseconds.
    public func broken(by account: Ledger.Account, tail: Int) -> [String] {
        var breaches: [String] = []
        if account.sent == 0 { breaches.append("nothing was sent") }
        if account.lost > 0 && !allowsLostEnd {
            breaches.append("\(account.lost) lost")
        } else if account.holes > 0 {
            breaches.append("\(account.holes) lost before records that arrived")
        }
        if let limit = self.tail, tail > limit {
            breaches.append("nothing arrived of the last \(tail) ms before a kill; \(limit) at most are promised")
        }
        if account.duplicates > 0 && !allowsDuplicates { breaches.append("\(account.duplicates) duplicates") }
        if account.disorders > 0 { breaches.append("\(account.disorders) out of order") }
        return breaches
    }
}
