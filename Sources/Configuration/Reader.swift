import Platform

/// Takes a mapping's values by key, typed and checked. What is wrong goes to `diagnostics` and yields the default,
/// so that one pass finds every mistake. The keys asked for are the known ones: `finish` refuses all others.
///
/// A key that is not there yields `nil` without a problem, and so do `~`, `null` and a `${…}` that gave nothing. A key
/// with nothing behind its colon is a problem, "is empty", for a scalar, and counts as not there for a mapping or list.
public final class Reader {
    public let diagnostics: Diagnostics
    public let mark: Mark
    /// Where this is, such as `sensors[2]`, for errors; empty at the top.
    public let path: String
    private let pairs: [Node.Entry]
    private var known: [StaticString] = []
    /// Known only to be refused: never suggested.
    private var refused: [StaticString] = []
    private var isFree = false
    /// The known keys are those of several kinds of mapping.
    private var hasLearned = false
    /// It is no mapping, which was reported: that its keys are missing is no second mistake.
    private let isWrong: Bool

    /// - Parameter node: a problem is reported when it is no mapping; the reader is then empty.
    public init(_ node: Node, path: String, diagnostics: Diagnostics) {
        self.diagnostics = diagnostics
        self.mark = node.mark
        self.path = path
        if case .mapping(let entries, _) = node {
            pairs = entries
            isWrong = false
        } else {
            pairs = []
            isWrong = true
            Field(node, path: path, diagnostics: diagnostics).refuseKind(.mapping)
        }
    }

    private init(rehearsing reader: Reader) {
        diagnostics = Diagnostics(file: "", limit: 0)
        mark = reader.mark
        path = reader.path
        pairs = reader.pairs
        isWrong = reader.isWrong
    }

    /// The same mapping, to try out who knows which of its keys: what is wrong with it goes nowhere.
    public func rehearsal() -> Reader { Reader(rehearsing: self) }

    /// Knows from now on what `rehearsal` was asked for, too.
    public func learn(from rehearsal: Reader) {
        for key in rehearsal.known { know(key) }
        hasLearned = true
    }

    /// Refuses keys that only a later version will know: accepting them now would promise what is not there. They are not
    /// among those that `finish` suggests.
    public func refuseLater(_ keys: [StaticString]) {
        for key in keys {
            refused.append(key)
            guard let entry = entry(key) else { continue }
            if case .scalar(let scalar) = entry.value, scalar.isDeliberatelyNull { continue }
            diagnostics.report(entry.value.mark, "\(path(of: entry.key.text)) is not in this version: leave it out")
        }
    }

    /// Whether a `${…}` in it failed, or it is no mapping. That was reported: what follows from it is no second mistake.
    public var isBroken: Bool {
        isWrong || pairs.contains { $0.value.isBroken }
    }

    /// Whether the value of `key` was read, and was a problem: what was taken in its place is nothing that anybody wrote.
    public func isRefused(_ key: StaticString) -> Bool {
        guard let value = entry(key)?.value else { return false }
        return value.isBroken || diagnostics.problems.contains { $0.mark == value.mark }
    }

    /// Whether there is something to read; also true for a key with nothing behind its colon.
    public func has(_ key: StaticString) -> Bool { field(key) != nil }

    /// Where the value of `key` stands; the mapping's own place when it is absent.
    public func mark(of key: StaticString) -> Mark { entry(key)?.value.mark ?? mark }

    /// The value as it is.
    public func node(_ key: StaticString) -> Node? { field(key)?.node }

    /// The value with its path, to be read as one or another type.
    public func field(_ key: StaticString) -> Field? {
        know(key)
        guard let entry = entry(key) else { return nil }
        if case .scalar(let scalar) = entry.value, scalar.isDeliberatelyNull { return nil }
        return field(entry)
    }

    /// As `field`, but reports a problem when it is absent.
    public func requiredField(_ key: StaticString) -> Field? { required(key, .value) }

    public func string(_ key: StaticString) -> String? { field(key)?.string() }
    /// Reports a problem and yields `nil` when it is absent.
    public func requiredString(_ key: StaticString) -> String? { required(key, .text)?.string() }

    /// A path or a name: as `string`, but of one byte at least.
    public func nonEmpty(_ key: StaticString) -> String? { field(key)?.nonEmpty() }
    /// Reports a problem and yields `nil` when it is absent.
    public func requiredNonEmpty(_ key: StaticString) -> String? { required(key, .text)?.nonEmpty() }

    /// A 7-bit address on an I2C bus.
    public func address(_ key: StaticString, in range: ClosedRange<UInt8>) -> UInt8? {
        field(key)?.address(in: range)
    }

    public func integer(_ key: StaticString, in range: ClosedRange<Int64>) -> Int64? { field(key)?.integer(in: range) }
    public func requiredInteger(_ key: StaticString, in range: ClosedRange<Int64>) -> Int64? {
        required(key, .integer(range))?.integer(in: range)
    }

    public func number(_ key: StaticString, in range: ClosedRange<Double>) -> Double? { field(key)?.number(in: range) }
    public func requiredNumber(_ key: StaticString, in range: ClosedRange<Double>) -> Double? {
        required(key, .number(range))?.number(in: range)
    }

    public func boolean(_ key: StaticString) -> Bool? { field(key)?.boolean() }

