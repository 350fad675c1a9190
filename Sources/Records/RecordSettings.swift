import Configuration

/// What `records:` says: where records go and how they look.
public struct RecordSettings: Equatable, Sendable {
    public var topic: String
    public var timestamp: TimestampFormat
    /// Whether records carry the series' `unit`.
    public var showsUnit: Bool

    public init(topic: String = "sensors", timestamp: TimestampFormat = .seconds, showsUnit: Bool = false) {
        self.topic = topic
        self.timestamp = timestamp
        self.showsUnit = showsUnit
    }

    /// Reads `{ topic: sensors, timestamp: seconds | millis | rfc3339, unit: true | false }`; what is absent or wrong
    /// keeps its default.
    /// - Parameter names: what `{node}` and `{layer}` in the topic stand for.
    public static func decode(_ reader: Reader, _ names: TopicNames) -> RecordSettings {
        var settings = RecordSettings()
        if let topic = reader.topic("topic", names) { settings.topic = topic }
        switch reader.choice("timestamp", ["seconds", "millis", "rfc3339"]) {
        case 1: settings.timestamp = .millis
        case 2: settings.timestamp = .rfc3339
        default: break
        }
        if let unit = reader.boolean("unit") { settings.showsUnit = unit }
        reader.finish()
        return settings
    }
}
