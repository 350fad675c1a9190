import FaultChecker
import Foundation
import TestSupport

/// An agent's set-up for the suite, as its configuration file says it.
struct Setup {
    var mode: Mode
    /// Where the outbox's file lies.
    var outbox: String
    var stopWithin = "10s"
    var maxMemory = "4MB"

    /// Milliseconds; short, so that much happens in a short life.
    static let linger = 20
    static let diskCommit = 20
    static let transaction = 100
    static let spill = 300

    /// After how long a record is on its way and committed at the latest, if the broker answers.
    var linger: Int {
        Self.linger + (mode.durability == .always ? Self.diskCommit : 0)
            + (mode.delivery == .exactlyOnce ? Self.transaction : 0)
    }

    /// Counting sensors with periods that do not divide one another.
    static let periods = [2, 5, 13, 37]

    func text(port: UInt16) -> String {
        var outbox = "durability: \(mode.durability.rawValue), max_memory: \(maxMemory)"
        switch mode.durability {
        case .memory: break
        case .spill: outbox += ", path: \(self.outbox), spill_after: \(Self.spill)ms"
        case .always: outbox += ", path: \(self.outbox), commit_every: \(Self.diskCommit)ms"
        }
        var lines = [
            "node: fault", "stop_within: \(stopWithin)",
            "kafka:",
            "  all:",
            "    bootstrap.servers: 127.0.0.1:\(port)",
            "    reconnect.backoff.ms: 20",
            "    reconnect.backoff.max.ms: 100",
            "    retry.backoff.ms: 20",
            "    socket.timeout.ms: 1000",
            "    statistics.interval.ms: 200",
            "  producer:",
            "    linger.ms: \(Self.linger)",
            "    compression.type: none",
            "outbox: { \(outbox) }",
        ]
        if mode.delivery == .exactlyOnce {
            lines.append("delivery: { mode: exactly-once, commit_every: \(Self.transaction)ms }")
        }
        lines.append("sensors:")
        for period in Self.periods {
            lines.append("  - { id: every-\(period), driver: sim, waveform: counter, every: \(period)ms }")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

/// What a scenario works with: broker, consumer, checker, and the agent under attack.
final class Rig {
    let setup: Setup
    let service: Service
    let collector: Collector
    var random: SeededGenerator
    let folder: String
    static let topic = "sensors"

    private let command: [String]
    private let configuration: String
    private(set) var agent: Child?
    private var launches: [Launch] = []
    /// What went wrong beside the account.
    private(set) var breaches: [String] = []
    /// What the outbox's file was found to hold after an end.
    private(set) var stored: Set<RecordID> = []

    private struct Launch {
        let start: Int64
        var end: Int64 = 0
        var wasKilled = false
        /// Samples that it took, as it said when it ended.
        var samples: Int?
        let log: String
    }

    init(_ setup: Setup, command: [String], folder: String, seed: UInt64, sabotage: Broker.Sabotage? = nil) throws {
        self.setup = setup
        self.command = command
        self.folder = folder
        random = SeededGenerator(seed: seed)
        service = try Service(partitions: 3, sabotage: sabotage)
        configuration = folder + "/kedge.yaml"
        try setup.text(port: service.exposedPort).write(toFile: configuration, atomically: true, encoding: .utf8)
        // A configuration that this kedge does not take would look like an agent that dies of its own.
        let check = folder + "/check.log"
        guard try Child(command + ["check", configuration], errors: check).wait(within: 60) == .exit(0) else {
            let text = (try? String(contentsOfFile: check, encoding: .utf8)) ?? ""
            throw Service.Failure(description: "the configuration is refused:\n\(text)")
        }
        collector = try Collector(
            command, topic: Self.topic, bootstrap: "127.0.0.1:\(service.quietPort)", log: folder + "/collector.log",
            into: Ledger())
    }

    // MARK: The agent

    func start() throws {
        let log = folder + "/agent-\(launches.count + 1).log"
        launches.append(Launch(start: wallTime(), log: log))
        agent = try Child(command + ["run", configuration, "--for", "1h"], errors: log)
    }

    /// Ends the agent without notice, and notes what its outbox holds.
    func kill() {
        guard let agent else { return }
        agent.signal(SIGKILL)
        if agent.wait(within: 10) != .signal(SIGKILL) {
            breaches.append("the agent had ended by itself: \(launches[launches.count - 1].log)")
        }
        launches[launches.count - 1].end = wallTime()
        launches[launches.count - 1].wasKilled = true
        self.agent = nil
        expectStored()
    }

    /// Ends the agent in an orderly way.
    /// - Returns: its exit code.
    @discardableResult
    func stop(within limit: Double = 30) -> Int32 {
        agent?.signal(SIGTERM)
        let code = awaitEnd(within: limit)
        // 75: something was left unsent.
        if code != 0 && code != 75 { breaches.append("the stop failed with \(code): \(launches.last?.log ?? "")") }
        return code
    }

    /// Waits until the agent ends, and takes its last words to account.
    /// - Returns: its exit code, or -1.
    func awaitEnd(within limit: Double) -> Int32 {
        guard let agent else { return 0 }
        self.agent = nil
        let index = launches.count - 1
        let end = agent.wait(within: limit)
        launches[index].end = wallTime()
        let text = (try? String(contentsOfFile: launches[index].log, encoding: .utf8)) ?? ""
        // Before it takes signals it has not begun either.
        if end == .signal(SIGTERM), text.isEmpty { return 0 }
        guard case .exit(let code)? = end else { return -1 }
        if let line = text.split(separator: "\n").last(where: { $0.contains("stopped: ") }),
            let range = line.range(of: " samples, ")
        {
            launches[index].samples = line[..<range.lowerBound].split(separator: " ").last.flatMap { Int($0) }
        }
        // An agent that was told to end while it started has none.
        if launches[index].samples == nil && text.contains("sensors, ") {
            breaches.append("no last words: \(launches[index].log)")
        }
        expectStored()
        return code
    }

    /// What the file holds while no agent runs must arrive.
    /// - Returns: how many records that are.
    @discardableResult
    private func expectStored() -> Int {
        guard setup.mode.durability != .memory, FileManager.default.fileExists(atPath: setup.outbox) else { return 0 }
        guard let lines = output(["outbox", "dump", "--path", setup.outbox, "--json"]) else { return 0 }
        struct Entry: Decodable { let id: String }
        collector.look { ledger in
            for line in lines {
                guard let entry = try? JSONDecoder().decode(Entry.self, from: Data(line.utf8)),
                    let id = RecordID(entry.id)
                else {
                    note("kedge outbox dump: no id in \(line)")
                    continue
                }
                ledger.expect(id)
                stored.insert(id)
            }
        }
        return lines.count
    }

    /// Runs kedge to its end, and returns what it wrote; `nil` if it failed.
    private func output(_ arguments: [String]) -> [Substring]? {
        let file = folder + "/output"
        let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        defer { close(descriptor) }
        let child = try? Child(command + arguments, output: descriptor, errors: folder + "/output.log")
        let end = child?.wait(within: 60)
        guard end == .exit(0) else {
            let breach = "kedge \(arguments.joined(separator: " ")) failed"
            if !breaches.contains(breach) { breaches.append(breach) }
            return nil
        }
        return try? String(contentsOfFile: file, encoding: .utf8).split(separator: "\n")
    }

    // MARK: Chance

    func chance(_ share: Double) -> Bool { Double.random(in: 0..<1, using: &random) < share }
    func pick<T>(_ items: [T]) -> T { items[Int.random(in: 0..<items.count, using: &random)] }

    /// Lets a random time pass, in milliseconds.
    func pass(_ range: ClosedRange<Int>) { usleep(UInt32(Int.random(in: range, using: &random) * 1_000)) }

    // MARK: The end

    /// Lets everything arrive: runs the agent in fair weather until it ends with nothing left.
    func settle() throws {
        service.endInjections()
        service.set(latency: 0)
        service.set(.fair)
        // With a disk, an orderly end may leave records there; with none they are sent or told of.
        var code: Int32 = -1
        var left = 0
        for _ in 0..<20 {
            if agent == nil { try start() }
            usleep(1_000_000)
            code = stop()
            left = expectStored()
            if code == 0 && left == 0 { break }
        }
        if code != 0 || left > 0 {
            breaches.append("the agent does not get rid of what it has: exit code \(code), \(left) on disk")
        }
        if !collector.drain(service, Self.topic, within: 60) {
            breaches.append("the consumer did not read to the end: \(service.ends(of: Self.topic))")
        }
        collector.end()
    }

    /// The account, and what of the promise it breaks.
    func judge(_ attack: Attack) -> (account: Ledger.Account, tail: Int, breaches: [String]) {
        let tail = collector.look { ledger in resolve(ledger) }
        let account = collector.look { $0.account }
        let promise = Promise(setup.mode, under: attack, linger: setup.linger, spill: Setup.spill)
        let broken = promise.broken(by: account, tail: tail)
        return (account, tail, breaches + collector.problems + broken)
    }

    /// Finds out which boot each launch was, by the times; adds what the agents said to what is expected.
    /// - Returns: the longest time in milliseconds between a boot's last sample that arrived and its kill.
    private func resolve(_ ledger: Ledger) -> Int {
        var longest = 0
        for (index, launch) in launches.enumerated() {
            let boot = ledger.boots.first { (launch.start...launch.end).contains($0.value.firstTaken) }
            if let samples = launch.samples, samples > 0 {
                for sequence in 1...samples {
                    ledger.expect(RecordID(boot: boot?.key ?? "launch \(index + 1)", sequence: sequence))
                }
            }
            guard launch.wasKilled else { continue }
            if let boot {
                longest = max(longest, Int(launch.end - boot.value.lastTaken))
            } else if launch.end - launch.start > 5_000 {
                // A short life may have passed before the first sample.
                longest = max(longest, Int(launch.end - launch.start))
            }
        }
        return longest
    }

    func abandon() {
        agent?.signal(SIGKILL)
        collector.end()
    }

    /// Something else that must not be.
    func note(_ breach: String) { breaches.append(breach) }

    /// Bytes that the agent has written to storage, as the kernel counts them (`write_bytes` of /proc/PID/io).
    var written: Int? {
        guard let agent, let text = try? String(contentsOfFile: "/proc/\(agent.identifier)/io", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("write_bytes:") })
        else { return nil }
        return Int(line.dropFirst("write_bytes: ".count))
    }
}
