import CYAML
import Platform

/// Makes a tree of libyaml's events.
final class Composer {
    /// Ends the work: the problem has been reported and nothing can follow it.
    private enum Stop: Error { case reported }

    private let parser: EventParser
    private let source: UnsafeBufferPointer<UInt8>
    private let substitution: Substitution
    private let diagnostics: Diagnostics
    private var anchors: [(name: String, node: Node)] = []
    private var nodes = 0
    /// How far the search for `${` has come in the source.
    private var place: Place

    init(_ source: UnsafeBufferPointer<UInt8>, _ substitution: Substitution, _ diagnostics: Diagnostics) {
        self.source = source
        self.substitution = substitution
        self.diagnostics = diagnostics
        parser = EventParser(source)
        place = Place(source)
    }

    func document() -> Node? {
        do throws(Stop) {
            try advance()  // The stream begins.
            try advance()
            if parser.event.type == YAML_STREAM_END_EVENT { return empty() }
            try advance()
            let node = try compose(.open, depth: 0)
            try advance()  // The document ends.
            try advance()
            if parser.event.type != YAML_STREAM_END_EVENT {
                diagnostics.report(mark, "a second document begins here", expected: "one document in a file")
                return nil
            }
            if case .scalar(let scalar) = node, scalar.isNull { return empty() }
            return node
        } catch {
            return nil
        }
    }

    private func empty() -> Node? {
        diagnostics.report(
            Mark(line: 1, column: 1), "the file is empty", expected: "a mapping, such as \"node: pi-01\"")
        return nil
    }

    private func advance() throws(Stop) {
        if parser.advance() { return }
        let problem = parser.problem
        diagnostics.report(problem.mark, problem.text)
        throw .reported
    }

    private var mark: Mark { Mark(parser.event.start_mark) }

    private func stop(_ what: String, expected: String) -> Stop {
        diagnostics.report(mark, what, expected: expected)
        return .reported
    }

    private func count(_ more: Int, _ depth: Int) throws(Stop) {
        nodes += more
        if nodes > Document.maximumNodes {
            throw stop(
                "more than \(Document.maximumNodes) values (aliases count with all that they stand for)",
                expected: "a smaller configuration")
        }
        if depth > Document.maximumDepth {
            throw stop("more than \(Document.maximumDepth) levels of lists and mappings", expected: "fewer")
        }
    }

    /// The node that begins with the current event; its last event is the current one afterwards.
    private func compose(_ secrecy: Secrecy, depth: Int) throws(Stop) -> Node {
        try count(1, depth)
        let event = parser.event
        let begin = mark
        switch event.type {
        case YAML_ALIAS_EVENT:
            return try alias(text(event.data.alias.anchor), secrecy, depth)
        case YAML_SCALAR_EVENT:
            let name = event.data.scalar.anchor.map(text)
            let isTagged = refuseTag(event.data.scalar.tag)
            let node = Node.scalar(isTagged ? .broken(begin) : scalar(secrecy))
            try remember(name, node)
            return node
        case YAML_SEQUENCE_START_EVENT:
            let name = event.data.sequence_start.anchor.map(text)
            refuseTag(event.data.sequence_start.tag)
            var elements: [Node] = []
            try advance()
            while parser.event.type != YAML_SEQUENCE_END_EVENT {
                elements.append(try compose(secrecy, depth: depth + 1))
                try advance()
            }
            try remember(name, .sequence(elements, begin))
            return .sequence(elements, begin)
        default:
            let name = event.data.mapping_start.anchor.map(text)
            refuseTag(event.data.mapping_start.tag)
            let node = Node.mapping(try entries(secrecy, depth), begin)
            try remember(name, node)
            return node
        }
    }

    private func entries(_ secrecy: Secrecy, _ depth: Int) throws(Stop) -> [Node.Entry] {
        var entries: [Node.Entry] = []
        var merged: [Node.Entry] = []
        try advance()
        while parser.event.type != YAML_MAPPING_END_EVENT {
            let key = try self.key(depth)
            try advance()
            let value = try compose(max(secrecy, key.map { Secrecy(key: $0.text) } ?? .open), depth: depth + 1)
            if let key {
                if key.text.isEqual(to: "<<"), !key.isQuoted {
                    merge(value, into: &merged)
                } else if let first = entries.first(where: { sameBytes($0.key.text, key.text) }) {
                    diagnostics.report(
                        key.mark, "the key \(quoted(key.text)) stands here a second time",
                        expected: "one (the first is in line \(first.key.mark.line))")
                } else {
                    entries.append(Node.Entry(key: key, value: value))
                }
            }
            if entries.count + merged.count > Document.maximumKeys {
                throw stop("a mapping of more than \(Document.maximumKeys) keys", expected: "fewer")
            }
            try advance()
        }
        // What a merge brings yields to what is written here, and an earlier merge goes before a later one.
        for entry in merged where !entries.contains(where: { sameBytes($0.key.text, entry.key.text) }) {
            entries.append(entry)
        }
        return entries
    }

