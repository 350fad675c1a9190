/// Keeps account of commands: what was sent, what an output did, and what was answered.
///
/// Each command has an id and a value of its own, so that the output's values tell which commands were carried out.
public final class CommandLedger {
    private struct Command {
        let value: Int
        /// In milliseconds since 1970; it must not be carried out later.
        let expires: Int64?
        /// When the output took its value, in milliseconds since 1970.
        var moves: [Int64] = []
        var replies: [Reply] = []
    }

    /// What a node said of a command.
    public struct Reply: Equatable, Sendable {
        public let status: String
        public let reason: String?

        public init(_ status: String, _ reason: String? = nil) {
            self.status = status
            self.reason = reason
        }

        /// Nobody can know whether the output moved.
        fileprivate var isUnknown: Bool { reason?.hasPrefix("unknown outcome") == true }
    }

    private var commands: [String: Command] = [:]
    private var ids: [Int: String] = [:]

    public init() {}

    public func send(_ id: String, value: Int, expires: Int64? = nil) {
        commands[id] = Command(value: value, expires: expires)
        ids[value] = id
    }

    /// The output took a value, coming from another.
    /// - Returns: whether it is a command's.
    @discardableResult
    public func move(to value: Int, at time: Int64) -> Bool {
        guard let id = ids[value] else { return false }
        commands[id]?.moves.append(time)
        return true
    }

    /// - Returns: whether it answers a command that was sent.
    @discardableResult
    public func reply(to id: String, _ reply: Reply) -> Bool {
        guard commands[id] != nil else { return false }
        commands[id]?.replies.append(reply)
        return true
    }

    public struct Account: Equatable, Sendable {
        public var sent = 0
        public var unanswered = 0
        /// Commands whose value the output took.
        public var acted = 0
        /// Of them, those whose value it took again.
        public var repeated = 0
        /// Of them, those whose value it took after they had expired.
        public var late = 0
        /// Carried out, and answered as if they were not.
        public var denied = 0
        /// Answered as done, and not seen at the output. One may be missed: it is read after each change, not during it.
        public var unseen = 0
        /// Whose outcome nobody can know, as their replies say.
        public var unknown = 0
        /// With two replies that contradict each other.
        public var contradicted = 0

        public init() {}
    }

    /// - Parameter slack: how late the observer may see a value, in milliseconds.
    public func account(slack: Int64) -> Account {
        var account = Account()
        account.sent = commands.count
        for command in commands.values {
            // A repeat is answered with the first reply, which came, too, or with what a command already under way has.
            let replies = command.replies.filter { $0.status != "duplicate" }
            let statuses = Set(replies.map { $0.status })
            if command.replies.isEmpty { account.unanswered += 1 }
            if statuses.count > 1 { account.contradicted += 1 }
            let isUnknown = replies.contains { $0.isUnknown }
            if isUnknown { account.unknown += 1 }
            guard let first = command.moves.first else {
                if statuses.contains("done") { account.unseen += 1 }
                continue
            }
            account.acted += 1
            if command.moves.count > 1 { account.repeated += 1 }
            if let expires = command.expires, first > expires + slack { account.late += 1 }
            if !replies.isEmpty, !isUnknown, !statuses.contains("done") { account.denied += 1 }
        }
        return account
    }

    /// Ids of commands without a reply.
    public var unanswered: [String] { commands.filter { $0.value.replies.isEmpty }.map { $0.key }.sorted() }

    /// The first few commands that a promise was broken with, in words.
    public func details(slack: Int64) -> [String] {
        var lines: [String] = []
        for (id, command) in commands.sorted(by: { $0.value.value < $1.value.value }) where lines.count < 10 {
            let one = CommandLedger()
            one.send(id, value: command.value, expires: command.expires)
            for time in command.moves { one.move(to: command.value, at: time) }
            for reply in command.replies { one.reply(to: id, reply) }
            if one.account(slack: slack).breaches.isEmpty { continue }
            let replies = command.replies.map { "\($0.status) \($0.reason ?? "")" }
            lines.append("\(id): moved at \(command.moves), expires \(command.expires ?? 0), replies \(replies)")
        }
        return lines
    }
}

extension CommandLedger.Account {
    /// What of the promises it breaks, in words; all that is promised of commands stands here.
    public var breaches: [String] {
        var breaches: [String] = []
        if sent == 0 { breaches.append("nothing was sent") }
        if repeated > 0 { breaches.append("\(repeated) carried out again") }
        if late > 0 { breaches.append("\(late) carried out after they had expired") }
        if unanswered > 0 { breaches.append("\(unanswered) without a reply") }
        if denied > 0 { breaches.append("\(denied) carried out and answered as if not") }
        if contradicted > 0 { breaches.append("\(contradicted) with replies that contradict each other") }
        return breaches
    }
}
