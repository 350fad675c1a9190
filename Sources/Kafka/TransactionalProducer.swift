import CRdkafka
import CShim
import Platform
import Records

/// Sends records in transactions, each of which also carries the outbox's position, as an offset that the node's own
/// group commits: a consumer with `isolation.level: read_committed` gets every record exactly once.
///
/// One transaction is open at a time. It takes what is offered for `commitEvery` from its first record on, or
/// `commitRecords` records, and is then committed; meanwhile offers are answered `full`. Delivery reports are passed on
/// when the commit has succeeded. A transaction that fails is aborted, and all of it reported as failed, to be offered
/// again.
///
/// librdkafka's transaction calls block: each runs on a worker thread, in slices of a second, so that the loop goes on and
/// an end does not have to wait.
public final class TransactionalProducer: KafkaProducer {
    /// Who the node is to the brokers, and where its position lies.
    public struct Identity {
        /// `transactional.id`: of all producers that have it, the last one to begin shuts out the others.
        public let transactionalID: String
        /// The group whose offset is the outbox's position.
        public let group: String
        /// The topic of which that is an offset, in partition 0. Brokers want one that exists.
        public let topic: String

        public init(transactionalID: String, group: String, topic: String) {
            self.transactionalID = transactionalID
            self.group = group
            self.topic = topic
        }

        /// By convention `kedge-<node>` and `kedge-<node>-outbox`.
        public init(client name: String, topic: String) {
            self.init(transactionalID: name, group: joined(name, "-outbox"), topic: topic)
        }
    }

    /// What makes a producer transactional.
    static func properties(of identity: Identity) -> [Property] {
        [
            Property(name: "enable.idempotence", value: "true"),
            Property(name: "transactional.id", value: identity.transactionalID),
        ]
    }

    /// Records of a transaction of which nobody knows whether it was committed, because its producer ended meanwhile.
    /// The next producer learns it from the position.
    public struct Doubt {
        public let tokens: [DeliveryToken]
        let position: Int64
        /// The position before it. Where it is the same, nothing tells, and the records are sent again.
        let before: Int64
    }

    public var onDelivery: ((DeliveryToken, DeliveryFailure?) -> Void)?
    public var onRoom: (() -> Void)?
    public var onFatal: ((KafkaError) -> Void)?
    public var onPosition: ((CommittedPosition?) -> Void)?
    public var outboxName = "" {
        // Another file counts from its own beginning.
        didSet { if taken == 0, !outboxName.utf8.isEmpty, !sameBytes(outboxName, committedName) { forgetPosition() } }
    }
    /// Records without a position are counted, so that one whose commit is in doubt can be told from one that was committed. Not
    /// where others have a position.
    public var countsRecords = true
    /// Called when the brokers are lost (`false`) and when they are back (`true`).
    public var onLink: ((Bool) -> Void)? {
        get { producer.onLink }
        set { producer.onLink = newValue }
    }
    /// After `close`: what the next producer must be told.
    public internal(set) var doubt: Doubt?
    public private(set) var committed: UInt64 = 0
    public private(set) var aborted: UInt64 = 0

    enum Phase { case starting, open, committing, aborting, ended }
    enum Step { case initialise, readPosition, begin, sendPosition, commit, abort }

    let producer: Producer
    var reader: PositionReader?
    let calls: TransactionCalls
    private let identity: Identity
    private let settings: DeliverySettings
    let loop: any Loop
    let log: Log
    var phase = Phase.starting
    /// Which call is under way, or to be made again in a while.
    var step: Step?
    var timer: TimerID?
    var window: TimerID?
    /// Of the open transaction: records taken, and what has been reported of them.
    var taken = 0
    var reports: [Report] = []
    /// Why it cannot be committed.
    private var flaw: String?
    /// The position that goes with it, and the one that was committed last.
    var position: Int64 = 0
    var committedPosition: Int64 = 0
    /// Whose position that is.
    private var committedName = ""
    var inherited: Doubt?
    var patience: TimerID?
    private var saidCode: Int32 = 0
    var isDoubtful = false
    /// Attempts at the call that is under way.
    private var slices = 0

    struct Report {
        let token: DeliveryToken
        let failure: DeliveryFailure?
    }

    private static var slicesUntilNews: Int { 30 }
    /// How long until a call that failed in passing is made again.
    private static var pause: Interval { .milliseconds(250) }

