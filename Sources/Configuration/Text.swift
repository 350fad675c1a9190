import Platform

// Text as bytes: keys and values are compared by their UTF-8, not by Unicode equivalence, as YAML has it.

extension String {
    /// Whether it is one of some literals, byte by byte.
    public func isOneOf(_ others: [StaticString]) -> Bool {
        for other in others where isEqual(to: other) { return true }
        return false
    }
}

/// An ASCII letter in lower case; any other byte as it is.
public func lowercased(_ byte: UInt8) -> UInt8 { byte >= 65 && byte <= 90 ? byte + 32 : byte }

func isDigit(_ byte: UInt8) -> Bool { byte >= 48 && byte <= 57 }

func isLetter(_ byte: UInt8) -> Bool { lowercased(byte) >= 97 && lowercased(byte) <= 122 }

/// `text` for an error, which is one line on a terminal: control characters, line feeds and the characters that turn
/// the direction of text are escaped, and what exceeds `limit` bytes is cut off.
public func escaped(_ text: String, limit: Int = 80) -> String {
    var shown = ""
    for scalar in text.unicodeScalars {
        if shown.utf8.count >= limit { return shown + "…" }
        switch scalar.value {
        case 10: shown += "\\n"
        case 9: shown += "\\t"
        case let value where isInvisible(value): shown += "\\u{" + String(value, radix: 16) + "}"
        default: shown.unicodeScalars.append(scalar)
        }
    }
    return shown
}

func quoted(_ text: String) -> String { "\"" + escaped(text) + "\"" }

/// Control characters (C0, C1), line and paragraph separators, zero-width and direction marks, byte order marks.
func isInvisible(_ scalar: UInt32) -> Bool {
    switch scalar {
    case 0...0x1f, 0x7f...0x9f, 0x200b...0x200f, 0x2028...0x202e, 0x2060...0x2069, 0xfeff: true
    default: false
    }
}

/// The words as a list for people: `a`, `a or b`, `a, b or c`.
func alternatives(_ words: [StaticString]) -> String {
    var text = ""
    for index in 0..<words.count {
        if index > 0 { text += index == words.count - 1 ? " or " : ", " }
        text += String(words[index])
    }
    return text
}
