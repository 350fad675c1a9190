import Commands
import Kafka
import Platform
import Records

/// Sends commands and picks their replies out of the topic of replies: what `kedge send` and the demonstration do.
final class CommandExchange {
    struct Reply {
        /// As it was received.
        let text: String
        /// Who answered.
        let node: String
        /// From the command's handing over to here.
        let after: Interval
        let isDone: Bool
    }

    /// A command, and what becomes of it.
    final class Pending {
        let id: String
        fileprivate let payload: [UInt8]
        fileprivate let signature: [UInt8]
        /// How many more nodes are to answer.
        fileprivate(set) var missing: Int
        fileprivate let onReply: (Reply) -> Void
        /// When the sender gives it up; the sender's business.
        var deadline = Instant(nanoseconds: .max)
        fileprivate var sent: Instant?
        fileprivate var nodes: [String] = []

        fileprivate init(
            id: String, payload: [UInt8], signature: [UInt8], nodes: Int, onReply: @escaping (Reply) -> Void
        ) {
            self.id = id
            self.payload = payload
            self.signature = signature
            missing = nodes
            self.onReply = onReply
        }
    }

    /// What it waits for, in words.
    private(set) var progress = "the topic of replies was not found"
    /// Commands that are not answered by as many nodes as they should be.
    private(set) var waiting: [Pending] = []

    private let loop: any Loop
    private let log: Log
    private let producer: Producer
    private let watcher: Watcher
    private let topic: TopicID
    private let topicName: String
    private var isReady = false

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
        watcher = try Watcher(
            name: "kedge-send", topic: replies, from: .end, properties: settings.consumer, loop: loop, log: log)
        watcher.onReady = { [unowned(unsafe) self] in
            isReady = true
            transmit()
        }
        watcher.onMessage = { [unowned(unsafe) self] message in receive(message) }
        producer.onRoom = { [unowned(unsafe) self] in transmit() }
        producer.onDelivery = { [unowned(unsafe) self] _, failure in
            if let failure { progress = "the command did not reach \(topicName): \(failure.reason)" }
        }
    }

    /// Sends a command as soon as its reply cannot be missed any more.
    /// - Parameters:
    ///   - signature: the value of the header `sig`; an empty one sends none.
    ///   - nodes: how many are to answer.
    ///   - onReply: called for the reply of each node; `missing` tells how many are to follow.
    @discardableResult
    func send(
        id: String, payload: [UInt8], signature: [UInt8] = [], nodes: Int = 1, onReply: @escaping (Reply) -> Void
    ) -> Pending {
        let command = Pending(id: id, payload: payload, signature: signature, nodes: nodes, onReply: onReply)
        waiting.append(command)
        if isReady { transmit() }
        return command
    }

    /// Does not wait for the command any longer.
    func forget(_ command: Pending) { waiting.removeAll { $0 === command } }

    func close() {
        producer.onDelivery = nil
        watcher.close()
        producer.close()
    }

    private func transmit() {
        guard isReady else { return }
        for command in waiting where command.sent == nil {
            let offer = Array(command.id.utf8).withUnsafeBytes { key in
                command.payload.withUnsafeBytes { payload in
                    command.signature.withUnsafeBytes { signature in
                        producer.offer(
                            command: payload, topic: topic, key: key, signature: signature, token: DeliveryToken(1))
                    }
                }
            }
            switch offer {
            case .taken:
                command.sent = loop.time.now
                progress = "the command is on \(topicName), nobody has answered"
            case .full:
                progress = "\(topicName) does not take the command yet"
                return
            case .refused(let reason): progress = "the command is not to be sent: \(reason)"
            }
        }
    }

    /// Replies carry the command's id as their key.
    private func receive(_ message: Message) {
        guard let command = waiting.first(where: { message.key.elementsEqual($0.id.utf8) }), let sent = command.sent,
            let reply = ReceivedReply(message.payload)
        else { return }
        // What a node says twice is one answer.
        if contains(command.nodes, reply.node) { return }
        command.nodes.append(reply.node)
        command.missing -= 1
        if command.missing == 0 { forget(command) }
        let text = String(decoding: message.payload, as: UTF8.self)
        command.onReply(
            Reply(text: text, node: reply.node, after: loop.time.now - sent, isDone: reply.isDone))
    }
}
