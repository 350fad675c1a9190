import Platform
import Records

/// Keeps the pointers that it is given, and what was there at the time.
final class FakeTransport: RecordTransport {
    struct Taken {
        let topic: TopicID
        let key: [UInt8]
        let id: String
        let token: DeliveryToken
        let position: Int64
        let payload: UnsafeRawBufferPointer
        let copy: [UInt8]

        /// Whether the payload still stands where it was offered.
        var isIntact: Bool { payload.elementsEqual(copy) }
        var text: String { String(decoding: copy, as: UTF8.self) }
    }

    var onDelivery: ((DeliveryToken, DeliveryFailure?) -> Void)?
    var onRoom: (() -> Void)?
    /// Records that it takes before it is full.
    var room = Int.max
    var refusal: String?
    /// Called within an offer that is taken.
    var during: ((Taken) -> Void)?
    /// Taken and not reported.
    var held: [Taken] = []
    /// The text of every record taken, in order.
    var log: [String] = []
    var offers = 0

    func offer(
        topic: TopicID, key: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, id: UnsafeRawBufferPointer,
        position: Int64, token: DeliveryToken
    ) -> Offer {
        offers += 1
        if let refusal { return .refused(refusal) }
        if held.count >= room { return .full }
        let taken = Taken(
            topic: topic, key: Array(key), id: String(decoding: id, as: UTF8.self), token: token, position: position,
            payload: payload,
            copy: Array(payload))
        held.append(taken)
        log.append(taken.text)
        during?(taken)
        return .taken
    }

    /// Reports on what it holds at `index`.
    @discardableResult
    func deliver(_ index: Int = 0, _ failure: DeliveryFailure? = nil) -> Taken {
        let taken = held.remove(at: index)
        onDelivery?(taken.token, failure)
        return taken
    }

    func deliverAll() { while !held.isEmpty { deliver() } }
}

extension DeliveryFailure {
    static let timedOut = DeliveryFailure(name: "_MSG_TIMED_OUT", reason: "Local: Message timed out", isRetriable: true)
    static let tooLarge = DeliveryFailure(name: "MSG_SIZE_TOO_LARGE", reason: "Broker: too large", isRetriable: false)
}
