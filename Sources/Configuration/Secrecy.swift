/// Whether the value of a key may be shown in an error, judged by the key's name. It holds for all that stands below
/// the key, too. A value from `${file:…}` is secret whatever its key.
///
/// In doubt a value is hidden: the user can look it up at the place that the error names.
enum Secrecy: Int, Comparable {
    case open
    /// `key` and `pin` name a record's key and a GPIO pin as well as a secret: hidden when an environment variable gave
    /// the value, shown when it stands in the file.
    case doubtful
    case secret

    static func < (left: Secrecy, right: Secrecy) -> Bool { left.rawValue < right.rawValue }

    /// By the end of the key's name, in any case: `sasl.password`, `apiToken`, `hmac_key`, `passwords`.
    init(key: String) {
        var name = key.utf8.map { lowercased($0) }
        if let last = name.last, last == 115, name.count > 3, !Self.ends(name, "pass") { name.removeLast() }
        if Self.ends(name, "key") {
            self = name.count == 3 ? .doubtful : .secret
        } else if Self.ends(name, "pin") {
            self = .doubtful
        } else {
            self = Self.words.contains { Self.ends(name, $0) } ? .secret : .open
        }
    }

    private static var words: [StaticString] {
        [
            "password", "passwd", "pwd", "passphrase", "secret", "token", "credential", "pem",
            // librdkafka properties that hold a list of settings with credentials among them.
            "oauthbearer.config", "jaas.config",
        ]
    }

    private static func ends(_ name: [UInt8], _ word: StaticString) -> Bool {
        let length = word.utf8CodeUnitCount
        if name.count < length { return false }
        return word.withUTF8Buffer { name.suffix(length).elementsEqual($0) }
    }
}

/// Whether `text` looks like a URL with a user's name and password in it (`https://user:password@host`).
func carriesCredentials(_ text: String) -> Bool {
    var matched = 0
    for byte in text.utf8 {
        // "://", then anywhere an "@".
        switch matched {
        case 0: matched = byte == 58 ? 1 : 0
        case 1: matched = byte == 47 ? 2 : byte == 58 ? 1 : 0
        case 2: matched = byte == 47 ? 3 : byte == 58 ? 1 : 0
        default: if byte == 64 { return true }
        }
    }
    return false
}

extension Node {
    /// The same tree as it must be treated below a key of that secrecy: an alias may bring a value under another key.
    func guarded(_ secrecy: Secrecy) -> Node {
        if secrecy == .open { return self }
        switch self {
        case .scalar(let scalar):
            let hide = scalar.isSecret || secrecy == .secret || scalar.isSubstituted
            return .scalar(
                Scalar(
                    text: scalar.text, mark: scalar.mark, isQuoted: scalar.isQuoted, isSecret: hide,
                    isSubstituted: scalar.isSubstituted, isBroken: scalar.isBroken))
        case .sequence(let nodes, let mark):
            return .sequence(nodes.map { $0.guarded(secrecy) }, mark)
        case .mapping(let entries, let mark):
            return .mapping(entries.map { Entry(key: $0.key, value: $0.value.guarded(secrecy)) }, mark)
        }
    }
}
