import Configuration
import Platform

/// What `delivery:` says: what may happen to a record between the outbox and a topic.
public struct DeliverySettings: Equatable, Sendable {
    public enum Mode: Equatable, Sendable {
        /// Never lost; repeated when a producer is replaced, or the node loses power, between delivery and cleanup.
        case atLeastOnce
        /// Neither, for consumers with `isolation.level: read_committed`: records travel in transactions.
        case exactlyOnce
    }

    public var mode: Mode
    /// A transaction is committed so long after its first record,
    public var commitEvery: Interval
    /// or with so many records.
    public var commitRecords: Int

    public init(mode: Mode = .atLeastOnce, commitEvery: Interval = .milliseconds(500), commitRecords: Int = 1_000) {
        self.mode = mode
        self.commitEvery = commitEvery
        self.commitRecords = commitRecords
    }

    /// Reads `at-least-once`, `exactly-once`, or `{ mode: exactly-once, commit_every: 500ms, commit_records: 1000 }`; what
    /// is absent or wrong keeps its default.
    public static func decode(_ field: Field) -> DeliverySettings {
        var settings = DeliverySettings()
        let modes: [StaticString] = ["at-least-once", "exactly-once"]
        if case .scalar = field.node {
            if field.choice(modes) == 1 { settings.mode = .exactlyOnce }
            return settings
        }
        let reader = field.reader()
        if reader.choice("mode", modes) == 1 { settings.mode = .exactlyOnce }
        if let every = reader.interval("commit_every", in: .milliseconds(10)...Interval.seconds(30)) {
            settings.commitEvery = every
        }
        if let records = reader.integer("commit_records", in: 1...100_000) { settings.commitRecords = Int(records) }
        reader.finish()
        return settings
    }

    /// Reports the user's properties that exactly-once delivery rules out, each with its line.
    public func check(_ kafka: KafkaSettings, diagnostics: Diagnostics) {
        guard mode == .exactlyOnce else { return }
        // librdkafka's default.
        var limit: Int64 = 60_000
        for property in kafka.producer where property.name.isEqual(to: "transaction.timeout.ms") {
            limit = wholeNumber(property.value) ?? limit
        }
        for property in kafka.producer {
            let name = property.name
            let expected: String
            if name.isEqual(to: "enable.idempotence") {
                if property.value.isEqual(to: "true") { continue }
                expected = "true, or delivery: at-least-once"
            } else if ClientConfiguration.rulesOutIdempotence(property) {
                expected =
                    "all replicas' acknowledgement, retries, and at most 5 requests in flight, or delivery: at-least-once"
            } else if name.isEqual(to: "message.timeout.ms") || name.isEqual(to: "delivery.timeout.ms") {
                guard let timeout = wholeNumber(property.value) else { continue }
                if (1...limit).contains(timeout) { continue }
                expected = joined("1 to transaction.timeout.ms (", decimal(limit), "), or delivery: at-least-once")
            } else {
                continue
            }
            diagnostics.report(
                property.mark, joined(name, ": ", property.shownValue, " contradicts delivery: exactly-once"),
                expected: expected)
        }
    }
}
