/// A configuration file as a tree; every node knows its place.
public indirect enum Node: Sendable {
    case scalar(Scalar)
    case sequence([Node], Mark)
    case mapping([Entry], Mark)

    public struct Entry: Sendable {
        public let key: Scalar
        public let value: Node

        public init(key: Scalar, value: Node) {
            self.key = key
            self.value = value
        }
    }

    /// Text with its place, after `${…}` was replaced.
    public struct Scalar: Equatable, Sendable {
        public let text: String
        public let mark: Mark
        /// Quoted text is never taken for a number, a boolean or nothing.
        public let isQuoted: Bool
        /// Came out of `${file:…}` or `${env:…}`: never shown in an error or a log.
        public let isSecret: Bool

        public init(text: String, mark: Mark, isQuoted: Bool, isSecret: Bool) {
            self.text = text
            self.mark = mark
            self.isQuoted = isQuoted
            self.isSecret = isSecret
        }

        /// The text as an error may show it.
        public var shown: String { isSecret ? "(from ${…}, not shown)" : "\"\(text)\"" }
    }

    public var mark: Mark {
        switch self {
        case .scalar(let scalar): scalar.mark
        case .sequence(_, let mark), .mapping(_, let mark): mark
        }
    }
}
