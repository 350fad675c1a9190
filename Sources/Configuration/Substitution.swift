import Platform

/// Replaces `${…}` in the text of scalars:
///
/// | written | becomes |
/// |---|---|
/// | `${env:NAME}` | the environment variable; a problem when it is not set |
/// | `${env:NAME:-default}` | the same, or `default` (may be empty) when it is not set or empty, as in a shell |
/// | `${file:/path}` | what the file holds, without one line end at its end |
/// | `$${` | `${` |
///
/// Several may stand in one text; they do not nest, and what they yield is not searched again.
final class Substitution {
    /// All that one configuration may take in through `${…}`, in bytes.
    static let limit = 4 << 20

    private let environment: (String) -> String?
    private let readFile: (String) throws(SystemError) -> [UInt8]
    private let diagnostics: Diagnostics
    private var taken = 0

    init(
        environment: @escaping (String) -> String?,
        readFile: @escaping (String) throws(SystemError) -> [UInt8], diagnostics: Diagnostics
    ) {
        self.environment = environment
        self.readFile = readFile
        self.diagnostics = diagnostics
    }

    /// Where a piece of text came from.
    private enum Origin {
        case text, value, secret
        /// A problem was reported.
        case nowhere
    }

    /// - Parameters:
    ///   - scalar: as it was parsed.
    ///   - secrecy: what its key says.
    ///   - marks: where each `${` of the text stands in the file, in order.
    /// - Returns: a broken scalar when something was wrong and was reported.
    func replace(_ scalar: Node.Scalar, _ secrecy: Secrecy, marks: [Mark]) -> Node.Scalar {
        let text = Array(scalar.text.utf8)
        var result: [UInt8] = []
        var secret = secrecy == .secret
        var substituted = false
        var broken = false
        var count = 0
        var index = 0
        while index < text.count {
            guard Self.opens(text, index) else {
                result.append(text[index])
                index += 1
                continue
            }
            let mark = count < marks.count ? marks[count] : scalar.mark
            count += 1
            if let last = result.last, last == 36, index > 0, text[index - 1] == 36 {
                // `$${`: the first dollar is in the result already, and stays as the literal one.
                result.append(123)
                index += 2
                continue
            }
            guard let end = text[index...].firstIndex(of: 125) else {
                diagnostics.report(mark, "a ${ without its }", expected: Self.forms)
                return .broken(scalar.mark)
            }
            var place = index + 2
            let inner = text[place..<end]
            while place < end {
                if Self.opens(text, place) { count += 1 }
                place += 1
            }
            index = end + 1
            substituted = true
            switch evaluate(inner, mark, secrecy, into: &result) {
            case .text: break
            case .value: if secrecy > .open { secret = true }
            case .secret: secret = true
            case .nowhere: broken = true
            }
        }
        if broken { return .broken(scalar.mark) }
        return Node.Scalar(
            text: String(decoding: result, as: UTF8.self), mark: scalar.mark,
            isQuoted: scalar.isQuoted && !substituted, isSecret: secret, isSubstituted: substituted)
    }

    static func opens(_ text: [UInt8], _ index: Int) -> Bool {
        text[index] == 36 && index + 1 < text.count && text[index + 1] == 123
    }

    private static var forms: String {
        "${env:NAME}, ${env:NAME:-default} or ${file:/path} ($${ stands for a plain ${)"
    }

    /// What stands between `${` and `}`.
    private func evaluate(
        _ inner: ArraySlice<UInt8>, _ mark: Mark, _ secrecy: Secrecy, into result: inout [UInt8]
    ) -> Origin {
        var scheme = inner
        var rest = inner[inner.endIndex...]
        if let colon = inner.firstIndex(of: 58) {
            scheme = inner[..<colon]
            rest = inner[(colon + 1)...]
        }
        if Self.contains(inner, 36, 123) {
            diagnostics.report(mark, "a ${ within another ${", expected: Self.forms)
            return .nowhere
        }
        switch String(decoding: scheme, as: UTF8.self) {
        case let name where name.isEqual(to: "env"): return variable(rest, mark, secrecy, into: &result)
        case let name where name.isEqual(to: "file"): return file(rest, mark, into: &result)
        case let name:
            // A password may hold a `${` by chance: none of it is shown then.
            var what = "a ${…} that is no substitution"
            if secrecy != .secret {
                what = "${" + escaped(name) + (rest.isEmpty ? "}" : ":…}") + " is no substitution"
                if rest.isEmpty, Self.isVariableName(inner) {
                    what += ", did you mean ${env:" + escaped(name) + "}?"
                    diagnostics.report(mark, what)
                    return .nowhere
                }
            }
            diagnostics.report(mark, what, expected: Self.forms)
            return .nowhere
        }
    }

