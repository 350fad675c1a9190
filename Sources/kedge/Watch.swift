import CShim
import Kafka
import Platform
import Records

extension Subcommand {
    static var watch: Subcommand {
        Subcommand(
            name: "watch", summary: "print the records of a topic", synopsis: "[options] TOPIC",
            description: """
                Prints what arrives on TOPIC, one line a record: its value as it is, or with
                --json an object with topic, partition, offset, timestamp (ms), key, headers
                and value. It joins no consumer group and commits nothing. A topic that does
                not exist yet is waited for.
                """,
            options: Connection.options + [
                Options.Option("from", "WHERE", "beginning, end (the default), or -N: the last N of each partition"),
                Options.Option("count", "N", letter: "n", "end after N records"),
                Options.Option("for", "TIME", "end by itself after this time, such as 10s"),
                Options.Option(flag: "json", "print each record as a JSON object"),
            ],
            operands: 1...1,
            examples: """
                kedge watch sensors
                kedge watch sensors --from -10 --json -b broker:9092
                """,
            body: runWatch)
    }

    private static func runWatch(_ options: Options) -> ExitCode {
        let command = Subcommand.watch
        let topic = options.operands[0]
        guard isLegal(topic: topic) else {
            return command.wrongUsage("\(topic) is no topic's name: 1 to 249 of the characters a-z A-Z 0-9 . _ -")
        }
        guard let start = start(options.value("from") ?? "end") else {
            return command.wrongUsage("--from takes beginning, end or -N")
        }
        guard let count = options.number("count", in: 1...Int.max, default: Int.max) else {
            return command.wrongUsage("--count takes a number from 1 on")
        }
        guard let limit = options.limit() else { return command.wrongUsage(Options.limitWanted) }
        if let problem = Connection.wrongUsage(options) { return command.wrongUsage(problem) }
        guard let settings = Connection.settings(options) else { return .configuration }
        return withLoop { loop, log in
            do throws(KafkaError) {
                let watcher = try Watcher(
                    name: "kedge-watch", topic: topic, from: start, properties: settings.consumer, loop: loop, log: log)
                var seen = 0
                let asJSON = options.has("json")
                let output = LineWriter()
                var isReady = false
                var isWritten = true
                watcher.onReady = {
                    isReady = true
                    log.info("watching \(topic)")
                }
                watcher.onMessage = { message in
                    guard seen < count, isWritten else { return }
                    isWritten = asJSON ? output.write(describing: message) : output.write(message.payload)
                    seen += 1
                    if seen == count || !isWritten { loop.stop() }
                }
                loop.runUntilStopped(after: limit, log: log)
                watcher.close()
                // Whoever read it may have seen enough.
                if !isWritten { return .success }
                // Without a broker or a topic there was nothing to watch.
                return isReady && (options.value("count") == nil || seen == count) ? .success : .unavailable
            } catch {
                log.error(error.description)
                return error.isWrongConfiguration ? .configuration : .unavailable
            }
        }
    }

    private static func start(_ text: String) -> Watcher.Start? {
        if text.isEqual(to: "beginning") { return .beginning }
        if text.isEqual(to: "end") { return .end }
        guard let number = wholeNumber(text), number < 0, number > -1_000_000 else { return nil }
        return .last(Int(-number))
    }
}

/// Writes records to standard output, a line each.
final class LineWriter {
    private var buffer: [UInt8] = []

    /// The bytes as they are, with a line feed.
    /// - Returns: whether standard output still takes them.
    func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
        buffer.removeAll(keepingCapacity: true)
        buffer.append(contentsOf: bytes)
        buffer.append(10)
        return buffer.withUnsafeBytes { kedge_write_all(1, $0.baseAddress, $0.count) == 0 }
    }

    /// All there is to a message, as a JSON object. What is not UTF-8 is replaced by U+FFFD.
    func write(describing message: Message) -> Bool {
        var size = 256 + JSONString.maximumBytes(utf8Count: message.topic.utf8.count)
        size += JSONString.maximumBytes(utf8Count: message.key.count)
        size += JSONString.maximumBytes(utf8Count: message.payload.count)
        message.forEachHeader { name, value in
            size += JSONString.maximumBytes(utf8Count: name.utf8.count + value.count) + 8
        }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 1)
        defer { memory.deallocate() }
        var writer = ByteWriter(memory)
        writer.write("{\"topic\":")
        JSONString.write(message.topic, to: &writer)
        writer.write(",\"partition\":")
        writer.write(Int64(message.partition))
        writer.write(",\"offset\":")
        writer.write(message.offset)
        if let timestamp = message.timestamp {
            writer.write(",\"timestamp\":")
            writer.write(timestamp.milliseconds)
        }
        writer.write(",\"key\":")
        JSONString.write(message.key, to: &writer)
        writer.write(",\"headers\":{")
        var isFirst = true
        message.forEachHeader { name, value in
            if !isFirst { writer.write(",") }
            isFirst = false
            JSONString.write(name, to: &writer)
            writer.write(":")
            JSONString.write(value, to: &writer)
        }
        writer.write("},\"value\":")
        JSONString.write(message.payload, to: &writer)
        writer.write("}")
        return write(writer.written)
    }
}
