import Configuration
import Platform

/// One property of librdkafka, as the user wrote it.
public struct Property: Equatable, Sendable {
    public let name: String
    public let value: String
    public let mark: Mark
    /// Came out of `${…}`.
    public let isSecret: Bool
    /// A `${…}` in it failed, which was reported: it has no value to check.
    let isBroken: Bool

    public init(
        name: String, value: String, mark: Mark = Mark(line: 1, column: 1), isSecret: Bool = false,
        isBroken: Bool = false
    ) {
        self.isBroken = isBroken
        self.name = name
        self.value = value
        self.mark = mark
        self.isSecret = isSecret
    }

    public static func == (left: Property, right: Property) -> Bool {
        sameBytes(left.name, right.name) && sameBytes(left.value, right.value) && left.mark == right.mark
            && left.isSecret == right.isSecret
    }

    /// Whether its value must not be shown, for where it came from or for what it is.
    public var isHidden: Bool {
        if isSecret { return true }
        return name.isEqual(to: "ssl.key.pem") || name.isEqual(to: "ssl.keystore.key")
            || name.isEqual(to: "sasl.jaas.config") || name.isEqual(to: "sasl.oauthbearer.config")
            || name.hasEnding("password") || name.hasEnding("secret")
    }

    /// Whether it is the list of brokers, by either of its names.
    var namesBrokers: Bool { name.isEqual(to: "bootstrap.servers") || name.isEqual(to: "metadata.broker.list") }

    var shownValue: String { isHidden ? "(not shown)" : joined("\"", value, "\"") }

    func with(name: String? = nil, value: String) -> Property {
        Property(name: name ?? self.name, value: value, mark: mark, isSecret: isHidden)
    }
}

/// The configuration's `kafka:`, checked: what goes to librdkafka, in librdkafka's names.
public struct KafkaSettings: Equatable, Sendable {
    /// The user's, for the producer: those of `all` that a producer takes, then those of `producer`.
    public let producer: [Property]
    /// The user's, for consumers.
    public let consumer: [Property]

    /// Properties that need no check, such as those of the demonstration.
    public init(producer: [Property], consumer: [Property]) {
        self.producer = producer
        self.consumer = consumer
    }

    /// Nothing but where the brokers are.
    public init(bootstrapServers: String) {
        let property = Property(name: "bootstrap.servers", value: bootstrapServers)
        self.init(producer: [property], consumer: [property])
    }

    /// Checks every property against the librdkafka in use. Each wrong one is reported, and left out.
    /// - Parameters:
    ///   - all: for both clients; each takes those that it knows.
    ///   - mark: where to report that `bootstrap.servers` is missing.
    ///   - mayRepeat: whether a property may stand in one list several times, by any of its names: the last one counts.
    public init(
        all: [Property], producer: [Property], consumer: [Property], mark: Mark, mayRepeat: Bool = false,
        diagnostics: Diagnostics
    ) {
        let check = PropertyCheck(diagnostics: diagnostics)
        if !mayRepeat {
            for properties in [all, producer, consumer] { check.reportAliases(properties) }
        }
        let common = check.pass(all, for: .both)
        self.init(
            producer: common.filter(check.isForProducer) + check.pass(producer, for: .producer),
            consumer: common.filter(check.isForConsumer) + check.pass(consumer, for: .consumer))
        let isComplete =
            (all + producer).contains { $0.namesBrokers } && (all + consumer).contains { $0.namesBrokers }
        if !isComplete {
            diagnostics.report(
                mark, "kafka has no bootstrap.servers", expected: "all: { bootstrap.servers: \"host:9092\" }")
        }
    }

    /// Reads `kafka: { all, producer, consumer }`.
    /// - Returns: `nil` when anything in it was reported.
    public static func decode(_ reader: Reader) -> KafkaSettings? {
        let before = reader.diagnostics.problems.count
        let settings = KafkaSettings(
            all: properties(reader.mapping("all")), producer: properties(reader.mapping("producer")),
            consumer: properties(reader.mapping("consumer")), mark: reader.mark, diagnostics: reader.diagnostics)
        reader.finish()
        return reader.diagnostics.problems.count == before ? settings : nil
    }

    /// The same with these brokers instead of the user's.
    public func replacing(bootstrapServers: String) -> KafkaSettings {
        let property = Property(name: "bootstrap.servers", value: bootstrapServers)
        return KafkaSettings(producer: producer + [property], consumer: consumer + [property])
    }

    private static func properties(_ reader: Reader?) -> [Property] {
        guard let reader else { return [] }
        return reader.entries().compactMap { property($0, diagnostics: reader.diagnostics) }
    }

    static func property(_ entry: Node.Entry, diagnostics: Diagnostics) -> Property? {
        let name = entry.key.text
        switch entry.value {
        case .scalar(let scalar):
            return Property(
                name: name, value: scalar.text, mark: scalar.mark, isSecret: scalar.isSecret, isBroken: scalar.isBroken)
        case .sequence(let nodes, let mark):
            // A list reads better than commas, for bootstrap.servers above all.
            var texts: [String] = []
            var isSecret = false
            var isBroken = false
            for case .scalar(let scalar) in nodes {
                texts.append(scalar.text)
                isSecret = isSecret || scalar.isSecret
                isBroken = isBroken || scalar.isBroken
            }
            if texts.count != nodes.count {
                diagnostics.report(mark, "\(name): a list within a list", expected: "a value or a list of values")
                return nil
            }
            return Property(
                name: name, value: texts.joined(separator: ","), mark: mark, isSecret: isSecret, isBroken: isBroken)
        case .mapping(_, let mark):
            diagnostics.report(
                mark, "\(name): a mapping", expected: "a value; property names are written whole, with their dots")
            return nil
        }
    }
}
