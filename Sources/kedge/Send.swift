import CShim
import Commands
import Configuration
import Kafka
import Platform
import Records

extension Subcommand {
    static var send: Subcommand {
        Subcommand(
            name: "send", summary: "send commands to actuators and wait for the replies",
            synopsis: "[options] [ACTUATOR [VALUE]]",
            description: """
                Sends {"id":…,"actuator":ACTUATOR,"value":VALUE} to the topic of commands, waits
                for the reply to that id and prints it. VALUE is a number, true, false or a
                text. The reply's topic is in place before the command is sent.

                Without ACTUATOR and VALUE it takes commands from standard input, one JSON
                object on a line; one without an id is given a random one. Up to 256 are under
                way at a time, so the replies may come in another order.

                With --key-file each command is signed: its Kafka header `sig` is the key's id,
                a colon, and in hexadecimal digits the HMAC-SHA256 or the Ed25519 signature of
                the message's value. Nodes take signed commands only with an end, so a command
                without one expires after 30 s. kedge keygen makes keys.

                What no broker has acknowledged about a second before --timeout is given up,
                and not sent any more.

                Kafka keeps the order of messages within a partition, which their key decides
                on. All commands of kedge send have the key `commands`, so those to one topic
                arrive in the order in which they are sent; other senders should use one key
                for all of a node's commands, too.

                Exits with 0 when all was done (`done`), with 69 when a reply did not come in
                time, with 1 when one said otherwise, or when a line was no command.
                """,
            options: Connection.options + [
                Options.Option("topic", "NAME", letter: "t", "topic of commands, such as commands.pi-01 (commands)"),
                Options.Option("replies", "NAME", "topic of replies (replies)"),
                Options.Option("for", "TIME", "go back to the safe value after this time, such as 30s"),
                Options.Option("expires", "TIME", "not to be done later than this from now, such as 10s"),
                Options.Option("priority", "NUMBER", "0 to 255; a lease of a higher one is not to be ended by a lower"),
                Options.Option(
                    flag: "safe", "in place of VALUE: to the safe value, whatever leases say (also for \"*\", all)"),
                Options.Option(flag: "query", "in place of VALUE: tell the value (also for \"*\", all)"),
                Options.Option("id", "TEXT", "the command's id (a random one)"),
                Options.Option("key-file", "FILE", letter: "k", "sign with a key of this file (kedge keygen)"),
                Options.Option("key-id", "NAME", "which of its keys (the last)"),
                Options.Option("expect", "NUMBER", letter: "n", "how many nodes are to reply to each command (1)"),
                Options.Option("timeout", "TIME", "how long to wait for the replies to a command (10s)"),
                Options.Option(flag: "json", "print only the replies"),
            ],
            operands: 0...2,
            examples: """
                kedge send pump 1 --for 30s -b broker:9092
                kedge send lamp off --topic commands.pi-07 --expires 5s
                kedge send lamp 0 --topic commands.greenhouse --expect 12 --key-file ops.key
                kedge send "*" --safe
                kedge send --json < commands.jsonl
                """,
            body: runSend)
    }

