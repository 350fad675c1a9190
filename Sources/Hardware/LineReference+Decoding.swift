import Configuration
import Platform

extension LineReference {
    /// Reads `chip` and a line of it: an offset, or a name.
    /// - Parameter key: where the line stands.
    /// - Returns: `nil` when the line is missing or wrong, or the chip wrong, which is then reported.
    public static func decode(_ reader: Reader, _ key: StaticString = "line") -> LineReference? {
        let chip = reader.nonEmpty("chip")
        guard let line = line(reader, key), chip != nil || !reader.has("chip") else { return nil }
        return LineReference(chip: chip, line: line)
    }

    private static func line(_ reader: Reader, _ key: StaticString) -> Line? {
        guard let text = reader.requiredNonEmpty(key), let first = text.utf8.first else { return nil }
        var isQuoted = false
        if case .scalar(let scalar) = reader.node(key) { isQuoted = scalar.isQuoted }
        // A name that begins with a digit can be put in quotes; a sign or a point begins a wrong offset, not a name.
        let isNumber = (48...57).contains(first) || first == 43 || first == 45 || first == 46
        guard isNumber, !isQuoted else { return .name(text) }
        guard let offset = reader.integer(key, in: 0...Int64(UInt32.max)) else { return nil }
        return .offset(UInt32(truncatingIfNeeded: offset))
    }
}
