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
    var left = left
    var right = right
    return left.withUTF8 { left in right.withUTF8 { sameBytes(left, $0) } }
}

/// Whether the two are the same bytes.
@inline(never)
public func sameBytes(_ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> Bool {
    if left.count != right.count { return false }
    for index in 0..<left.count where left[index] != right[index] { return false }
    return true
}

extension String {
    /// Whether it is the same bytes as a literal.
    @inline(never)
    public func isEqual(to literal: StaticString) -> Bool {
        var text = self
        return text.withUTF8 { text in literal.withUTF8Buffer { sameBytes(text, $0) } }
    }

    /// Whether its first bytes are those of a literal.
    @inline(never)
    public func hasBeginning(_ literal: StaticString) -> Bool {
        var text = self
        return text.withUTF8 { text in
            literal.withUTF8Buffer { beginning in
                text.count >= beginning.count
                    && sameBytes(UnsafeBufferPointer(rebasing: text.prefix(beginning.count)), beginning)
            }
        }
    }

    /// Whether its last bytes are those of a literal.
    @inline(never)
    public func hasEnding(_ literal: StaticString) -> Bool {
        var text = self
        return text.withUTF8 { text in
            literal.withUTF8Buffer { ending in
                text.count >= ending.count
                    && sameBytes(UnsafeBufferPointer(rebasing: text.suffix(ending.count)), ending)
            }
        }
    }
}

/// A path without `.`, `..` and doubled or trailing slashes, so that paths can be compared. Links are not followed.
public func normalisedPath(_ path: String) -> String {
    let isAbsolute = path.utf8.first == 47
    var parts: [String] = []
    for part in path.utf8.split(separator: 47) {
        let part = String(decoding: Array(part), as: UTF8.self)
        if part.isEqual(to: ".") { continue }
        let isParent = part.isEqual(to: "..")
        if isParent, let last = parts.last, !last.isEqual(to: "..") {
            parts.removeLast()
        } else if !isParent || !isAbsolute {
            parts.append(part)
        }
    }
    var result = ""
    for part in parts { result = isAbsolute || !result.utf8.isEmpty ? joined(result, "/", part) : part }
    return isAbsolute && parts.isEmpty ? "/" : result
}

/// Whether one of `texts` is the same bytes as `text`.
@inline(never)
public func contains(_ texts: [String], _ text: String) -> Bool {
    for other in texts where sameBytes(other, text) { return true }
    return false
}

/// The whole number that `text` is in decimal, with or without a sign; `nil` when it is none.
@inline(never)
public func wholeNumber(_ text: String) -> Int64? { Int64(text) }

/// A literal as text.
@inline(never)
public func string(_ text: StaticString) -> String { String(text) }

// The standard library's own are compiled anew into every interpolation; these are calls. (They are preferred to it because
// they are in another module and take no generic parameters.)
extension DefaultStringInterpolation {
    @inline(never)
    public mutating func appendLiteral(_ literal: String) { write(literal) }

    @inline(never)
    public mutating func appendInterpolation(_ text: String) { write(text) }

    @inline(never)
    public mutating func appendInterpolation(_ number: Int64) { write(decimal(number)) }

    @inline(never)
    public mutating func appendInterpolation(_ number: UInt64) { write(decimal(number)) }

    public mutating func appendInterpolation(_ number: Int) { appendInterpolation(Int64(number)) }

    public mutating func appendInterpolation(_ number: Int32) { appendInterpolation(Int64(number)) }

    public mutating func appendInterpolation(_ number: UInt32) { appendInterpolation(Int64(number)) }

    public mutating func appendInterpolation(_ number: UInt8) { appendInterpolation(Int64(number)) }
}