    private static func runSend(_ options: Options) -> ExitCode {
        let command = Subcommand.send
        let topic = options.value("topic") ?? "commands"
        let replies = options.value("replies") ?? "replies"
        for name in [topic, replies] where !isLegal(topic: name) {
            return command.wrongUsage("\(name) is no topic's name")
        }
        let isAction = options.has("safe") || options.has("query")
        if options.operands.count == (isAction ? 2 : 1) || (isAction && options.operands.isEmpty) {
            return command.wrongUsage("an ACTUATOR needs a VALUE, or --safe, or --query")
        }
        guard let hold = options.limit(), let expires = options.time("expires"), let timeout = options.time("timeout")
        else { return command.wrongUsage("--for, --expires and --timeout take a time with its unit, such as 10s") }
        guard let priority = options.number("priority", in: 0...255, default: -1) else {
            return command.wrongUsage("--priority takes a whole number from 0 to 255")
        }
        guard let nodes = options.number("expect", in: 1...10_000, default: 1) else {
            return command.wrongUsage("--expect takes a whole number from 1 to 10000")
        }
        let isInput = options.operands.isEmpty
        if isInput, options.value("id") ?? options.value("for") ?? options.value("priority") != nil {
            return command.wrongUsage("--id, --for and --priority stand in the lines of standard input")
        }
        // Whoever typed nothing else wants to know what is missing, and not to be waited for.
        if isInput, isatty(0) == 1 {
            return command.wrongUsage("no ACTUATOR and VALUE, and no commands on standard input")
        }
        var key: SigningKey?
        if let path = options.value("key-file") {
            do throws(KeyFileError) {
                key = try SigningKey.load(path, id: options.value("key-id"))
            } catch {
                writeLine("kedge send: \(error.text)", to: 2)
                return .configuration
            }
        } else if options.has(value: "key-id") {
            return command.wrongUsage("--key-id needs --key-file")
        }
        var single: (id: String, payload: [UInt8])?
        if !isInput {
            let id = options.value("id") ?? randomIdentifier()
            let text = joined(
                "{\"id\":", quotedJSON(id), ",\"actuator\":", quotedJSON(options.operands[0]),
                options.has("safe") ? ",\"safe\":true" : "", options.has("query") ? ",\"query\":true" : "",
                isAction ? "" : joined(",\"value\":", jsonValue(options.operands[1])),
                hold.map { joined(",\"for\":\"", decimal($0.milliseconds), "ms\"") } ?? "",
                priority < 0 ? "" : joined(",\"priority\":", decimal(priority)), "}")
            let payload = Array(text.utf8)
            // As the nodes will read it: what they would reject, under another id perhaps, is not sent.
            do throws(CommandError) {
                _ = try payload.parsed()
            } catch {
                return command.wrongUsage(error.reason)
            }
            single = (id, payload)
        }
        if let problem = Connection.wrongUsage(options) { return command.wrongUsage(problem) }
        guard let settings = Connection.settings(options) else { return .configuration }
        return withLoop(level: .warning) { loop, log in
            do throws(KafkaError) {
                let patience = timeout ?? .seconds(10)
                let exchange = try CommandExchange(
                    settings: settings, topic: topic, replies: replies, timeout: patience, loop: loop, log: log)
                let sending = Sending(
                    exchange: exchange, key: key, validity: expires ?? (key == nil ? nil : .seconds(30)),
                    timeout: patience, nodes: nodes, isQuiet: options.has("json"), loop: loop, log: log)
                if let single {
                    sending.send(id: single.id, single.payload, isEnding: false)
                } else {
                    sending.takeInput()
                }
                loop.runUntilStopped(after: nil, log: log)
                sending.end()
                exchange.close()
                return sending.code
            } catch {
                log.error(error.description)
                return error.isWrongConfiguration ? .configuration : .unavailable
            }
        }
    }

    /// What stands on the command line as the JSON value it looks like.
    private static func jsonValue(_ text: String) -> String {
        if text.isEqual(to: "true") || text.isEqual(to: "on") { return "true" }
        if text.isEqual(to: "false") || text.isEqual(to: "off") { return "false" }
        let isNumeric = text.utf8.allSatisfy { ($0 >= 48 && $0 <= 57) || $0 == 45 || $0 == 46 || $0 == 101 }
        guard isNumeric, let number = Double(text), number.isFinite else { return quotedJSON(text) }
        return number.description
    }
}

extension Options {
    fileprivate func has(value name: String) -> Bool { value(name) != nil }
}

private func randomIdentifier() -> String {
    var bits: UInt64 = 0
    arc4random_buf(&bits, 8)
    return String(bits, radix: 16)
}

/// Commands that are under way, and how they ended.
private final class Sending {
    /// How many are under way at a time.
    private static var window: Int { 256 }

    private let exchange: CommandExchange
    private let key: SigningKey?
    private let validity: Interval?
    private let timeout: Interval
    private let nodes: Int
    private let isQuiet: Bool
    private let loop: EventLoop
    private let log: Log
    private var input: LineInput?
    private var isSingle = true
    private var sent = 0
    private var done = 0
    private var refused = 0
    private var unanswered = 0
    private var timer: TimerID?

    init(
        exchange: CommandExchange, key: SigningKey?, validity: Interval?, timeout: Interval, nodes: Int,
        isQuiet: Bool, loop: EventLoop, log: Log
    ) {
        self.exchange = exchange
        self.key = key
        self.validity = validity
        self.timeout = timeout
        self.nodes = nodes
        self.isQuiet = isQuiet
        self.loop = loop
        self.log = log
    }

    var code: ExitCode { unanswered > 0 ? .unavailable : refused > 0 ? .failure : .success }

