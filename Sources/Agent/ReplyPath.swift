import Actuators
import Commands
import Kafka
import Outbox
import Platform
import Records

/// What goes out of the command path: replies, and actuators' states.
final class ReplyPath {
    /// The most replies that wait for room in the outbox.
    private static var mostWaiting: Int { 256 }

    private let node: String
    private let replies: TopicID
    private let states: TopicID
    private let producer: LastingProducer
    private let outbox: Outbox
    private let loop: any Loop
    private let log: Log
    private var waiting: [Waiting] = []
    /// Actuators whose states found no room, in the order of their changes. Each goes as it is then: only the newest
    /// state counts.
    private var due: [Actuator] = []
    private var retry: TimerID?
    private var hastening: TimerID?
    private var lost: UInt64 = 0

    private struct Waiting {
        let id: String
        /// Empty for one that is given up.
        let bytes: [UInt8]
    }

    /// Called when replies have been acknowledged, or given up: see `delivered`.
    var onDelivered: (() -> Void)?
    /// How many have left `waiting`.
    private var numbered: UInt64 = 0
    /// The numbers of replies in the outbox, and its own for them, in order.
    private var open: [(number: UInt64, sequence: UInt64)] = []

    init(
        settings: AgentSettings, producer: LastingProducer, outbox: Outbox, loop: any Loop, log: Log
    ) throws(KafkaError) {
        node = settings.node
        self.producer = producer
        self.outbox = outbox
        self.loop = loop
        self.log = log
        replies = try producer.topic(named: settings.commands.replies)
        states = try producer.topic(named: settings.commands.state)
        outbox.onReplySettled = { [unowned(unsafe) self] in onDelivered?() }
    }

    deinit {
        outbox.onReplySettled = nil
        for timer in [retry, hastening] {
            if let timer { loop.cancel(timer) }
        }
    }

    /// Whether all replies so far have been acknowledged, or given up.
    var isDelivered: Bool {
        // What left memory for the disk goes by itself from there.
        waiting.isEmpty && outbox.pendingReplies == 0
    }

    /// How many of the replies that were taken have been acknowledged, or given up, or are on the disk: those before the first
    /// that has not.
    var delivered: UInt64 {
        let oldest = outbox.oldestOpenReply ?? UInt64.max
        let count = open.prefix { $0.sequence < oldest }.count
        if count > 0 { open.removeFirst(count) }
        return (open.first?.number ?? numbered + 1) - 1
    }

    /// - Returns: whether it will be sent; if not, there is no room for so many.
    func send(_ reply: Reply) -> Bool {
        if waiting.isEmpty, append(reply.id, reply.maximumBytes, { reply.encode(into: &$0) }) { return true }
        let bytes = reply.encoded
        if !isTooLarge(reply.id, bytes) || reply.members.isEmpty { return keep(reply.id, bytes) }
        return keep(reply.id, reply.withoutMembers.encoded)
    }

    /// A reply of an earlier start.
    func send(id: String, _ bytes: [UInt8]) -> Bool {
        if waiting.isEmpty, append(id, bytes) { return true }
        return keep(id, bytes)
    }

    private func append(_ id: String, _ bytes: [UInt8]) -> Bool {
        append(id, bytes.count) { writer in bytes.withUnsafeBytes { writer.write($0) } }
    }

    private func append(_ id: String, _ maximumBytes: Int, _ encode: (inout ByteWriter) -> Void) -> Bool {
        let isTaken = Array(id.utf8).withUnsafeBytes {
            outbox.append(topic: replies, key: $0, lane: .reply, maximumBytes: maximumBytes, encode: encode)
        }
        if isTaken {
            numbered += 1
            open.append((numbered, outbox.lastReply))
            hasten()
        }
        return isTaken
    }

    /// Somebody waits for the reply: it does not wait for `linger.ms`. All of one turn of the loop go together. On a busy
    /// board librdkafka's threads may miss the moment, so it is given again, less and less often, until the replies
    /// are acknowledged or would have gone by themselves.
    private func hasten() {
        if let pending = hastening { loop.cancel(pending) }
        hasten(after: .zero, again: .milliseconds(4))
    }

    private func hasten(after wait: Interval, again: Interval) {
        hastening = loop.after(wait) { [unowned(unsafe) self] in
            hastening = nil
            if isDelivered { return }
            producer.hasten()
            if again < .milliseconds(200) { hasten(after: again, again: again * 2) }
        }
    }

    private func isTooLarge(_ id: String, _ bytes: [UInt8]) -> Bool {
        bytes.count + id.utf8.count > outbox.largestRecord
    }

    private func keep(_ id: String, _ bytes: [UInt8]) -> Bool {
        // What never fits is given up, and must not keep the others waiting.
        let isTooLarge = isTooLarge(id, bytes)
        let hasRoom = waiting.count < Self.mostWaiting
        if isTooLarge || !hasRoom {
            lost += 1
            if lost == 1 {
                let cause =
                    isTooLarge
                    ? "are lost: one is larger than the outbox takes" : "come late: \(waiting.count) wait for room"
                log.error("replies \(cause) (said once)")
            }
        }
        if !hasRoom { return false }
        waiting.append(Waiting(id: id, bytes: isTooLarge ? [] : bytes))
        if retry == nil { tryAgain() }
        return true
    }

    private func tryAgain() {
        retry = loop.after(.milliseconds(500)) { [unowned(unsafe) self] in
            retry = nil
            var taken = 0
            while taken < waiting.count {
                if waiting[taken].bytes.isEmpty {
                    numbered += 1
                } else if !append(waiting[taken].id, waiting[taken].bytes) {
                    break
                }
                taken += 1
            }
            waiting.removeFirst(taken)
            if taken > 0 { onDelivered?() }
            taken = 0
            while taken < due.count, append(due[taken]) { taken += 1 }
            due.removeFirst(taken)
            if retry == nil, !waiting.isEmpty || !due.isEmpty { tryAgain() }
        }
    }

    /// Publishes an actuator's state: with the replies, ahead of telemetry. It never goes to the disk, from where it would
    /// come back behind a newer one: the next start publishes the states anew.
    func publish(_ actuator: Actuator) {
        due.removeAll { $0 === actuator }
        if due.isEmpty, append(actuator) { return }
        due.append(actuator)
        if retry == nil { tryAgain() }
    }

    private func append(_ actuator: Actuator) -> Bool {
        let time = loop.time
        return StateRecord.key(actuator, node: node).withUnsafeBytes { key in
            let maximum = StateRecord.maximumBytes(actuator, node: node)
            // What never fits must not keep the others waiting.
            if maximum + key.count > outbox.largestRecord { return true }
            return outbox.append(
                topic: states, key: key, lane: .reply, durability: .memory, maximumBytes: maximum
            ) { StateRecord.encode(actuator, node: node, time: time, into: &$0) }
        }
    }
}
