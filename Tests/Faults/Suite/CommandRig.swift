import FaultChecker
import Foundation
import TestSupport

/// What the commands' scenario works with: the broker, an agent with one output, a sender, and who watches the output and
/// the replies.
///
/// The output is the driver `pwm` on a folder that looks like the kernel's: its file outlives the agent, and each command's
/// value is one of a kind, so what is written there tells which command was carried out, and how often.
final class CommandRig: @unchecked Sendable {
    private let command: [String]
    private let folder: String
    let service: Service
    /// For all but the agent.
    private let bootstrap: String
    private let configuration: String
    private var agent: Child?
    private var launches = 0
    private var sender: (child: Child, input: Int32)?
    private var watches: [Watch] = []
    private var output: OutputWatch?
    var random: SeededGenerator

    /// Guards what follows; watches and senders are threads of their own.
    private let lock = NSLock()
    private let ledger = CommandLedger()
    private var written = 0
    private var accepted = 0
    private(set) var breaches: [String] = []

    /// How late the output may be seen to move on a busy machine, in milliseconds.
    static let slack: Int64 = 1_000

    private var claims: String { folder + "/commands.db" }
    private var log: String { folder + "/agent-\(launches).log" }

    init(_ durability: Mode.Durability, command: [String], folder: String, disk: String, seed: UInt64) throws {
        self.command = command
        self.folder = folder
        random = SeededGenerator(seed: seed)
        configuration = folder + "/kedge.yaml"
        service = try Service(partitions: 1)
        bootstrap = "127.0.0.1:\(service.quietPort)"
        try FileManager.default.createDirectory(atPath: folder + "/chip/pwm0", withIntermediateDirectories: true)
        for (name, content) in [("enable", "0"), ("period", "0"), ("duty_cycle", "0"), ("polarity", "normal")] {
            try content.write(toFile: folder + "/chip/pwm0/\(name)", atomically: false, encoding: .utf8)
        }
        try text(durability, disk).write(toFile: configuration, atomically: true, encoding: .utf8)
        try watch()
    }

    /// The agent's configuration. A value of the output is its pulse width in ns.
    private func text(_ durability: Mode.Durability, _ disk: String) -> String {
        let outbox = durability == .memory ? "" : ", path: \(disk)/outbox.db"
        return """
            node: fault
            kafka:
              all: { bootstrap.servers: "127.0.0.1:\(service.exposedPort)", socket.timeout.ms: 1000, reconnect.backoff.ms: 20, reconnect.backoff.max.ms: 100 }
              producer: { linger.ms: 5, retry.backoff.ms: 20 }
              consumer: { session.timeout.ms: 2000, heartbeat.interval.ms: 100 }
            outbox: { durability: \(durability.rawValue)\(outbox) }
            # Otherwise nothing that expires would be carried out where nobody synchronises the clock.
            clock: trust
            commands: { path: "\(claims)", max_age: 1h }
            actuators:
              - { id: dial, driver: pwm, chip: "\(folder)/chip", channel: 0, period: 1ms, min: 0, max: 1000000, safe: 0 }

            """
    }

    private func watch() throws {
        struct Record: Decodable { let value: String }
        struct Reply: Decodable {
            let id: String?
            let status: String
            let reason: String?
        }
        // That it was sent is known when it is in the topic.
        watches.append(
            try Watch(command, topic: "commands", bootstrap: bootstrap, log: folder + "/commands.log") { [self] _ in
                locked { accepted += 1 }
            })
        watches.append(
            try Watch(command, topic: "replies", bootstrap: bootstrap, log: folder + "/replies.log") { [self] line in
                guard let record = try? JSONDecoder().decode(Record.self, from: line),
                    let reply = try? JSONDecoder().decode(Reply.self, from: Data(record.value.utf8)), let id = reply.id
                else { return note("a reply that cannot be read: \(String(decoding: line, as: UTF8.self))") }
                locked {
                    if !ledger.reply(to: id, CommandLedger.Reply(reply.status, reply.reason)) {
                        breaches.append("a reply to \(id), which was never sent")
                    }
                }
            })
        output = try OutputWatch(folder + "/chip/pwm0/duty_cycle") { [self] value in
            locked {
                if !ledger.move(to: value, at: wallTime()), value != 0 { breaches.append("the output took \(value)") }
            }
        }
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw Service.Failure(description: "no pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let child = try Child(
            command + ["send", "--json", "--timeout", "1s", "-b", bootstrap], input: ends[0],
            errors: folder + "/sender.log")
        close(ends[0])
        sender = (child, ends[1])
    }

    // MARK: Commands

