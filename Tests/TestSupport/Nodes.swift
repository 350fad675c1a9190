import Configuration

// Configuration nodes without a file: for tests of what a stage reads, and of the places that it names.

extension Node: ExpressibleByStringLiteral, ExpressibleByArrayLiteral {
    public init(stringLiteral text: String) {
        self = .scalar(
            Scalar(text: text, mark: Mark(line: 1, column: 1), isQuoted: false, isSecret: false))
    }
    public init(arrayLiteral elements: Node...) { self = .sequence(elements, Mark(line: 1, column: 1)) }
}

/// Text as it stands in a file.
public func scalar(
    _ text: String, line: Int = 1, column: Int = 1, isQuoted: Bool = false, isSecret: Bool = false
) -> Node {
    .scalar(
        Node.Scalar(text: text, mark: Mark(line: line, column: column), isQuoted: isQuoted, isSecret: isSecret))
}

/// A mapping whose pairs stand on lines of their own, from `line` on: keys in column 1, scalars and lists in column 9.
/// Mappings in it keep the lines that they were given.
public func mapping(_ pairs: KeyValuePairs<String, Node>, line: Int = 1) -> Node {
    var entries: [Node.Entry] = []
    for (index, pair) in pairs.enumerated() {
        let line = line + index
        let key = Node.Scalar(text: pair.key, mark: Mark(line: line, column: 1), isQuoted: false, isSecret: false)
        var value = pair.value
        switch value {
        case .scalar(let old):
            value = scalar(old.text, line: line, column: 9, isQuoted: old.isQuoted, isSecret: old.isSecret)
        case .sequence(let elements, _): value = .sequence(elements, Mark(line: line, column: 9))
        case .mapping: break
        }
        entries.append(Node.Entry(key: key, value: value))
    }
    return .mapping(entries, Mark(line: line, column: 1))
}
