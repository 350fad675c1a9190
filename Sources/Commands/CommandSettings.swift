import Actuators
import Configuration
import Platform

/// What `commands:` says.
public struct CommandSettings: Equatable, Sendable {
    /// With `{node}` and `{layer}` replaced.
    public var topics: [String]
    public var replies: String
    /// A command whose message is older is expired.
    public var maxAge: Interval
    /// In bytes; a longer message is rejected unread.
    public var maximumSize: Int
    /// Whose commands are carried out; `nil` is everyone's.
    public var keys: Keyring?
    /// How many ids are remembered. While that many must be, because their commands could still be admitted again, new
    /// commands are rejected.
    public var remember: Int
    /// The file that they are kept in; `nil` is in memory only.
    public var path: String?
    /// Where actuators' states go.
    public var state: String
    public var onDisconnect: DisconnectRule
    /// Whether the configuration says anything about commands: a node without actuators takes them only then.
    public var isExplicit: Bool

    public init(
        topics: [String], replies: String = "replies", maxAge: Interval = .seconds(30),
        maximumSize: Int = CommandParser.defaultMaximumSize, keys: Keyring? = nil,
        remember: Int = 4_096, path: String? = nil, state: String = "actuators",
        onDisconnect: DisconnectRule = .standard, isExplicit: Bool = false
    ) {
        self.topics = topics
        self.replies = replies
        self.maxAge = maxAge
        self.maximumSize = maximumSize
        self.keys = keys
        self.remember = remember
        self.path = path
        self.state = state
        self.onDisconnect = onDisconnect
        self.isExplicit = isExplicit
    }

    /// What holds where the configuration is silent: everyone's topic, the layer's if there is one, and the node's.
    public init(names: TopicNames) {
        var topics = ["commands"]
        // A layer may have the node's name. librdkafka refuses a subscription that names a topic twice.
        for name in [names.layer ?? names.node, names.node] {
            let topic = joined("commands.", name)
            if !contains(topics, topic) { topics.append(topic) }
        }
        self.init(topics: topics)
    }

    /// What a later version will know.
    private static var later: [StaticString] { ["rate_limit", "link_loss", "clock"] }

    /// Reads `{ topics: […], replies: replies, max_age: 30s, max_size: 64KiB }` and the keys (`Keyring`); what is absent or
    /// wrong keeps its default.
    /// - Parameters:
    ///   - names: what `{node}` and `{layer}` in a topic stand for.
    ///   - actuators: the ids that senders may be given; `nil` when they are not known.
    public static func decode(_ reader: Reader, _ names: TopicNames, actuators: [String]? = nil) -> CommandSettings {
        var settings = CommandSettings(names: names)
        settings.isExplicit = true
        if let topics = reader.topics("topics", names) {
            // Where all are wrong, that has been said, and the usual ones are not what anybody wrote.
            if reader.list("topics")?.isEmpty == true {
                reader.report("topics", "is empty", expected: "at least one topic")
            } else {
                settings.topics = topics
            }
        } else if reader.isRefused("topics") {
            settings.topics = []
        }
        if let topic = reader.topic("replies", names) { settings.replies = topic }
        if !reader.isRefused("replies"), contains(settings.topics, settings.replies) {
            // Each reply would be taken for a command and answered, for ever.
            reader.report(
                "replies", "is \"\(settings.replies)\", which is a topic of commands, too",
                expected: "a topic of its own")
        }
        if let age = reader.interval("max_age", in: Interval.seconds(1)...Interval.seconds(366 * 86_400)) {
            settings.maxAge = age
        }
        if let size = reader.size("max_size", in: 256...1_048_576) { settings.maximumSize = Int(size) }
        settings.keys = Keyring.decode(reader, actuators: actuators)
        if let count = reader.integer("remember", in: 512...20_000) { settings.remember = Int(count) }
        settings.path = reader.nonEmpty("path")
        if let topic = reader.topic("state", names) { settings.state = topic }
        if !reader.isRefused("state"), contains(settings.topics, settings.state) {
            reader.report(
                "state", "is \"\(settings.state)\", which is a topic of commands, too", expected: "a topic of its own")
        }
        if let rule = DisconnectRule.decode(reader) { settings.onDisconnect = rule }
        reader.refuseLater(later)
        reader.finish()
        return settings
    }
}