    /// A mapping's key, or `nil` when it was wrong and was reported.
    private func key(_ depth: Int) throws(Stop) -> Node.Scalar? {
        let event = parser.event
        guard event.type == YAML_SCALAR_EVENT else {
            let isAlias = event.type == YAML_ALIAS_EVENT
            let kind = isAlias ? "an alias" : event.type == YAML_SEQUENCE_START_EVENT ? "a list" : "a mapping"
            diagnostics.report(mark, "\(kind) as a key", expected: "text")
            if !isAlias { _ = try compose(.open, depth: depth + 1) }
            return nil
        }
        try count(1, depth)
        if refuseTag(event.data.scalar.tag) { return nil }
        let key = literal()
        if key.isBroken { return nil }
        if key.text.utf8.isEmpty {
            diagnostics.report(key.mark, "a key without a name", expected: "text")
            return nil
        }
        if substitutions(in: key.text) > 0 {
            diagnostics.report(key.mark, "a ${ in a key", expected: "it only in values")
            return nil
        }
        return key
    }

    private func merge(_ node: Node, into merged: inout [Node.Entry]) {
        switch node {
        case .mapping(let entries, _):
            merged += entries
            return
        case .sequence(let nodes, _):
            for node in nodes {
                guard case .mapping = node else {
                    diagnostics.report(node.mark, "a value that << cannot merge", expected: "a mapping")
                    continue
                }
                merge(node, into: &merged)
            }
        case .scalar(let scalar):
            if scalar.isBroken { return }
            diagnostics.report(node.mark, "a value that << cannot merge", expected: "a mapping or a list of mappings")
        }
    }

    /// The current event's text as it stands there.
    private func literal() -> Node.Scalar {
        let scalar = parser.event.data.scalar
        let bytes = UnsafeBufferPointer(start: scalar.value, count: Int(scalar.length))
        if bytes.contains(0) {
            diagnostics.report(mark, "a NUL character in a text", expected: "none")
            return .broken(mark)
        }
        return Node.Scalar(
            text: String(decoding: bytes, as: UTF8.self), mark: mark,
            isQuoted: scalar.style != YAML_PLAIN_SCALAR_STYLE, isSecret: false)
    }

    /// The current event's text, with `${…}` replaced.
    private func scalar(_ secrecy: Secrecy) -> Node.Scalar {
        let literal = literal()
        if literal.isBroken { return literal }
        let count = substitutions(in: literal.text)
        if count > 0 { return substitution.replace(literal, secrecy, marks: marks(count)) }
        return Node.Scalar(
            text: literal.text, mark: literal.mark, isQuoted: literal.isQuoted, isSecret: secrecy == .secret)
    }

    private func substitutions(in text: String) -> Int {
        var previous: UInt8 = 0
        var count = 0
        for byte in text.utf8 {
            if previous == 36, byte == 123 { count += 1 }
            previous = byte
        }
        return count
    }

    /// Where the `count` beginnings of substitutions in the current scalar stand. They are searched in the source;
    /// when it shows another number of them (`"\x24{"` can do that) the place is the scalar's.
    private func marks(_ count: Int) -> [Mark] {
        let event = parser.event
        _ = place.advance(toCharacter: Int(event.start_mark.index))
        place.begin(at: mark)
        let end = Int(event.end_mark.index)
        let style = event.data.scalar.style
        if style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE {
            // The text begins behind the line with the `|`, which may hold a comment.
            while place.byte < source.count, source[place.byte] != 10 { place.step() }
        }
        var marks: [Mark] = []
        while place.character < end, place.byte < source.count {
            if place.isSubstitution { marks.append(place.mark) }
            place.step()
        }
        return marks.count == count ? marks : []
    }

    @discardableResult
    private func refuseTag(_ tag: UnsafeMutablePointer<yaml_char_t>?) -> Bool {
        guard let tag else { return false }
        diagnostics.report(
            mark, "the tag \(quoted(text(tag)))",
            expected: "none (secrets come from ${file:/path} or ${env:NAME}, quotes make a text)")
        return true
    }

    private func remember(_ name: String?, _ node: Node) throws(Stop) {
        guard let name else { return }
        if anchors.count >= Document.maximumAnchors {
            throw stop("more than \(Document.maximumAnchors) anchors", expected: "fewer")
        }
        anchors.append((name, node))
    }

    private func alias(_ name: String, _ secrecy: Secrecy, _ depth: Int) throws(Stop) -> Node {
        guard let anchor = anchors.last(where: { sameBytes($0.name, name) }) else {
            diagnostics.report(mark, "the alias *\(escaped(name))", expected: "an anchor &\(escaped(name)) before it")
            return .scalar(.broken(mark))
        }
        let size = Self.size(anchor.node)
        try count(size.nodes, depth + size.height)
        return anchor.node.guarded(secrecy)
    }

    private static func size(_ node: Node) -> (nodes: Int, height: Int) {
        var nodes = 1
        var height = 0
        func add(_ child: Node) {
            let size = Self.size(child)
            nodes += size.nodes
            height = max(height, size.height + 1)
        }
        switch node {
        case .scalar: break
        case .sequence(let children, _): for child in children { add(child) }
        case .mapping(let entries, _):
            nodes += entries.count
            for entry in entries { add(entry.value) }
        }
        return (nodes, height)
    }

    private func text(_ pointer: UnsafeMutablePointer<yaml_char_t>) -> String {
        String(cString: UnsafePointer(pointer))
    }
}
