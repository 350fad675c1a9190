import Platform

/// Topics and id prefixes by the numbers that stand for them in a file. There are a few: every topic, and every start
/// of the agent of which something is still there.
struct DiskNames {
    struct Entry {
        let number: Int
        let text: String
    }

    private(set) var entries: [Entry] = []
    /// Numbers are kept in 16 bits beside each record in memory.
    static var largest: Int { 65_535 }

    func text(_ number: Int) -> String? {
        for entry in entries where entry.number == number { return entry.text }
        return nil
    }

    func number(of text: String) -> Int? {
        for entry in entries where sameBytes(entry.text, text) { return entry.number }
        return nil
    }

    mutating func add(_ entry: Entry) { if self.text(entry.number) == nil { entries.append(entry) } }

    /// The number of `text`, which gets the next one if it has none.
    /// - Returns: `nil` when all numbers are taken.
    mutating func number(adding text: String) -> Int? {
        if let number = number(of: text) { return number }
        var highest = 0
        for entry in entries { highest = max(highest, entry.number) }
        if highest >= Self.largest { return nil }
        entries.append(Entry(number: highest + 1, text: text))
        return highest + 1
    }
}
