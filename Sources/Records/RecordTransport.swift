import Platform

/// Names a topic of the transport that made it.
public struct TopicID: Hashable, Sendable {
    public let index: Int
    public init(_ index: Int) { self.index = index }
}

/// Names a record that was handed over, in its delivery report.
public struct DeliveryToken: Hashable, Sendable {
    public let number: UInt
    public init(_ number: UInt) { self.number = number }
}

/// What became of a record that was offered to the transport.
public enum Offer: Equatable, Sendable {
    /// Taken: exactly one delivery report will follow.
    case taken
    /// No room now; offer it again when `onRoom` is called.
    case full
    /// Never to be taken as it is (too large, no such topic …), with the reason.
    case refused(String)
}

/// Where records go from the outbox: the Kafka producer, or a test's.
public protocol RecordTransport: AnyObject {
    /// Offers a record. The key and the id are copied; `payload` is not, and must stay where it is
    /// until the delivery report for `token`.
    /// - Parameter position: the record's place on the disk, which ascends and is never another record's; 0 as long
    ///   as it has none.
    func offer(
        topic: TopicID, key: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, id: UnsafeRawBufferPointer,
        position: Int64, token: DeliveryToken
    ) -> Offer

    /// Called once for each record taken; the failure is `nil` when the broker has acknowledged it.
    var onDelivery: ((DeliveryToken, DeliveryFailure?) -> Void)? { get set }
    /// Called when, after an offer was answered `full`, there may be room again.
    var onRoom: (() -> Void)? { get set }
}

/// Why a record was not acknowledged.
public struct DeliveryFailure: Error, Equatable, Sendable {
    /// The library's name of the error, such as `_MSG_TIMED_OUT`.
    public let name: String
    /// In words.
    public let reason: String
    /// Whether sending it again can help.
    public let isRetriable: Bool
    /// Whether the broker may have it all the same: it was sent, and no answer came.
    public let isDoubtful: Bool

    public init(name: String, reason: String, isRetriable: Bool, isDoubtful: Bool = false) {
        self.name = name
        self.reason = reason
        self.isRetriable = isRetriable
        self.isDoubtful = isDoubtful
    }
}

/// How far an outbox had come with the last transaction that was committed.
public struct CommittedPosition: Equatable, Sendable {
    /// What the outbox called the position when it offered the records.
    public let number: Int64
    /// Which outbox that was, if the broker kept it; empty if not.
    public let outbox: String

    public init(number: Int64, outbox: String) {
        self.number = number
        self.outbox = outbox
    }

    public static func == (left: CommittedPosition, right: CommittedPosition) -> Bool {
        left.number == right.number && sameBytes(left.outbox, right.outbox)
    }
}

/// A transport that commits the outbox's position together with the records, in one transaction: then not even a power cut
/// between the delivery and the outbox's cleanup repeats a record.
public protocol PositionedTransport: RecordTransport {
    /// Called once, before the first record is taken, with what was committed last; `nil` when nothing ever was. Only where
    /// delivery is exactly once.
    var onPosition: ((CommittedPosition?) -> Void)? { get set }
    /// Names the outbox in what is committed, so that another one's positions are not taken for its own. At most 200 bytes.
    var outboxName: String { get set }
}
