import CCrypto
import Configuration
import Platform
import Records

/// The keys that commands must be signed with, and who has them.
///
/// A signature is the value of the Kafka header `sig`, `<key id>:<digits>`, in which the digits are hexadecimal: the HMAC-SHA256
/// (64 digits) or the Ed25519 signature (128) of the message's value, byte by byte as it is sent. Which of the two is the
/// key's business, and a header cannot choose. Several keys at once serve to change them: the new one is added here,
/// then the senders change over, then the old one is taken away.
///
/// A signature says who, not when, nor to whom: see `objection(to:)`, and give nodes keys of their own where one
/// command must not serve at another.
// Immutable, and libcrypto's keys may be read by several threads.
public final class Keyring: @unchecked Sendable, Equatable {
    /// The header's name.
    public static var header: StaticString { "sig" }
    /// How far `expires` may lie ahead. So long ids are sure to be remembered, unless the command ends before: see
    /// `ClaimList`.
    public static var longestValidity: Interval { .seconds(3_600) }

    /// What a signature is worth.
    public enum Verdict {
        case valid(Sender)
        case unsigned
        /// No key has that id; it is shown as far as it could be one.
        case unknownKey(String)
        /// No signature by its form, or not this message's.
        case wrong

        /// Why nothing is done, in words for the reply; `nil` when it is valid.
        public var reason: String? {
            switch self {
            case .valid: nil
            case .unsigned: "the command is not signed: this node wants a header sig"
            case .unknownKey(let id): joined("the signature is of a key \"", id, "\", which this node does not have")
            case .wrong: "the signature is wrong"
            }
        }
    }

    struct Key {
        let loaded: LoadedKey
        let sender: Sender
    }

    private let keys: [Key]

    init(_ keys: [Key]) { self.keys = keys }

    /// Each keyring is its own.
    public static func == (left: Keyring, right: Keyring) -> Bool { left === right }

    /// Judges the signature of `payload`.
    /// - Parameter signature: the value of the header `sig`, or `nil` when there is none.
    public func verify(payload: UnsafeRawBufferPointer, signature: UnsafeRawBufferPointer?) -> Verdict {
        guard let signature, !signature.isEmpty else { return .unsigned }
        guard signature.count <= 128 + 1 + 128, let colon = signature.firstIndex(of: UInt8(ascii: ":")) else {
            return .wrong
        }
        let id = String(decoding: signature[..<colon], as: UTF8.self)
        guard NameRule.node.allows(id) else { return .wrong }
        guard let key = keys.first(where: { sameBytes($0.loaded.id, id) }) else { return .unknownKey(excerpt(id)) }
        let digits = UnsafeRawBufferPointer(rebasing: signature[(colon + 1)...])
        let isRight = withUnsafeTemporaryAllocation(byteCount: Ed25519Key.signatureSize, alignment: 1) { room in
            guard let count = Hexadecimal.read(digits, into: room) else { return false }
            let bytes = UnsafeRawBufferPointer(rebasing: room[..<count])
            switch key.loaded.material {
            case .shared(let secret):
                return HMACSHA256.verify(key: UnsafeRawBufferPointer(secret.memory), payload, code: bytes)
            case .ed25519(let key): return key.verify(payload, signature: bytes)
            }
        }
        return isRight ? .valid(key.sender) : .wrong
    }

    /// Why a command with a valid signature is not to be carried out yet: who can write to the topic could send it
    /// again, under a new timestamp, as soon as its id is forgotten. So it must have an id, and an end that is near.
    /// - Returns: the reason, or `nil` when there is none.
    public func objection(to command: Command, at now: WallTime) -> String? {
        guard command.id != nil, let expires = command.expires else {
            return "a signed command needs an id and an expires, or it could be played again"
        }
        if expires - now > Self.longestValidity {
            return "expires is more than an hour ahead: a signed command could be played again until then"
        }
        return nil
    }
}

