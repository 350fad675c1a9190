// Text put together at the cost of a call: an interpolation costs some 300 bytes of code for each of its parts, which
// is a fifth of a small binary where every error says what it means.

/// The parts one after the other.
@inline(never)
public func joined(_ parts: String...) -> String {
    var text = ""
    for part in parts { text += part }
    return text
}

/// A whole number in decimal.
@inline(never)
public func decimal(_ number: Int64) -> String { String(number) }

@inline(never)
public func decimal(_ number: UInt64) -> String { String(number) }

@inline(never)
public func decimal(_ number: Int) -> String { decimal(Int64(number)) }

@inline(never)
public func decimal(_ number: Int32) -> String { decimal(Int64(number)) }

extension String {
    /// A literal that became text after all.
    @inline(never)
    public init(_ text: StaticString) { self = text.withUTF8Buffer { String(decoding: $0, as: UTF8.self) } }
}

/// Whether the two are the same bytes: names and ids are compared so, without Unicode equivalence, whose tables are a
/// fifth of a small binary.
@inline(never)
public func sameBytes(_ left: String, _ right: String) -> Bool {
    left.utf8.count == right.utf8.count && left.utf8.elementsEqual(right.utf8)
}

/// A literal as text.
@inline(never)
public func string(_ text: StaticString) -> String { String(text) }