    private func variable(
        _ rest: ArraySlice<UInt8>, _ mark: Mark, _ secrecy: Secrecy, into result: inout [UInt8]
    ) -> Origin {
        var name = rest
        var standby: ArraySlice<UInt8>?
        if let colon = rest.firstIndex(of: 58), colon + 1 < rest.endIndex, rest[colon + 1] == 45 {
            name = rest[..<colon]
            standby = rest[(colon + 2)...]
        }
        let shown = secrecy == .secret && !Self.isVariableName(name) ? "" : String(decoding: name, as: UTF8.self)
        guard Self.isVariableName(name) else {
            diagnostics.report(
                mark, "${env:…} with the name \(quoted(shown))",
                expected: "letters, digits and _, then } or :-default")
            return .nowhere
        }
        let value = environment(shown)
        if let value, standby == nil || !value.utf8.isEmpty {
            return append(Array(value.utf8), mark, .value, to: &result)
        }
        if let standby { return append(Array(standby), mark, .text, to: &result) }
        diagnostics.report(
            mark, "the environment variable \(escaped(shown)) is not set",
            expected: "it to be, or a default as in ${env:\(escaped(shown)):-default}")
        return .nowhere
    }

    private func file(_ rest: ArraySlice<UInt8>, _ mark: Mark, into result: inout [UInt8]) -> Origin {
        let path = String(decoding: rest, as: UTF8.self)
        guard rest.first == 47 else {
            diagnostics.report(
                mark, "${file:…} with the path \(quoted(path))",
                expected: "an absolute path such as /etc/kedge/password")
            return .nowhere
        }
        do throws(SystemError) {
            var bytes = try readFile(path)
            if bytes.last == 10 {
                bytes.removeLast()
                if bytes.last == 13 { bytes.removeLast() }
            }
            return append(bytes, mark, .secret, to: &result)
        } catch {
            diagnostics.report(mark, "${file:\(escaped(path))} cannot be read: \(error.reason)")
            return .nowhere
        }
    }

    private func append(_ bytes: [UInt8], _ mark: Mark, _ origin: Origin, to result: inout [UInt8]) -> Origin {
        taken += bytes.count
        if taken > Self.limit {
            diagnostics.report(mark, "${…} yields more than \(Self.limit >> 20) MiB in all")
            return .nowhere
        }
        if bytes.contains(0) {
            diagnostics.report(mark, "${…} yields a NUL character", expected: "text")
            return .nowhere
        }
        if !isUTF8(bytes) {
            diagnostics.report(mark, "${…} yields bytes that are not UTF-8", expected: "text")
            return .nowhere
        }
        result += bytes
        return origin
    }

    private static func isVariableName(_ name: ArraySlice<UInt8>) -> Bool {
        guard let first = name.first, !isDigit(first) else { return false }
        for byte in name where !isLetter(byte) && !isDigit(byte) && byte != 95 { return false }
        return true
    }

    private static func contains(_ bytes: ArraySlice<UInt8>, _ first: UInt8, _ second: UInt8) -> Bool {
        var previous: UInt8 = 0
        for byte in bytes {
            if previous == first, byte == second { return true }
            previous = byte
        }
        return false
    }
}

/// Whether the bytes are well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF).
func isUTF8(_ bytes: [UInt8]) -> Bool {
    var index = 0
    while index < bytes.count {
        let first = bytes[index]
        index += 1
        if first < 0x80 { continue }
        // The range of the second byte depends on the first one.
        let more: Int
        var lowest: UInt8 = 0x80
        var highest: UInt8 = 0xbf
        switch first {
        case 0xc2...0xdf: more = 1
        case 0xe0...0xef:
            more = 2
            if first == 0xe0 { lowest = 0xa0 }
            if first == 0xed { highest = 0x9f }
        case 0xf0...0xf4:
            more = 3
            if first == 0xf0 { lowest = 0x90 }
            if first == 0xf4 { highest = 0x8f }
        default: return false
        }
        if bytes.count - index < more { return false }
        for offset in 0..<more {
            if bytes[index + offset] < lowest || bytes[index + offset] > highest { return false }
            lowest = 0x80
            highest = 0xbf
        }
        index += more
    }
    return true
}
