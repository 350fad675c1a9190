import Platform

/// One value of the configuration with its path, for values that a `Reader` does not reach by key: the elements of a
/// list and the entries of a mapping whose keys are free.
///
/// Each accessor reports a problem and yields `nil` when the value is empty or is not what it should be.
public struct Field {
    public let node: Node
    /// Such as `sensors[2].every`, for errors.
    public let path: String
    /// In a mapping; `nil` for an element of a list.
    public let key: Node.Scalar?
    public let diagnostics: Diagnostics

    public init(_ node: Node, key: Node.Scalar? = nil, path: String, diagnostics: Diagnostics) {
        self.node = node
        self.path = path
        self.key = key
        self.diagnostics = diagnostics
    }

    public var mark: Mark { node.mark }

    /// Any scalar: numbers and booleans are text as they were written.
    public func string() -> String? { scalar(.text)?.text }

    /// A path or a name: any scalar of one byte at least.
    public func nonEmpty() -> String? {
        guard let text = string() else { return nil }
        if !text.utf8.isEmpty { return text }
        refuse(expected: "text that is not empty")
        return nil
    }

    /// A 7-bit address on an I2C bus: decimal, or hexadecimal with `0x`.
    public func address(in range: ClosedRange<UInt8>) -> UInt8? {
        guard let scalar = scalar(.address(range)) else { return nil }
        if let value = Quantity.integer(scalar.text).flatMap({ UInt8(exactly: $0) }), range.contains(value) {
            return value
        }
        refuse(scalar, .address(range))
        return nil
    }

    /// Decimal, or hexadecimal with `0x`.
    public func integer(in range: ClosedRange<Int64>) -> Int64? {
        guard let scalar = scalar(.integer(range)) else { return nil }
        if let value = Quantity.integer(scalar.text), range.contains(value) { return value }
        refuse(scalar, .integer(range))
        return nil
    }

    /// Finite; an integer serves.
    public func number(in range: ClosedRange<Double>) -> Double? {
        guard let scalar = scalar(.number(range)) else { return nil }
        if let value = Quantity.number(scalar.text), range.contains(value) { return value }
        refuse(scalar, .number(range))
        return nil
    }

    /// true, yes, on; false, no, off; in any case of letters.
    public func boolean() -> Bool? {
        guard let scalar = scalar(.boolean) else { return nil }
        if let value = Quantity.boolean(scalar.text) { return value }
        refuse(scalar, .boolean)
        return nil
    }

    /// With a unit: ns, us, ms, s, m, h, d; `1.5h` and `1h30m` serve; of the bare numbers only `0`.
    public func interval(in range: ClosedRange<Interval>) -> Interval? {
        guard let scalar = scalar(.interval(range)) else { return nil }
        if let value = Quantity.interval(scalar.text), range.contains(value) { return value }
        refuse(scalar, .interval(range))
        return nil
    }

    /// Bytes, with a unit: B, kB (or KB), MB, GB (powers of 1,000), KiB, MiB, GiB; of the bare numbers only `0`.
    public func size(in range: ClosedRange<Int64>) -> Int64? {
        guard let scalar = scalar(.size(range)) else { return nil }
        if let value = Quantity.size(scalar.text), range.contains(value) { return value }
        refuse(scalar, .size(range))
        return nil
    }

    /// The index of the value among `choices`.
    public func choice(_ choices: [StaticString]) -> Int? {
        guard let scalar = scalar(.choice(choices)) else { return nil }
        if let index = choices.firstIndex(where: { scalar.text.isEqual(to: $0) }) { return index }
        refuse(scalar, .choice(choices))
        return nil
    }

    /// Text that `rule` allows.
    public func name(_ rule: NameRule) -> String? {
        guard let scalar = scalar(.name(rule)) else { return nil }
        if rule.allows(scalar.text) { return scalar.text }
        refuse(scalar, .name(rule))
        return nil
    }

    /// A mapping.
    public func reader() -> Reader { Reader(node, path: path, diagnostics: diagnostics) }

    /// The elements of a list; a lone scalar is a list of one, nothing is an empty list.
    public func elements() -> [Field] {
        switch node {
        case .mapping:
            refuseKind(.list)
            return []
        case .scalar(let scalar): return scalar.isNull || scalar.isBroken ? [] : [self]
        case .sequence(let nodes, _):
            var fields: [Field] = []
            fields.reserveCapacity(nodes.count)
            for index in 0..<nodes.count {
                fields.append(Field(nodes[index], path: path + "[\(index)]", diagnostics: diagnostics))
            }
            return fields
        }
    }

    /// Reports that the value, which a stage looked at more closely, is wrong: `PATH is VALUE, expected …`. The value of a
    /// secret is not shown.
    public func refuse(expected: String) {
        diagnostics.report(mark, found, expected: expected)
    }

    private var found: String {
        switch node {
        case .scalar(let scalar): "\(name) is \(scalar.isNull ? "empty" : scalar.shown)"
        case .sequence: "\(name) is a list"
        case .mapping: "\(name) is a mapping"
        }
    }

    private var name: String { path.utf8.isEmpty ? "the configuration" : path }

    /// The scalar that it must be for `expectation`, or `nil` when it is none and that was reported.
    func scalar(_ expectation: Expectation) -> Node.Scalar? {
        guard case .scalar(let scalar) = node, !scalar.isNull else {
            refuseKind(expectation)
            return nil
        }
        if scalar.isBroken { return nil }
        if scalar.isQuoted, expectation.needsPlainText {
            diagnostics.report(
                mark, found + " in quotes", expected: expectation.words() + " without quotes")
            return nil
        }
        return scalar
    }

    func refuseKind(_ expectation: Expectation) {
        if case .scalar(let scalar) = node, scalar.isBroken { return }
        refuse(expected: expectation.words())
    }

    private func refuse(_ scalar: Node.Scalar, _ expectation: Expectation) {
        // How it was written decides about the words; a secret must not even do that.
        refuse(expected: expectation.words(found: scalar.isSecret ? "" : scalar.text))
    }
}
