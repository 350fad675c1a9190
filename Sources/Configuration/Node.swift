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
        /// Quoted text is never taken for a number, a boolean or nothing. Text that `${…}` gave a part of does not
        /// count as quoted: in `{ port: "${env:PORT}" }` YAML itself demands the quotes.
        public let isQuoted: Bool
        /// Never shown in an error or a log: it came out of `${file:…}`, or its key looks like a secret's (`Secrecy`).
        public let isSecret: Bool
        /// `${…}` gave a part of it.
        public let isSubstituted: Bool
        /// A problem with it has been reported already: it has no usable text and deserves no second error.
        public let isBroken: Bool

        public init(
            text: String, mark: Mark, isQuoted: Bool, isSecret: Bool, isSubstituted: Bool = false,
            isBroken: Bool = false
        ) {
            self.text = text
            self.mark = mark
            self.isQuoted = isQuoted
            self.isSecret = isSecret
            self.isSubstituted = isSubstituted
            self.isBroken = isBroken
        }

        static func broken(_ mark: Mark) -> Scalar {
            Scalar(text: "", mark: mark, isQuoted: false, isSecret: true, isBroken: true)
        }

        /// The text as an error may show it: in quotes, control characters escaped, long text shortened.
        public var shown: String {
            isSecret || carriesCredentials(text) ? "(secret, not shown)" : quoted(text)
        }

        /// Nothing stands there: no text at all, or `${…}` gave none, or `~` or `null`.
        public var isNull: Bool {
            if isQuoted || isBroken { return false }
            if text.utf8.isEmpty { return true }
            return !isSubstituted && isNullWord
        }

        /// Somebody wrote on purpose that nothing stands there, unlike a key with nothing behind the colon.
        var isDeliberatelyNull: Bool { isNull && (isSubstituted || !text.utf8.isEmpty) }

        private var isNullWord: Bool { text.isOneOf(["~", "null", "Null", "NULL"]) }
    }

    /// A `${…}` in it, or somewhere below it, failed, which was reported.
    var isBroken: Bool {
        switch self {
        case .scalar(let scalar): scalar.isBroken
        case .sequence(let nodes, _): nodes.contains { $0.isBroken }
        case .mapping(let entries, _): entries.contains { $0.value.isBroken }
        }
    }

    public var mark: Mark {
        switch self {
        case .scalar(let scalar): scalar.mark
        case .sequence(_, let mark), .mapping(_, let mark): mark
        }
    }
}