    /// - Parameters:
    ///   - name: `client.id` where the properties have none.
    ///   - kafka: the properties; those that make the producer transactional are added.
    ///   - doubt: of the producer whose place this one takes.
    /// - Throws: `KafkaError` when librdkafka does not take the properties, or no thread is to be had.
    public init(
        name: String, identity: Identity, settings: DeliverySettings, kafka: KafkaSettings, doubt: Doubt? = nil,
        loop: any Loop, log: Log
    ) throws(KafkaError) {
        self.identity = identity
        self.settings = settings
        self.loop = loop
        self.log = log
        inherited = doubt
        producer = try Producer(
            name: name, properties: kafka.producer + Self.properties(of: identity), loop: loop, log: log)
        reader = try PositionReader(
            name: name, group: identity.group, topic: identity.topic, properties: kafka.consumer)
        do throws(SystemError) {
            calls = try TransactionCalls(handle: producer.client.handle, loop: loop)
        } catch {
            throw KafkaError(
                RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE, place: "creating the producer", reason: error.description)
        }
        producer.onDelivery = { [unowned(unsafe) self] token, failure in take(token, failure) }
        producer.onRoom = { [unowned(unsafe) self] in if phase == .open { self.onRoom?() } }
        producer.onFatal = { [unowned(unsafe) self] error in fail(error) }
        perform(.initialise)
    }

    deinit { close() }

    /// What the producer beneath it has done; its acknowledgements are the brokers', before the commit.
    public var counters: ProducerCounters { producer.counters }

    public func topic(named name: String) throws(KafkaError) -> TopicID { try producer.topic(named: name) }

    // MARK: Records

    public func offer(
        topic: TopicID, key: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, id: UnsafeRawBufferPointer,
        position: Int64, token: DeliveryToken
    ) -> Offer {
        guard phase == .open, flaw == nil else { return .full }
        let answer = producer.offer(topic: topic, key: key, payload: payload, id: id, position: position, token: token)
        if case .refused = answer { return answer }
        if window == nil {
            // Also when the transaction takes nothing: then its end tells why.
            window = loop.after(settings.commitEvery) { [unowned(unsafe) self] in
                window = nil
                closeWindow()
            }
        }
        guard answer == .taken else { return answer }
        taken += 1
        if position > 0 {
            self.position = max(self.position, position)
        } else if countsRecords {
            self.position = max(self.position, committedPosition) + 1
        }
        // Not from within the offer, whose record may be the first that was ever offered.
        if taken == settings.commitRecords { closeWindow() }
        return answer
    }

    private func take(_ token: DeliveryToken, _ failure: DeliveryFailure?) {
        reports.append(Report(token: token, failure: failure))
        guard let failure, phase == .open, flaw == nil else { return }
        flaw = failure.reason
        // The other reports of the same cause come with it.
        if let window { loop.cancel(window) }
        window = loop.after(.zero) { [unowned(unsafe) self] in
            window = nil
            closeWindow()
        }
    }

    /// Ends the open transaction: with a commit if all is well with it.
    private func closeWindow() {
        guard phase == .open else { return }
        if let window { loop.cancel(window) }
        window = nil
        if flaw != nil {
            phase = .aborting
            perform(.abort)
        } else {
            phase = .committing
            perform(position > committedPosition ? .sendPosition : .commit)
        }
    }

    // MARK: Calls

    private func perform(_ step: Step) {
        guard phase != .ended else { return }
        self.step = step
        let call: TransactionCalls.Call
        switch step {
        case .initialise: call = .initialise
        case .begin: call = .begin
        case .readPosition:
            guard let reader else { return }
            call = .readPosition(reader)
        case .commit: call = .commit
        case .abort: call = .abort
        case .sendPosition:
            call = .sendOffset(
                group: identity.group, topic: identity.topic, offset: position, metadata: outboxName)
        }
        calls.perform(call) { [unowned(unsafe) self] error in conclude(step, error) }
    }

    private func conclude(_ step: Step, _ error: TransactionError?) {
        guard phase != .ended, self.step == step else { return }
        self.step = nil
        guard let error else {
            saidCode = 0
            slices = 0
            succeed(step)
            return
        }
        if error.error.isFatal || error.error.isFenced {
            self.step = step
            fail(error.error)
        } else if error.requiresAbort, step != .abort {
            flaw = flaw ?? error.error.reason
            log.warning(joined(error.error.description, "; the transaction is aborted, and its records sent again"))
            phase = .aborting
            perform(.abort)
        } else {
            again(step, error)
        }
    }

