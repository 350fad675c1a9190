import CShim
import Kafka
import Platform

extension Subcommand {
    static var broker: Subcommand {
        Subcommand(
            name: "broker", summary: "run an embedded Kafka broker, for development", synopsis: "[options]",
            description: """
                Runs librdkafka's mock cluster until it is stopped (Ctrl-C), and prints where it
                listens as "bootstrap.servers=HOST:PORT[,HOST:PORT ...]". Everything is kept in
                memory and forgotten at the end; old records beyond some megabytes of a
                partition are dropped. A topic comes into being when it is first used.

                For development and tests only: no security, no disk, no administration, and
                no isolation of transactions: consumers get the records of aborted and
                unfinished ones, too, also with isolation.level=read_committed.
                """,
            options: [
                Options.Option("brokers", "N", letter: "n", "how many brokers the cluster has, 1 to 16 (1)"),
                Options.Option(
                    "port", "PORT", letter: "p", "port of the first broker; the others follow (any free ones)"),
                Options.Option("listen", "ADDRESS", "IPv4 address to listen on and to be reached at (127.0.0.1)"),
                Options.Option("topic", "NAME[:N]", letter: "t", "make a topic with N partitions (4); may be repeated"),
                Options.Option("for", "TIME", "end by itself after this time, such as 10m"),
                Options.Option(flag: "json", "print one JSON object"),
            ],
            operands: 0...0,
            examples: """
                kedge broker -n 3 --port 9092 --topic sensors:6
                kedge watch sensors -b 127.0.0.1:9092
                """,
            body: runBroker)
    }

    private static func runBroker(_ options: Options) -> ExitCode {
        let command = Subcommand.broker
        guard let brokers = options.number("brokers", in: 1...16, default: 1) else {
            return command.wrongUsage("--brokers takes a number from 1 to 16")
        }
        guard let port = options.number("port", in: 0...65_535, default: 0) else {
            return command.wrongUsage("--port takes a number from 1 to 65535")
        }
        let address = options.value("listen") ?? "127.0.0.1"
        // Clients are told to connect to it: 0.0.0.0 would be themselves.
        guard kedge_is_ipv4(address), !address.isEqual(to: "0.0.0.0") else {
            return command.wrongUsage(
                "--listen takes an IPv4 address that clients reach, such as 192.168.1.5, not \(address)")
        }
        guard let limit = options.limit() else { return command.wrongUsage(Options.limitWanted) }
        var topics: [(name: String, partitions: Int)] = []
        for text in options.all("topic") {
            guard let topic = topicWithPartitions(text) else {
                return command.wrongUsage("--topic takes NAME or NAME:PARTITIONS, not \(text)")
            }
            topics.append(topic)
        }
        return withLoop { loop, log in
            do throws(MockClusterError) {
                let cluster = try MockCluster.start(
                    brokers: brokers, address: address, port: UInt16(port), loop: loop, log: log)
                for topic in topics {
                    do throws(KafkaError) {
                        try cluster.createTopic(
                            topic.name, partitions: topic.partitions, replicas: min(brokers, 3))
                    } catch {
                        throw .create(error)
                    }
                }
                let servers = cluster.bootstrapServers
                if options.has("json") {
                    writeLine("{\"bootstrap.servers\":\"\(servers)\"}", to: 1)
                } else {
                    writeLine("bootstrap.servers=\(servers)", to: 1)
                }
                loop.runUntilStopped(after: limit, log: log)
                cluster.close()
                return .success
            } catch {
                log.error(error.description)
                return .unavailable
            }
        }
    }

    private static func topicWithPartitions(_ text: String) -> (name: String, partitions: Int)? {
        let bytes = Array(text.utf8)
        guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else {
            return isLegal(topic: text) ? (text, 4) : nil
        }
        let name = String(decoding: bytes[..<colon], as: UTF8.self)
        guard isLegal(topic: name), let count = wholeNumber(String(decoding: bytes[(colon + 1)...], as: UTF8.self)),
            (1...1_000).contains(count)
        else { return nil }
        return (name, Int(count))
    }
}
