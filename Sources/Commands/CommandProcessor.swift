import Actuators
import Platform
import Records

/// Takes command messages and answers each with exactly one reply: at once, or when the actuator is done.
///
/// What is checked before an actuator moves, and in which order, stands in `Admission`.
public final class CommandProcessor {
    public private(set) var counters = CommandCounters()
    /// Whether the wall clock can be trusted; until it can, commands with `expires` are rejected.
    public var isClockSynchronised: () -> Bool {
        get { admission.isClockSynchronised }
        set { admission.isClockSynchronised = newValue }
    }

    private let node: String
    private let maximumSize: Int
    private let admission: Admission
    private let time: any TimeSource
    private let log: Log
    private let reply: (Reply) -> Void

    /// - Parameters:
    ///   - node: the name that replies carry.
    ///   - recentCapacity: how many ids are remembered; each takes up to some 300 bytes.
    ///   - reply: gets the replies. Encode one with `Reply.encode`; its record's key is `Reply.id`.
    public init(
        node: String, settings: CommandSettings, actuators: [Actuator], time: any TimeSource, log: Log,
        recentCapacity: Int = 1_000, reply: @escaping (Reply) -> Void
    ) {
        self.node = node
        self.time = time
        self.log = log
        self.reply = reply
        maximumSize = settings.maximumSize
        admission = Admission(
            maxAge: settings.maxAge, capacity: recentCapacity, actuators: actuators, time: time)
    }

    /// Handles one message.
    /// - Parameters:
    ///   - payload: the message's value; read before this returns.
    ///   - timestampMilliseconds: the message's, since 1970; `nil` when the broker gave none.
    public func handle(
        payload: UnsafeRawBufferPointer, topic: String, partition: Int32, offset: Int64,
        timestampMilliseconds: Int64?
    ) {
        counters.received += 1
        // A topic has at most 249 characters; longer ones come from nowhere good.
        let place = { joined(excerpt(topic, limit: 249), "/", decimal(Int64(partition)), "/", decimal(offset)) }
        let command: Command
        do throws(CommandError) {
            command = try CommandParser.parse(payload, maximumSize: maximumSize)
        } catch {
            answer(error.id ?? place(), error.actuator, .rejected, error.reason, nil)
            return
        }
        let candidate = Candidate(command: command, id: command.id ?? place(), timestamp: timestampMilliseconds)
        switch admission.decide(candidate) {
        case .refuse(let refusal): refuse(candidate, refusal)
        case .act(let actuator, let order):
            // Held until the actuator is done, and so is this processor: every order is answered.
            actuator.perform(order) { outcome in self.conclude(order.command, actuator.id, outcome) }
        }
    }

    private func refuse(_ candidate: Candidate, _ refusal: Refusal) {
        if refusal.isClaimed {
            admission.recent.settle(candidate.id, RecentIDs.Answer(status: refusal.status, value: refusal.value))
        }
        answer(candidate.id, candidate.command.actuator, refusal.status, refusal.reason, refusal.value)
    }

    private func conclude(_ id: String, _ actuator: String, _ outcome: Outcome) {
        let status: Status
        var reason: String?
        var value: Value?
        switch outcome {
        case .done(let found): (status, value) = (.done, found)
        case .failed(let why, let found): (status, reason, value) = (.failed, why, found)
        case .preempted(let why, let found): (status, reason, value) = (.preempted, why, found)
        case .refused(let why): (status, reason) = (.rejected, why)
        }
        admission.recent.settle(id, RecentIDs.Answer(status: status, value: value))
        answer(id, actuator, status, reason, value)
    }

    private func answer(_ id: String, _ actuator: String?, _ status: Status, _ reason: String?, _ value: Value?) {
        counters.count(status)
        let reply = Reply(
            id: id, node: node, actuator: actuator, status: status, reason: reason, value: value,
            timestamp: time.wallTime)
        log.debug(joined("command ", id, ": ", string(status.name)))
        self.reply(reply)
    }
}
