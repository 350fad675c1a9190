import Platform

/// Takes a mapping's values by key, typed and checked. What is wrong goes to `diagnostics` and yields the default,
/// so that one pass finds every mistake. The keys asked for are the known ones: `finish` refuses all others.
public final class Reader {
    public let diagnostics: Diagnostics
    public let mark: Mark
    /// Where this is, such as `sensors[2]`, for errors.
    public let path: String

    /// - Parameter node: a problem is reported when it is no mapping; the reader is then empty.
    public init(_ node: Node, path: String, diagnostics: Diagnostics) {
        self.diagnostics = diagnostics
        self.mark = node.mark
        self.path = path
    }

    public func has(_ key: StaticString) -> Bool { false }
    /// Where the value of `key` stands; the mapping's own place when it is absent.
    public func mark(of key: StaticString) -> Mark { mark }
    /// The value as it is.
    public func node(_ key: StaticString) -> Node? { nil }

    public func string(_ key: StaticString) -> String? { nil }
    /// Reports a problem and yields `nil` when it is absent.
    public func requiredString(_ key: StaticString) -> String? { nil }
    public func integer(_ key: StaticString, in range: ClosedRange<Int64>) -> Int64? { nil }
    public func number(_ key: StaticString, in range: ClosedRange<Double>) -> Double? { nil }
    public func boolean(_ key: StaticString) -> Bool? { nil }
    /// With a unit: ns, us, ms, s, m, h, d.
    public func interval(_ key: StaticString, in range: ClosedRange<Interval>) -> Interval? { nil }
    /// Bytes, with a unit: B, kB, MB, GB (powers of 1,000), KiB, MiB, GiB.
    public func size(_ key: StaticString, in range: ClosedRange<Int64>) -> Int64? { nil }
    /// The index of the value among `choices`.
    public func choice(_ key: StaticString, _ choices: [StaticString]) -> Int? { nil }
    public func mapping(_ key: StaticString) -> Reader? { nil }
    /// The elements of a list; a lone scalar is a list of one.
    public func list(_ key: StaticString) -> [Node]? { nil }
    public func strings(_ key: StaticString) -> [String]? { nil }
    /// All pairs, for mappings whose keys are free (bus names, Kafka properties); `finish` then has nothing to refuse.
    public func entries() -> [Node.Entry] { [] }

    /// Reports every key that nobody asked for, with the nearest one that somebody did.
    public func finish() {}
}
