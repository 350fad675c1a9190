import Platform
import Records

@testable import Kafka

/// A transactional producer, the payloads it was given, and what was reported.
final class Sender {
    let producer: TransactionalProducer
    private(set) var acknowledged: [UInt] = []
    private(set) var failures: [UInt: DeliveryFailure] = [:]
    private(set) var reports: [UInt: Int] = [:]
    private(set) var positions: [CommittedPosition?] = []
    private(set) var fatal: [KafkaError] = []
    private(set) var rooms = 0
    /// What has not been acknowledged, in order: as an outbox, it is offered again.
    private(set) var waiting: [Entry] = []
    private var payloads: [UInt: (memory: UnsafeMutableRawBufferPointer, entry: Entry)] = [:]
    private var next: UInt = 0
    private var sent = 0

    struct Entry {
        let number: Int
        let text: String
        let position: Int64
    }
    private let topic: TopicID

    init(
        _ fixture: Fixture, topic: String, settings: DeliverySettings = .often,
        doubt: TransactionalProducer.Doubt? = nil,
        outbox: String = "box", _ more: KeyValuePairs<String, String> = [:]
    ) throws {
        producer = try TransactionalProducer(
            name: "kedge-\(fixture.unique)", identity: .init(client: "kedge-\(fixture.unique)", topic: topic),
            settings: settings,
            kafka: KafkaSettings(
                producer: fixture.properties(["linger.ms": "5"]) + fixture.properties(more),
                consumer: fixture.consumerProperties()),
            doubt: doubt, loop: fixture.loop, log: fixture.log)
        self.topic = try producer.topic(named: topic)
        producer.outboxName = outbox
        producer.onPosition = { [unowned self] in positions.append($0) }
        producer.onFatal = { [unowned self] in fatal.append($0) }
        producer.onRoom = { [unowned self] in
            rooms += 1
            offerWaiting()
        }
        producer.onDelivery = { [unowned self] token, failure in
            reports[token.number, default: 0] += 1
            let payload = payloads.removeValue(forKey: token.number)
            payload?.memory.deallocate()
            if let failure {
                failures[token.number] = failure
                if failure.isRetriable, let entry = payload?.entry {
                    // Before all that came after it.
                    waiting.insert(entry, at: waiting.firstIndex { $0.number > entry.number } ?? waiting.count)
                }
            } else {
                acknowledged.append(token.number)
            }
        }
    }

    deinit {
        producer.onDelivery = nil
        producer.close()
        for payload in payloads.values { payload.memory.deallocate() }
    }

    func send(_ text: String, position: Int64 = 0) {
        waiting.append(Entry(number: sent, text: text, position: position))
        sent += 1
        offerWaiting()
    }

    private func offerWaiting() {
        while let first = waiting.first {
            guard offer(first) == .taken else { return }
            waiting.removeFirst()
        }
    }

    func offer(_ text: String) -> Offer { offer(Entry(number: -1, text: text, position: 0)) }

    private func offer(_ entry: Entry) -> Offer {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: entry.text.utf8.count, alignment: 1)
        memory.copyBytes(from: entry.text.utf8)
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        let answer = producer.offer(
            topic: topic, key: nothing, payload: UnsafeRawBufferPointer(memory), id: nothing,
            position: entry.position, token: DeliveryToken(next))
        if answer == .taken {
            payloads[next] = (memory, entry)
            next += 1
        } else {
            memory.deallocate()
        }
        return answer
    }
}

extension DeliverySettings {
    static let often = DeliverySettings(mode: .exactlyOnce, commitEvery: .milliseconds(20))
}
