import Kafka
import Outbox
import Platform
import Records

/// Sends commands and picks their replies out of the topic of replies: what `kedge send` and the demonstration do.
final class CommandExchange {
    struct Reply {
        /// As it was received.
        let text: String
        /// From the command's handing over to here.
        let after: Interval
        let isDone: Bool
    }

    /// What it waits for, in words.
    private(set) var progress = "the topic of replies was not found"

    private let loop: any Loop
    private let log: Log
    private let producer: Producer
    private let watcher: Watcher
    private let outbox: Outbox
    private let topic: TopicID
    private let topicName: String
    private var isReady = false
    private var waiting: [Pending] = []

    private struct Pending {
        let id: [UInt8]
        let payload: [UInt8]
        let onReply: (Reply) -> Void
        var sent: Instant?
    }

    init(
        settings: KafkaSettings, topic: String, replies: String, loop: any Loop, log: Log
    ) throws(KafkaError) {
        self.loop = loop
        self.log = log
        topicName = topic
        // A command waits for no other: it goes at once.
        let impatient = settings.producer + [Property(name: "linger.ms", value: "0")]
        producer = try Producer(name: "kedge-send", properties: impatient, loop: loop, log: log)
        self.topic = try producer.topic(named: topic)
        outbox = Outbox(
            settings: OutboxSettings(), node: "kedge-send", boot: "0", transport: producer, loop: loop, log: log)
        watcher = try Watcher(
            name: "kedge-send", topic: replies, from: .end, properties: settings.consumer, loop: loop, log: log)
        watcher.onReady = { [unowned(unsafe) self] in
            isReady = true
            for index in waiting.indices { transmit(index) }
        }
        watcher.onMessage = { [unowned(unsafe) self] message in receive(message) }
    }

    /// Sends a command as soon as its reply cannot be missed any more.
    /// - Parameter onReply: called once for the reply with the command's id.
    func send(id: String, payload: [UInt8], onReply: @escaping (Reply) -> Void) {
        waiting.append(Pending(id: Array(id.utf8), payload: payload, onReply: onReply))
        if isReady { transmit(waiting.count - 1) }
    }

    func close() {
        watcher.close()
        producer.close()
    }

    private func transmit(_ index: Int) {
        let command = waiting[index]
        waiting[index].sent = loop.time.now
        progress = "the command is on \(topicName), nobody has answered"
        let isTaken = command.id.withUnsafeBytes { key in
            outbox.append(topic: topic, key: key, maximumBytes: command.payload.count) { writer in
                command.payload.withUnsafeBytes { writer.write($0) }
            }
        }
        if !isTaken { progress = "the command is too large" }
    }

    /// Replies carry the command's id as their key.
    private func receive(_ message: Message) {
        guard let index = waiting.firstIndex(where: { $0.id.elementsEqual(message.key) }),
            let sent = waiting[index].sent
        else { return }
        let command = waiting.remove(at: index)
        let text = String(decoding: message.payload, as: UTF8.self)
        command.onReply(
            Reply(
                text: text, after: loop.time.now - sent, isDone: message.payload.contains(text: "\"status\":\"done\"")))
    }
}

extension UnsafeRawBufferPointer {
    /// Whether `text` stands somewhere in these bytes.
    fileprivate func contains(text: StaticString) -> Bool {
        let length = text.utf8CodeUnitCount
        guard count >= length else { return false }
        return text.withUTF8Buffer { wanted in
            for start in 0...(count - length) where self[start..<(start + length)].elementsEqual(wanted) { return true }
            return false
        }
    }
}
