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
        fileprivate var token = DeliveryToken(0)
        fileprivate var isOnTopic = false
        /// Why it is on no topic, in words.
        fileprivate var failure: String?
        /// Who has answered.
        fileprivate(set) var nodes: [String] = []

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

    /// Commands that are not answered by as many nodes as they should be.
    private(set) var waiting: [Pending] = []

    private let loop: any Loop
    private let log: Log
    private let producer: Producer
    private let watcher: Watcher
    private let topic: TopicID
    private let topicName: String
    private var isReady = false
    private var taken: UInt = 0

    /// Of all commands: Kafka keeps the order within a partition only, and the key decides on that.
    private static var key: StaticString { "commands" }

    /// - Parameter timeout: how long a command is waited for. Soon before that is over librdkafka gives up what has not
    ///   reached a broker, so that a command is not carried out when its sender has been told that it was not.
    init(
        settings: KafkaSettings, topic: String, replies: String, timeout: Interval = .seconds(10), loop: any Loop,
        log: Log
    ) throws(KafkaError) {
        self.loop = loop
        self.log = log
        topicName = topic
        // librdkafka looks for what is too old once a second. 0 would be without an end.
        let patience = max(timeout.milliseconds - 1_000, timeout.milliseconds / 2, 1)
        // A command waits for no other: it goes at once.
        let impatient =
            settings.producer + [
                Property(name: "linger.ms", value: "0"),
                Property(name: "message.timeout.ms", value: decimal(min(patience, Int64(Int32.max)))),
            ]
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
        producer.onDelivery = { [unowned(unsafe) self] token, failure in report(token, failure) }
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
            command.token = DeliveryToken(taken + 1)
            let offer = Self.key.withUTF8Buffer { key in
                command.payload.withUnsafeBytes { payload in
                    command.signature.withUnsafeBytes { signature in
                        producer.offer(
                            command: payload, topic: topic, key: UnsafeRawBufferPointer(key), signature: signature,
                            token: command.token)
                    }
                }
            }
            switch offer {
            case .taken:
                command.sent = loop.time.now
                taken += 1
            case .full: return
            case .refused(let reason): command.failure = joined("the command is not to be sent: ", reason)
            }
        }
    }

    private func report(_ token: DeliveryToken, _ failure: DeliveryFailure?) {
        guard let command = waiting.first(where: { $0.sent != nil && $0.token == token }) else { return }
        guard let failure else {
            command.isOnTopic = true
            return
        }
        command.failure =
            failure.isDoubtful
            ? joined(Self.doubt, " (", failure.reason, ")")
            : joined("the command did not reach ", topicName, ": ", failure.reason)
    }

    private static var doubt: String { "no broker has acknowledged the command; it may yet be carried out" }

    /// How far a command has come that not all have answered, in words.
    func progress(of command: Pending) -> String {
        if !command.nodes.isEmpty {
            // Of a large group some serve to tell which.
            var text = "answered by "
            for (index, node) in command.nodes.prefix(20).enumerated() {
                text += index == 0 ? node : joined(", ", node)
            }
            let more = command.nodes.count - 20
            return more > 0 ? joined(text, " and ", decimal(more), " more") : text
        }
        if command.isOnTopic { return joined("the command is on ", topicName, ", nobody has answered") }
        if let failure = command.failure { return failure }
        if command.sent != nil { return Self.doubt }
        if isReady { return joined(topicName, " does not take the command; it was not sent") }
        return "the topic of replies was not found; the command was not sent"
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