    /// Makes a call once more: at once where only the slice was over.
    private func again(_ step: Step, _ error: TransactionError) {
        self.step = step
        let isSlice = error.error.code == RD_KAFKA_RESP_ERR__TIMED_OUT.rawValue
        slices += 1
        // Without brokers that is no news; with them, one may not want to say what it objects to.
        if slices == Self.slicesUntilNews, producer.isConnected == true {
            log.warning(joined(error.error.description, "; no end of it for half a minute, this is tried on"))
        }
        if !isSlice, error.error.code != saidCode {
            saidCode = error.error.code
            let text = joined(error.error.description, "; this is tried until it succeeds")
            if error.isRetriable { log.debug(text) } else { log.error(text) }
        }
        timer = loop.after(isSlice ? .milliseconds(20) : error.isRetriable ? Self.pause : .seconds(5)) {
            [unowned(unsafe) self] in
            timer = nil
            perform(step)
        }
    }

    private func succeed(_ step: Step) {
        switch step {
        // Only now: this has ended the transaction of an earlier producer, one way or the other.
        case .initialise: perform(.readPosition)
        case .readPosition: begin(at: reader?.position)
        case .begin: open()
        case .sendPosition: perform(.commit)
        case .commit:
            committed += 1
            committedPosition = max(committedPosition, position)
            finish(nil)
        case .abort:
            aborted += 1
            position = committedPosition
            finish(flaw ?? "the transaction was aborted")
        }
    }

    private func open() {
        phase = .open
        onRoom?()
    }

    /// Passes the reports on, and begins anew.
    private func finish(_ flaw: String?) {
        let reports = self.reports
        self.reports = []
        taken = 0
        self.flaw = nil
        perform(.begin)
        for report in reports { pass(report, flaw) }
    }

    func pass(_ report: Report, _ flaw: String?) {
        if let flaw {
            if let failure = report.failure, !failure.isRetriable {
                onDelivery?(report.token, failure)
            } else {
                onDelivery?(
                    report.token, DeliveryFailure(name: "ABORTED", reason: flaw, isRetriable: true))
            }
        } else {
            onDelivery?(report.token, report.failure)
        }
    }

    private func fail(_ error: KafkaError) {
        guard phase != .ended else { return }
        // What is under way, or was to be made again, is a commit whose end nobody will hear of.
        isDoubtful = step == .commit
        phase = .ended
        loop.after(.zero) { [self] in onFatal?(error) }
    }

    // MARK: The position

    private func forgetPosition() {
        committedName = outboxName
        committedPosition = 0
        position = 0
    }

    private func begin(at position: CommittedPosition?) {
        reader = nil
        committedPosition = position?.number ?? 0
        committedName = position?.outbox ?? ""
        self.position = committedPosition
        if !outboxName.utf8.isEmpty, !sameBytes(outboxName, committedName) { forgetPosition() }
        if let position {
            log.info(joined("kafka producer: the outbox's position is ", decimal(position.number)))
        }
        let inherited = self.inherited
        self.inherited = nil
        perform(.begin)
        onPosition?(position)
        guard let inherited else { return }
        // As it was read: whose position it is called by now does not matter to this process's own.
        let found = position?.number ?? 0
        let wasCommitted = found >= inherited.position && inherited.position > inherited.before
        log.warning(
            joined(
                "kafka producer: the transaction that was under way was ", wasCommitted ? "" : "not ",
                "committed: its ", decimal(inherited.tokens.count), " records are ",
                wasCommitted ? "done" : "sent again"))
        for token in inherited.tokens {
            onDelivery?(
                token,
                wasCommitted
                    ? nil
                    : DeliveryFailure(name: "ABORTED", reason: "the producer was replaced", isRetriable: true))
        }
    }

    // MARK: The end

    /// Commits at once what was offered.
    public func flush(within limit: Interval, _ done: @escaping (Int) -> Void) {
        flush(until: loop.time.now + limit, done)
    }

    /// Commits what was offered without waiting for the end of the window: nobody sees a reply before that.
    public func hasten() {
        if taken > 0 { closeWindow() }
    }

    private func flush(until deadline: Instant, _ done: @escaping (Int) -> Void) {
        guard taken > 0, phase != .ended, loop.time.now < deadline else {
            done(taken)
            return
        }
        closeWindow()
        loop.after(.milliseconds(2)) { [self] in flush(until: deadline, done) }
    }
}
