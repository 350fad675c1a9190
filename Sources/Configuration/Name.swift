import Platform

/// What a name may be made of.
public enum NameRule: Sendable {
    /// Of a sensor or an actuator: 1 to 128 bytes of printable UTF-8, no control or invisible characters, no `/` (which
    /// separates the parts of record ids, HTTP paths and MQTT topics), no space at either end.
    case identifier
    /// Of a node or a layer: as a topic, since it becomes part of one, but of 1 to 128 characters.
    case node
    /// Of a Kafka topic (the broker's rule): 1 to 249 of the characters a-z A-Z 0-9 . _ -, but neither `.` nor `..`.
    case topic

    public func allows(_ name: String) -> Bool {
        switch self {
        case .identifier: Self.isIdentifier(name)
        case .node: name.utf8.count <= 128 && Self.isTopic(name)
        case .topic: name.utf8.count <= 249 && Self.isTopic(name)
        }
    }

    var words: String {
        switch self {
        case .identifier: "1 to 128 bytes of printable text, without / and without spaces at its ends"
        case .node: "1 to 128 of the characters a-z A-Z 0-9 . _ -"
        case .topic: "1 to 249 of the characters a-z A-Z 0-9 . _ - (neither . nor ..)"
        }
    }

    private static func isIdentifier(_ name: String) -> Bool {
        let bytes = name.utf8
        guard let first = bytes.first, let last = bytes.last, bytes.count <= 128, first != 32, last != 32 else {
            return false
        }
        for scalar in name.unicodeScalars where scalar.value == 47 || isInvisible(scalar.value) { return false }
        return true
    }

    private static func isTopic(_ name: String) -> Bool {
        for byte in name.utf8 where !isLetter(byte) && !isDigit(byte) && byte != 46 && byte != 95 && byte != 45 {
            return false
        }
        return !name.utf8.isEmpty && !name.isEqual(to: ".") && !name.isEqual(to: "..")
    }
}

/// What `{node}` and `{layer}` in a topic's name stand for.
public struct TopicNames: Sendable {
    public let node: String
    /// `nil` when the node belongs to no layer.
    public let layer: String?

    public init(node: String, layer: String?) {
        self.node = node
        self.layer = layer
    }
}

extension Field {
    /// A topic's name in which `{node}` and `{layer}` are replaced. An unknown placeholder, `{layer}` without a layer, and
    /// a name that Kafka would refuse are problems.
    public func topic(_ names: TopicNames) -> String? {
        guard let scalar = scalar(.name(.topic)) else { return nil }
        let text = Array(scalar.text.utf8)
        var result: [UInt8] = []
        var index = 0
        while index < text.count {
            guard text[index] == 123 else {
                result.append(text[index])
                index += 1
                continue
            }
            guard let end = text[index...].firstIndex(of: 125) else {
                refuse(expected: "a } for its {")
                return nil
            }
            let name = String(decoding: text[(index + 1)..<end], as: UTF8.self)
            index = end + 1
            if name.isEqual(to: "node") {
                result += Array(names.node.utf8)
            } else if name.isEqual(to: "layer") {
                guard let layer = names.layer else {
                    refuse(expected: "no {layer}, as the configuration has no layer")
                    return nil
                }
                result += Array(layer.utf8)
            } else {
                refuse(expected: "no other placeholders than {node} and {layer}")
                return nil
            }
        }
        let topic = String(decoding: result, as: UTF8.self)
        if NameRule.topic.allows(topic) { return topic }
        refuse(expected: NameRule.topic.words)
        return nil
    }
}

extension Reader {
    /// A topic's name, with `{node}` and `{layer}` replaced.
    public func topic(_ key: StaticString, _ names: TopicNames) -> String? { field(key)?.topic(names) }

    /// A list of topics' names (or one), with `{node}` and `{layer}` replaced; wrong ones are reported and left out, as is
    /// what stands there twice. Where the layer has the node's name, two placeholders make one topic.
    public func topics(_ key: StaticString, _ names: TopicNames) -> [String]? {
        guard let fields = fields(key) else { return nil }
        var topics: [String] = []
        var written: [String] = []
        for field in fields {
            guard let topic = field.topic(names), let text = field.string() else { continue }
            if contains(written, text) { field.refuse(expected: "each topic once") }
            written.append(text)
            if !contains(topics, topic) { topics.append(topic) }
        }
        return topics
    }
}
