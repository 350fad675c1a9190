import Actuators
import Configuration
import Platform

/// What `commands:` says.
public struct CommandSettings: Equatable, Sendable {
    /// A topic's name as it was written, in which `{node}` and `{layer}` are still to be replaced.
    public struct Topic: Equatable, Sendable {
        public let text: String
        public let mark: Mark

        public init(_ text: String, mark: Mark) {
            self.text = text
            self.mark = mark
        }
    }

    public var topics: [Topic]
    public var replies: Topic
    /// A command whose message is older is expired.
    public var maxAge: Interval
    /// In bytes; a longer message is rejected unread.
    public var maximumSize: Int

    public init(
        topics: [Topic], replies: Topic, maxAge: Interval = .seconds(30),
        maximumSize: Int = CommandParser.defaultMaximumSize
    ) {
        self.topics = topics
        self.replies = replies
        self.maxAge = maxAge
        self.maximumSize = maximumSize
    }

    /// What holds where the configuration is silent: everyone's topic, the layer's if there is one, and the node's.
    public static func standard(hasLayer: Bool, mark: Mark = Mark(line: 1, column: 1)) -> CommandSettings {
        let names = hasLayer ? ["commands", "commands.{layer}", "commands.{node}"] : ["commands", "commands.{node}"]
        return CommandSettings(
            topics: names.map { Topic($0, mark: mark) }, replies: Topic("replies", mark: mark))
    }

    /// What a later version will know. Accepting it now would promise a protection that is not there.
    private static var later: [StaticString] { ["key_file", "rate_limit", "link_loss", "remember", "clock"] }

    /// Reads `{ topics: […], replies: replies, max_age: 30s, max_size: 64KiB }`; what is absent or wrong keeps its default.
    public static func decode(_ reader: Reader, hasLayer: Bool) -> CommandSettings {
        var settings = standard(hasLayer: hasLayer, mark: reader.mark)
        if let nodes = reader.list("topics") {
            let topics = nodes.compactMap { node in topic(node, in: reader) }
            if nodes.isEmpty {
                reader.diagnostics.report(
                    reader.mark(of: "topics"), joined(reader.path, ".topics is empty"), expected: "at least one topic")
            }
            if !topics.isEmpty { settings.topics = topics }
        }
        if let node = reader.node("replies"), let topic = topic(node, in: reader) { settings.replies = topic }
        if settings.topics.contains(where: { sameBytes($0.text, settings.replies.text) }) {
            // Each reply would be taken for a command and answered, for ever.
            reader.diagnostics.report(
                settings.replies.mark,
                joined(reader.path, ".replies: \"", excerpt(settings.replies.text), "\" is a topic of commands, too"),
                expected: "a topic of its own")
        }
        if let age = reader.interval("max_age", in: Interval.seconds(1)...Interval.seconds(366 * 86_400)) {
            settings.maxAge = age
        }
        if let size = reader.size("max_size", in: 256...1_048_576) { settings.maximumSize = Int(size) }
        for key in later where reader.has(key) {
            reader.diagnostics.report(
                reader.mark(of: key), joined(reader.path, ".", string(key), ": not in this version"))
        }
        reader.finish()
        return settings
    }

    private static func topic(_ node: Node, in reader: Reader) -> Topic? {
        if case .scalar(let scalar) = node, !scalar.text.utf8.isEmpty, scalar.text.utf8.first != UInt8(ascii: "^") {
            return Topic(scalar.text, mark: scalar.mark)
        }
        // librdkafka takes a name that begins with ^ for a pattern, which might match the topic of replies.
        reader.diagnostics.report(node.mark, joined(reader.path, ": this is no topic"), expected: "the name of a topic")
        return nil
    }
}
