import CShim
import Kafka
import Platform
import Records

extension Subcommand {
    static var send: Subcommand {
        Subcommand(
            name: "send", summary: "send a command to an actuator and wait for the reply",
            synopsis: "[options] ACTUATOR VALUE",
            description: """
                Sends {"id":…,"actuator":ACTUATOR,"value":VALUE} to the topic of commands, waits
                for the reply to that id and prints it. VALUE is a number, true, false or a
                text. The reply's topic is in place before the command is sent.

                Exits with 0 when the actuator did it (`done`), with 1 when the reply says
                otherwise, with 69 when there was none in time.
                """,
            options: Connection.options + [
                Options.Option("topic", "NAME", letter: "t", "topic of commands, such as commands.pi-01 (commands)"),
                Options.Option("replies", "NAME", "topic of replies (replies)"),
                Options.Option("for", "TIME", "go back to the safe value after this time, such as 30s"),
                Options.Option("expires", "TIME", "not to be done later than this from now, such as 10s"),
                Options.Option("id", "TEXT", "the command's id (a random one)"),
                Options.Option("timeout", "TIME", "how long to wait for the reply (10s)"),
                Options.Option(flag: "json", "print only the reply"),
            ],
            operands: 2...2,
            examples: """
                kedge send pump 1 --for 30s -b broker:9092
                kedge send lamp off --topic commands.pi-07 --expires 5s
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
        guard let hold = options.limit(), let expires = options.time("expires"),
            let timeout = options.time("timeout")
        else { return command.wrongUsage("--for, --expires and --timeout take a time with its unit, such as 10s") }
        guard let settings = Connection.settings(options) else { return .configuration }
        let id = options.value("id") ?? randomIdentifier()
        return withLoop(level: .warning) { loop, log in
            let expiry = expires.map { loop.time.wallTime + $0 }
            let payload = payload(id: id, options.operands[0], options.operands[1], hold: hold, expires: expiry)
            do throws(KafkaError) {
                let exchange = try CommandExchange(
                    settings: settings, topic: topic, replies: replies, loop: loop, log: log)
                var code = ExitCode.unavailable
                exchange.send(id: id, payload: payload) { reply in
                    code = reply.isDone ? .success : .failure
                    writeLine(reply.text, to: 1)
                    if !options.has("json") {
                        writeLine("answered after \(milliseconds(reply.after)) ms", to: 2)
                    }
                    loop.stop()
                }
                let limit = timeout ?? .seconds(10)
                loop.runUntilStopped(after: limit, log: log)
                exchange.close()
                if code == .unavailable {
                    log.error("no reply within \(limit.seconds) s: \(exchange.progress)")
                }
                return code
            } catch {
                log.error(error.description)
                return .unavailable
            }
        }
    }

    private static func payload(
        id: String, _ actuator: String, _ value: String, hold: Interval?, expires: WallTime?
    ) -> [UInt8] {
        var text = "{\"id\":\(quotedJSON(id)),\"actuator\":\(quotedJSON(actuator)),\"value\":\(jsonValue(value))"
        if let hold { text += ",\"for\":\"\(hold.milliseconds)ms\"" }
        if let expires { text += ",\"expires\":\(expires.milliseconds / 1_000)" }
        return Array((text + "}").utf8)
    }

    /// What stands on the command line as the JSON value it looks like.
    private static func jsonValue(_ text: String) -> String {
        if text.isEqual(to: "true") || text.isEqual(to: "on") { return "true" }
        if text.isEqual(to: "false") || text.isEqual(to: "off") { return "false" }
        let isNumeric = text.utf8.allSatisfy { ($0 >= 48 && $0 <= 57) || $0 == 45 || $0 == 46 || $0 == 101 }
        guard isNumeric, let number = Double(text), number.isFinite else { return quotedJSON(text) }
        return "\(number)"
    }

    private static func randomIdentifier() -> String {
        var bits: UInt64 = 0
        arc4random_buf(&bits, 8)
        return String(bits, radix: 16)
    }
}

/// A time in milliseconds with one decimal.
func milliseconds(_ interval: Interval) -> String {
    let tenths = interval.nanoseconds / 100_000
    return "\(tenths / 10).\(tenths % 10)"
}