    /// With a unit: ns, us, ms, s, m, h, d.
    public func interval(_ key: StaticString, in range: ClosedRange<Interval>) -> Interval? {
        field(key)?.interval(in: range)
    }
    public func requiredInterval(_ key: StaticString, in range: ClosedRange<Interval>) -> Interval? {
        required(key, .interval(range))?.interval(in: range)
    }

    /// Bytes, with a unit: B, kB, MB, GB (powers of 1,000), KiB, MiB, GiB.
    public func size(_ key: StaticString, in range: ClosedRange<Int64>) -> Int64? { field(key)?.size(in: range) }

    /// The index of the value among `choices`.
    public func choice(_ key: StaticString, _ choices: [StaticString]) -> Int? { field(key)?.choice(choices) }
    public func requiredChoice(_ key: StaticString, _ choices: [StaticString]) -> Int? {
        required(key, .choice(choices))?.choice(choices)
    }

    /// Text that `rule` allows: an id, a node's name, a topic.
    public func name(_ key: StaticString, _ rule: NameRule) -> String? { field(key)?.name(rule) }
    public func requiredName(_ key: StaticString, _ rule: NameRule) -> String? {
        required(key, .name(rule))?.name(rule)
    }

    /// The mapping below `key`. Its own `finish` must be called, too.
    public func mapping(_ key: StaticString) -> Reader? {
        guard let field = field(key) else { return nil }
        if case .scalar(let scalar) = field.node, scalar.isNull || scalar.isBroken { return nil }
        return field.reader()
    }

    /// The elements of a list; a lone scalar is a list of one.
    public func list(_ key: StaticString) -> [Node]? { fields(key)?.map { $0.node } }

    /// As `list`, each element with its path, such as `topics[1]`.
    public func fields(_ key: StaticString) -> [Field]? {
        guard let field = field(key) else { return nil }
        if case .scalar(let scalar) = field.node, scalar.isNull || scalar.isBroken { return nil }
        if case .mapping = field.node {
            field.refuseKind(.list)
            return nil
        }
        return field.elements()
    }

    /// A list of scalars; elements that are none are reported and left out.
    public func strings(_ key: StaticString) -> [String]? { fields(key)?.compactMap { $0.string() } }

    /// A list of mappings, none when it is absent; elements that are no mappings are reported and left out.
    public func readers(_ key: StaticString) -> [Reader] {
        var readers: [Reader] = []
        for field in fields(key) ?? [] {
            if case .mapping = field.node { readers.append(field.reader()) } else { field.refuseKind(.mapping) }
        }
        return readers
    }

    /// All pairs, for mappings whose keys are free (bus names, Kafka properties); `finish` then has nothing to refuse.
    public func entries() -> [Node.Entry] {
        isFree = true
        return pairs
    }

    /// As `entries`, each value with its key and path.
    public func fields() -> [Field] { entries().map { field($0) } }

    /// Reports a problem with the value of `key`, or with its absence: `PATH.key WHAT, expected …`.
    public func report(_ key: StaticString, _ what: String, expected: String) {
        diagnostics.report(mark(of: key), "\(path(of: String(key))) \(what)", expected: expected)
    }

    /// Reports every key that nobody asked for, with the nearest one that somebody did.
    public func finish() {
        if isFree { return }
        for entry in pairs where !isKnown(entry.key.text) {
            let what = "\(path(of: entry.key.text)) is no known key"
            if let near = nearest(to: entry.key.text, among: known.map { String($0) }) {
                diagnostics.report(entry.key.mark, "\(what), did you mean \(near)?")
            } else if hasLearned {
                // Not all of the keys belong together: a list of them would mislead.
                diagnostics.report(entry.key.mark, what)
            } else if known.isEmpty {
                diagnostics.report(entry.key.mark, "\(what), there are none here")
            } else {
                // The known keys of this place are a short list; a long one would bury the message.
                let expected = known.count > 24 ? alternatives(Array(known[..<24])) + " …" : alternatives(known)
                diagnostics.report(entry.key.mark, what, expected: expected)
            }
        }
    }

    private func required(_ key: StaticString, _ expectation: Expectation) -> Field? {
        if let field = field(key) { return field }
        if isWrong { return nil }
        let isWritten = entry(key) != nil
        report(key, isWritten ? "is empty" : "is missing", expected: expectation.words())
        return nil
    }

    private func know(_ key: StaticString) {
        if !known.contains(where: { $0.utf8Start == key.utf8Start || sameText($0, key) }) { known.append(key) }
    }

    private func isKnown(_ key: String) -> Bool { key.isOneOf(known) || key.isOneOf(refused) }

    private func entry(_ key: StaticString) -> Node.Entry? { pairs.first { $0.key.text.isEqual(to: key) } }

    private func field(_ entry: Node.Entry) -> Field {
        Field(entry.value, key: entry.key, path: path(of: entry.key.text), diagnostics: diagnostics)
    }

    private func path(of key: String) -> String {
        path.utf8.isEmpty ? escaped(key) : path + "." + escaped(key)
    }

    private func sameText(_ left: StaticString, _ right: StaticString) -> Bool {
        left.utf8CodeUnitCount == right.utf8CodeUnitCount
            && left.withUTF8Buffer { left in right.withUTF8Buffer { left.elementsEqual($0) } }
    }
}