extension Keyring {
    /// Reads `key_file`, `public_key_file` and `senders`:
    ///
    ///     key_file: /etc/kedge/commands.key          # or a list of files
    ///     public_key_file: /etc/kedge/ops.pub
    ///     senders:
    ///       ops: { keys: [ops-1, ops-2], actuators: { "*": {} } }
    ///       app: { actuators: { lamp: {}, dimmer: { min: 0, max: 50 } } }
    ///
    /// Without `senders` each key permits everything; with it, a key that no sender has is a mistake. A sender without
    /// `keys` has the one of its own name. An actuator that is not there is a mistake: the one that was meant would be left
    /// out.
    /// - Parameter actuators: the ids of those that are there; `nil` when they are not known.
    /// - Returns: `nil` where neither file is named, and where something was wrong, which was reported.
    static func decode(_ reader: Reader, actuators: [String]?) -> Keyring? {
        var loaded: [LoadedKey] = []
        load("key_file", .shared, reader, &loaded)
        load("public_key_file", .publicKey, reader, &loaded)
        let isSigned = reader.has("key_file") || reader.has("public_key_file")
        guard let senders = reader.mapping("senders") else {
            guard isSigned else { return nil }
            return Keyring(loaded.map { Key(loaded: $0, sender: Sender(name: $0.id, rules: nil)) })
        }
        if !isSigned {
            reader.report(
                "senders", "tells senders apart that nobody can tell apart",
                expected: "key_file or public_key_file, too")
        }
        var keys: [Key] = []
        for field in senders.fields() {
            let name = field.key?.text ?? ""
            let sender = field.reader()
            let fields = sender.fields("keys")
            let rules = Self.rules(sender, actuators)
            sender.finish()
            var ids: [(id: String, mark: Mark)] = []
            for field in fields ?? [] {
                if let id = field.nonEmpty() { ids.append((id, field.mark)) }
            }
            if fields == nil { ids.append((name, field.key?.mark ?? field.mark)) }
            let owner = Sender(name: name, rules: rules)
            for (id, mark) in ids {
                if keys.contains(where: { sameBytes($0.loaded.id, id) }) {
                    reader.diagnostics.report(mark, joined(field.path, ": the key \"", id, "\" is another sender's"))
                } else if let key = loaded.first(where: { sameBytes($0.id, id) }) {
                    keys.append(Key(loaded: key, sender: owner))
                } else if isSigned {
                    reader.diagnostics.report(
                        mark, joined(field.path, ": no key file has a key \"", id, "\""),
                        expected: loaded.isEmpty ? "one that is there" : listed(loaded))
                }
            }
        }
        for key in loaded where !keys.contains(where: { sameBytes($0.loaded.id, key.id) }) {
            reader.report(
                "senders", joined("leaves out the key \"", key.id, "\""), expected: "a sender for each key")
        }
        return isSigned ? Keyring(keys) : nil
    }

    private static func listed(_ keys: [LoadedKey]) -> String {
        var text = ""
        for key in keys { text += text.utf8.isEmpty ? key.id : joined(", ", key.id) }
        return joined("one of ", text)
    }

    private static func load(
        _ name: StaticString, _ kind: KeyFile.Kind, _ reader: Reader, _ loaded: inout [LoadedKey]
    ) {
        for field in reader.fields(name) ?? [] {
            guard let path = field.nonEmpty() else { continue }
            do throws(KeyFileError) {
                for key in try KeyFile(path, isSecret: kind != .publicKey).keys(kind) {
                    if loaded.contains(where: { sameBytes($0.id, key.id) }) {
                        reader.diagnostics.report(
                            field.mark, joined(field.path, ": ", path, " has a second key \"", key.id, "\""),
                            expected: "an id of its own")
                    } else {
                        loaded.append(key)
                    }
                }
            } catch {
                reader.diagnostics.report(field.mark, joined(field.path, ": ", error.text))
            }
        }
    }

    private static func refuse(_ field: Field, _ name: String, _ known: [String]) {
        let mark = field.key?.mark ?? field.mark
        let what = joined(field.path, " is the id of no actuator")
        if let near = nearest(to: name, among: known) {
            field.diagnostics.report(mark, joined(what, ", did you mean ", near, "?"))
        } else {
            field.diagnostics.report(mark, what, expected: "one of this node, or \"*\"")
        }
    }

    private static func rules(_ reader: Reader, _ known: [String]?) -> [Sender.Rule]? {
        guard let actuators = reader.mapping("actuators") else { return nil }
        var rules: [Sender.Rule] = []
        for field in actuators.fields() {
            let name = field.key?.text ?? ""
            if let known, !name.isEqual(to: "*"), !contains(known, name) { refuse(field, name, known) }
            let rule = field.reader()
            let limits = -1e15...1e15
            let lowest = rule.number("min", in: limits)
            let highest = rule.number("max", in: limits)
            rule.finish()
            guard lowest != nil || highest != nil else {
                rules.append(Sender.Rule(actuator: name, range: nil))
                continue
            }
            let (low, high) = (lowest ?? limits.lowerBound, highest ?? limits.upperBound)
            if low > high {
                reader.diagnostics.report(
                    field.mark, joined(field.path, ": min is above max"), expected: "min below max")
            } else {
                rules.append(Sender.Rule(actuator: name, range: low...high))
            }
        }
        return rules
    }
}
