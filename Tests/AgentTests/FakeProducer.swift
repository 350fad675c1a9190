import Kafka
import Platform
import Records

/// Takes everything. At its end it reports on some of it.
final class FakeProducer: KafkaProducer {
    struct Taken {
        let token: DeliveryToken
        let id: String
        let payload: UnsafeRawBufferPointer
        let copy: [UInt8]
    }

    var onDelivery: ((DeliveryToken, DeliveryFailure?) -> Void)?
    var onRoom: (() -> Void)?
    var onPosition: ((CommittedPosition?) -> Void)?
    var onFatal: ((KafkaError) -> Void)?
    var outboxName = ""
    var taken: [Taken] = []
    /// What it reports on as failed, and as delivered, when it is closed.
    var failing: [Int] = []
    var succeeding: [Int] = []
    /// What it says is left.
    var left = 0
    private var isOpen = true

    func topic(named name: String) throws(KafkaError) -> TopicID { TopicID(0) }
    func flush(within limit: Interval, _ done: @escaping (Int) -> Void) { done(0) }
    func hasten() {}

    func offer(
        topic: TopicID, key: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, id: UnsafeRawBufferPointer,
        position: Int64, token: DeliveryToken
    ) -> Offer {
        guard isOpen else { return .full }
        taken.append(
            Taken(
                token: token, id: String(decoding: id, as: UTF8.self), payload: payload, copy: Array(payload)))
        return .taken
    }

    func close() -> Int {
        guard isOpen else { return left }
        isOpen = false
        for index in succeeding { onDelivery?(taken[index].token, nil) }
        let purged = DeliveryFailure(name: "_PURGE_INFLIGHT", reason: "purged", isRetriable: true)
        for index in failing { onDelivery?(taken[index].token, purged) }
        return left
    }

    func retire(on queue: any WorkQueue, _ done: @escaping (Int) -> Void) { done(close()) }
}