    /// Sends the next command; now and then one that is not to be done late, or that ends soon.
    func send() {
        let value = locked { written } + 1
        let id = "c\(value)"
        var line = "{\"id\":\"\(id)\",\"actuator\":\"dial\",\"value\":\(value)"
        var expires: Int64?
        if chance(0.3) {
            let end = wallTime() + Int64.random(in: 100...1_500, using: &random)
            line += ",\"expires\":\(Double(end) / 1_000)"
            expires = end
        }
        if chance(0.2) { line += ",\"for\":\"30ms\"" }
        line += "}\n"
        locked {
            ledger.send(id, value: value, expires: expires)
            written += 1
        }
        guard let input = sender?.input else { return }
        var bytes = Array(line.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { write(input, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return note("the sender has ended; see \(folder)/sender.log") }
            bytes = bytes.dropFirst(count)
        }
    }

    /// Sends commands for so long, in milliseconds.
    func send(for time: Int) {
        let end = wallTime() + Int64(time)
        while wallTime() < end {
            send()
            usleep(UInt32(Int.random(in: 500...15_000, using: &random)))
        }
    }

    func chance(_ share: Double) -> Bool { Double.random(in: 0..<1, using: &random) < share }

    // MARK: The agent and the broker

    func start() throws {
        launches += 1
        agent = try Child(command + ["run", configuration, "--for", "1h"], errors: log)
    }

    /// Waits until the agent takes commands.
    func awaitReady() {
        let isReady: Bool? = Self.await(within: 30) {
            Self.text(log).contains("taking commands from commands\n") ? true : nil
        }
        if isReady == nil { note("an agent takes no commands: \(log)") }
    }

    func kill() {
        agent?.signal(SIGKILL)
        if agent?.wait(within: 10) != .signal(SIGKILL) { note("the agent had ended by itself: \(log)") }
        agent = nil
    }

    func stop() {
        agent?.signal(SIGTERM)
        let end = agent?.wait(within: 30)
        switch end {
        // 75: replies were left unsent; they are with the claims.
        case .exit(0), .exit(75): break
        // Before it takes signals it has not begun either.
        case .signal(SIGTERM) where Self.text(log).isEmpty: break
        default: note("the stop ended with \(end.map { "\($0)" } ?? "nothing"): \(log)")
        }
        agent = nil
    }

    /// Takes the claims away, as no power cut can: the checker must find what comes of it.
    func forget() { for end in ["", "-wal", "-shm"] { unlink(claims + end) } }

    // MARK: The end

    /// In fair weather, waits until each command that has come to the topic is answered.
    func settle() throws {
        service.set(.fair)
        if agent == nil { try start() }
        awaitReady()
        let isWhole: Bool? = Self.await(within: 60) {
            locked { accepted >= written && ledger.unanswered.isEmpty } ? true : nil
        }
        if isWhole == nil { note("after 60 s \(locked { written - accepted }) commands are not in the topic") }
        stop()
    }

    func judge() -> (account: CommandLedger.Account, breaches: [String], details: [String]) {
        locked {
            let account = ledger.account(slack: Self.slack)
            return (account, breaches + account.breaches, ledger.details(slack: Self.slack))
        }
    }

    func abandon() {
        agent?.signal(SIGKILL)
        if let sender {
            close(sender.input)
            _ = sender.child.wait(within: 10)
        }
        for watch in watches { watch.end() }
    }

    private func note(_ breach: String) { locked { breaches.append(breach) } }

    private func locked<T>(_ body: () -> T) -> T {
        lock.lock()
        defer { lock.unlock() }
        return body()
    }

    private static func await<T>(within limit: Double, _ body: () -> T?) -> T? {
        let deadline = Date(timeIntervalSinceNow: limit)
        while Date() < deadline {
            if let found = body() { return found }
            usleep(5_000)
        }
        return nil
    }

    private static func text(_ path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }
}

/// Sees each new value of an output's file (inotify(7)), on a thread of its own.
private final class OutputWatch: @unchecked Sendable {
    private let path: String
    private let taken: @Sendable (Int) -> Void
    private var last = 0

    init(_ path: String, taken: @escaping @Sendable (Int) -> Void) throws {
        self.path = path
        self.taken = taken
        let queue = inotify_init1(Int32(IN_CLOEXEC))
        guard queue >= 0, inotify_add_watch(queue, path, UInt32(IN_MODIFY)) >= 0 else {
            throw Service.Failure(description: "\(path): \(String(cString: strerror(errno)))")
        }
        Thread.detachNewThread { [self] in
            var events = [UInt8](repeating: 0, count: 4_096)
            while read(queue, &events, events.count) > 0 { look() }
        }
    }

    private func look() {
        // Empty between the two steps of its being written.
        guard let text = try? String(contentsOfFile: path, encoding: .utf8), let value = Int(text) else { return }
        guard value != last else { return }
        last = value
        taken(value)
    }
}