    /// Sends what standard input holds, line by line.
    func takeInput() {
        isSingle = false
        let input = LineInput(loop: loop) { [unowned(unsafe) self] in
            exchange.waiting.count < Self.window
        } take: { [unowned(unsafe) self] line, number in
            take(line, number)
        } onEnd: { [unowned(unsafe) self] in
            stopWhenDone()
        }
        self.input = input
        // The loop must run before it can be stopped.
        loop.after(.zero) { input.go() }
    }

    private func take(_ line: [UInt8], _ number: Int) {
        if line.allSatisfy({ $0 == 32 || $0 == 9 || $0 == 13 }) { return }
        do throws(CommandError) {
            let command = try line.parsed()
            let id = command.id ?? randomIdentifier()
            var start = line.firstIndex(of: UInt8(ascii: "{")) ?? 0
            var bytes = line
            if command.id == nil {
                start += 1
                bytes.insert(contentsOf: Array(joined("\"id\":", quotedJSON(id), ",").utf8), at: start)
            }
            send(id: id, bytes, isEnding: command.expires != nil)
        } catch {
            refused += 1
            writeLine("kedge send: line \(number): \(error.reason)", to: 2)
        }
    }

    /// Sends a command, with an end and a signature where they are wanted.
    /// - Parameter isEnding: it has an `expires` of its own.
    func send(id: String, _ command: [UInt8], isEnding: Bool) {
        var payload = command
        if let validity, !isEnding, let brace = payload.lastIndex(of: UInt8(ascii: "}")) {
            let end = (loop.time.wallTime + validity).milliseconds
            let fraction = decimal(1_000 + end % 1_000)
            let text = joined(
                ",\"expires\":", decimal(end / 1_000), ".", String(decoding: fraction.utf8.dropFirst(), as: UTF8.self))
            payload.insert(contentsOf: Array(text.utf8), at: brace)
        }
        let signature = payload.withUnsafeBytes { key?.sign($0) }
        sent += 1
        let pending = exchange.send(id: id, payload: payload, signature: signature ?? [], nodes: nodes) {
            [unowned(unsafe) self] reply in
            receive(reply)
        }
        pending.deadline = loop.time.now + timeout
        startTimer()
    }

    /// All wait equally long, so the first is the next to be given up.
    private func startTimer() {
        guard timer == nil, let first = exchange.waiting.first else { return }
        timer = loop.at(first.deadline) { [unowned(unsafe) self] in
            timer = nil
            for command in exchange.waiting where command.deadline <= loop.time.now { giveUp(command) }
            startTimer()
            input?.go()
            stopWhenDone()
        }
    }

    private func receive(_ reply: CommandExchange.Reply) {
        if reply.isDone { done += 1 } else { refused += 1 }
        writeLine(reply.text, to: 1)
        if !isQuiet, isSingle { writeLine("answered after \(milliseconds(reply.after)) ms", to: 2) }
        input?.go()
        stopWhenDone()
    }

    private func giveUp(_ command: CommandExchange.Pending) {
        exchange.forget(command)
        unanswered += 1
        let count = nodes == 1 ? "no reply" : "\(command.missing) of \(nodes) replies are missing"
        log.error("\(count) to \(command.id) within \(timeout.asWritten): \(exchange.progress(of: command))")
    }

    private func stopWhenDone() {
        if exchange.waiting.isEmpty, input?.isEmpty ?? true { loop.stop() }
    }

    /// What was under way when somebody asked for the end has no reply.
    func end() {
        for command in exchange.waiting { giveUp(command) }
        if isQuiet || isSingle && nodes == 1 { return }
        writeLine("\(sent) commands: \(done) done, \(refused) not, \(unanswered) without a reply", to: 2)
    }
}

extension [UInt8] {
    fileprivate func parsed() throws(CommandError) -> Command {
        var failure: CommandError?
        let command = withUnsafeBytes { bytes -> Command? in
            do throws(CommandError) {
                return try CommandParser.parse(bytes)
            } catch {
                failure = error
                return nil
            }
        }
        guard let command else { throw failure ?? CommandError(reason: "no command", id: nil, actuator: nil) }
        return command
    }
}

/// A time in milliseconds with one decimal.
func milliseconds(_ interval: Interval) -> String {
    let tenths = interval.nanoseconds / 100_000
    return "\(tenths / 10).\(tenths % 10)"
}
