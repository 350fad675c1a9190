import CRdkafka
import CShim
import Platform

/// The properties that the librdkafka in use knows, by its own table (`rd_kafka_conf_properties_show`), so that a
/// newer library brings its new properties with it.
struct PropertyCatalog {
    struct Entry {
        let name: String
        /// Whether the producer, the consumer, take it.
        let producer: Bool
        let consumer: Bool
        /// Such as `0 .. 900000` or `none, gzip, snappy`; empty for free text.
        let range: String
        /// The name of the property that this one is only another name of; empty where it is one itself.
        let alias: String
        /// Whether it is a number with a fraction, as `linger.ms`.
        let isFractional: Bool
    }

    let entries: [Entry]

    /// Reads the table; empty when there is no memory for it.
    init() {
        var size = 0
        guard let text = kedge_kafka_properties(&size) else {
            entries = []
            return
        }
        entries = Self.parse(UnsafeRawBufferPointer(start: text, count: size))
        free(text)
    }

    func find(_ name: String) -> Entry? { entries.first { sameBytes($0.name, name) } }

    /// The name that all names of one property share: `linger.ms` and `queue.buffering.max.ms` are one.
    func canonicalName(_ name: String) -> String {
        guard let entry = find(name), !entry.alias.utf8.isEmpty else { return name }
        return entry.alias
    }

    /// The properties that librdkafka's words name, by the names it uses there: what is in backquotes or has a dot.
    func names(in text: String) -> [String] {
        var names: [String] = []
        let bytes = Array(text.utf8)
        var index = 0
        while index < bytes.count {
            let start = index
            while index < bytes.count, Self.belongsToName(bytes[index]) { index += 1 }
            if index == start {
                index += 1
                continue
            }
            var end = index
            while end > start, bytes[end - 1] == UInt8(ascii: ".") { end -= 1 }
            let isQuoted = start > 0 && bytes[start - 1] == UInt8(ascii: "`")
            let name = String(decoding: bytes[start..<end], as: UTF8.self)
            if isQuoted || bytes[start..<end].contains(UInt8(ascii: ".")), find(name) != nil, !contains(names, name) {
                names.append(name)
            }
        }
        return names
    }

    private static func belongsToName(_ byte: UInt8) -> Bool {
        (97...122).contains(byte) || (48...57).contains(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
    }

    /// The property whose name is closest to `name`, if one is close enough to be meant.
    func nearest(to name: String) -> String? {
        let wanted = Array(name.utf8)
        var best: String?
        var bestDistance = max(2, wanted.count / 3) + 1
        func consider(_ candidate: String) {
            let distance = editDistance(wanted, Array(candidate.utf8))
            if distance < bestDistance {
                best = candidate
                bestDistance = distance
            }
        }
        for entry in entries where !isOwned(entry.name) { consider(entry.name) }
        for property in javaProperties {
            if case .refused = property.treatment { continue }
            consider(property.name.text)
        }
        return best
    }

    /// Rows are `name | C/P | range | default | importance | description`; the rest is headings. The description of a
    /// second name has "Alias for `first.name`" in it, and each ends with "*Type: integer*" or the like.
    private static func parse(_ text: UnsafeRawBufferPointer) -> [Entry] {
        var entries: [Entry] = []
        for line in text.split(separator: UInt8(ascii: "\n")) {
            let columns = line.split(separator: UInt8(ascii: "|"), maxSplits: 3, omittingEmptySubsequences: false)
            guard columns.count == 4 else { continue }
            let scope = trimmed(columns[1])
            let isForProducer = scope.isEqual(to: "P")
            let isForConsumer = scope.isEqual(to: "C")
            guard isForProducer || isForConsumer || scope.isEqual(to: "*") else { continue }
            entries.append(
                Entry(
                    name: trimmed(columns[0]), producer: !isForConsumer, consumer: !isForProducer,
                    range: trimmed(columns[2]), alias: words(after: "Alias for `", in: columns[3]),
                    isFractional: words(after: "*Type: ", in: columns[3]).isEqual(to: "float")))
        }
        return entries
    }

    /// What follows `start`, up to the mark that ends a name or a type; empty where they are not there.
    private static func words(after start: StaticString, in description: Slice<UnsafeRawBufferPointer>) -> String {
        let length = start.utf8CodeUnitCount
        var rest = description
        while rest.count > length {
            if start.withUTF8Buffer({ rest.prefix(length).elementsEqual($0) }) {
                let name = rest.dropFirst(length).prefix { $0 != UInt8(ascii: "`") && $0 != UInt8(ascii: "*") }
                return String(decoding: name, as: UTF8.self)
            }
            rest = rest.dropFirst()
        }
        return ""
    }

    private static func trimmed(_ bytes: Slice<UnsafeRawBufferPointer>) -> String {
        var part = bytes
        while part.first == 32 { part = part.dropFirst() }
        while part.last == 32 { part = part.dropLast() }
        return String(decoding: part, as: UTF8.self)
    }
}

/// Whether kedge sets the property itself. All callbacks are its own.
func isOwned(_ name: String) -> Bool {
    name.hasEnding("_cb") || ownedProperties.contains { $0.name.equals(name) }
}

/// How many bytes must be put in, taken out or replaced to make one text the other (Levenshtein).
func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var row = Array(0...right.count)
    for (index, byte) in left.enumerated() {
        var diagonal = row[0]
        row[0] = index + 1
        for column in 0..<right.count {
            let replaced = diagonal + (byte == right[column] ? 0 : 1)
            diagonal = row[column + 1]
            row[column + 1] = min(replaced, diagonal + 1, row[column] + 1)
        }
    }
    return row[right.count]
}
