import Agent
import CShim
import Configuration
import Kafka
import Platform

extension Subcommand {
    /// Runs `body` with an event loop and a log; SIGTERM, SIGINT and SIGHUP are taken from here on.
    static func withLoop(level: Log.Level = .info, _ body: (EventLoop, Log) -> ExitCode) -> ExitCode {
        let log = Log.standardError(level: level)
        // A reader that goes away (kedge watch | head) ends the writing, not the process.
        kedge_ignore_broken_pipes()
        do throws(SystemError) {
            let loop = try EventLoop()
            // Before anything starts a thread: a thread that does not know of it would take the signal and end the process.
            try loop.onSignals([SIGTERM, SIGINT, SIGHUP]) { [unowned(unsafe) loop] _ in loop.endRequested() }
            return body(loop, log)
        } catch {
            log.error(error.description)
            return .failure
        }
    }
}

extension EventLoop {
    /// Runs until a signal asks for the end, `stop()` is called, or `limit` has passed.
    /// - Parameter onEnd: what to do at the first request instead of stopping the loop; a second one stops it all the same.
    func runUntilStopped(after limit: Interval?, log: Log, onEnd: (() -> Void)? = nil) {
        self.onEnd = onEnd ?? { [unowned(unsafe) self] in stop() }
        do throws(SystemError) {
            if let limit { after(limit) { [unowned(unsafe) self] in endRequested() } }
            try run()
        } catch {
            log.error(error.description)
        }
    }
}

/// The process's environment.
func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

/// How a Kafka client of the command line finds its brokers: `--config`, `--bootstrap` and `-X`.
enum Connection {
    static var options: [Options.Option] {
        [
            Options.Option(
                "bootstrap", "HOST:PORT[,...]", letter: "b", "the brokers (KAFKA_BOOTSTRAP_SERVERS, or 127.0.0.1:9092)"),
            Options.Option("config", "FILE", letter: "c", "take the Kafka properties from an agent's configuration"),
            Options.Option("property", "NAME=VALUE", letter: "X", "a librdkafka property; may be repeated"),
        ]
    }

    /// What is wrong with the brokers of `--bootstrap`, in words; `nil` when nothing is.
    static func wrongUsage(_ options: Options) -> String? {
        options.value("bootstrap").flatMap { problem(of: $0, from: "--bootstrap") }
    }

    private static func problem(of servers: String, from origin: String) -> String? {
        BrokerList.problem(of: servers).map { joined(origin, ": ", $0.words(), ", expected ", BrokerList.expected) }
    }

    /// The properties that the options ask for; problems are written to standard error. `wrongUsage` comes first.
    static func settings(_ options: Options) -> KafkaSettings? {
        var all: [Property] = []
        var configured: KafkaSettings?
        if let path = options.value("config") {
            guard let settings = loadConfiguration(path) else { return nil }
            configured = settings.kafka
        }
        if let servers = options.value("bootstrap") {
            all.append(Property(name: "bootstrap.servers", value: servers))
        } else if configured == nil {
            let variable = "KAFKA_BOOTSTRAP_SERVERS"
            let servers = environment(variable) ?? "127.0.0.1:9092"
            if let problem = problem(of: servers, from: variable) {
                writeLine(problem, to: 2)
                return nil
            }
            all.append(Property(name: "bootstrap.servers", value: servers))
        }
        for text in options.all("property") {
            let bytes = Array(text.utf8)
            guard let equals = bytes.firstIndex(of: UInt8(ascii: "=")), equals > 0 else {
                writeLine("-X takes NAME=VALUE, not \(text)", to: 2)
                return nil
            }
            all.append(
                Property(
                    name: String(decoding: bytes[..<equals], as: UTF8.self),
                    value: String(decoding: bytes[(equals + 1)...], as: UTF8.self)))
        }
        let diagnostics = Diagnostics(file: "")
        let settings = KafkaSettings(
            all: all, producer: configured?.producer ?? [], consumer: configured?.consumer ?? [],
            mark: Mark(line: 1, column: 1), mayRepeat: true, diagnostics: diagnostics)
        for problem in diagnostics.problems { writeLine(problem.text, to: 2) }
        guard diagnostics.isEmpty else { return nil }
        // The command line comes last, so that it wins over the file.
        return KafkaSettings(
            producer: settings.producer + settings.producer.filter { all.contains($0) },
            consumer: settings.consumer + settings.consumer.filter { all.contains($0) })
    }
}

extension Options {
    /// A whole number in `range`; `default` where the option is absent, `nil` where it is none.
    func number(_ name: String, in range: ClosedRange<Int>, default absent: Int) -> Int? {
        guard let text = value(name) else { return absent }
        guard let number = wholeNumber(text).flatMap({ Int(exactly: $0) }), range.contains(number) else { return nil }
        return number
    }

    /// A time with a unit; `.some(nil)` where the option is absent, `nil` where it is none.
    func time(_ name: String) -> Interval?? {
        guard let text = value(name) else { return .some(nil) }
        guard let interval = Interval(text: text), interval > .zero else { return nil }
        return .some(interval)
    }

    /// `--for`.
    func limit() -> Interval?? { time("for") }

    static var limitWanted: String { "--for takes a time with its unit, such as 10s or 5m" }
}
