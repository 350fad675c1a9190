/// A set of positions, as ranges in ascending order. Records come and go in order, so there are few.
struct PositionRanges {
    struct Range: Equatable {
        var first: Int64
        var last: Int64
        var count: Int64 { last - first + 1 }
    }

    private(set) var ranges: [Range] = []

    var isEmpty: Bool { ranges.isEmpty }
    /// The lowest position; `Int64.max` when there is none.
    var lowest: Int64 { ranges.first?.first ?? Int64.max }
    /// Positions in the set; a range read from a file may have fewer rows than positions.
    var count: Int64 {
        var sum: Int64 = 0
        for range in ranges { sum += range.count }
        return sum
    }

    mutating func insert(_ position: Int64) { insert(Range(first: position, last: position)) }

    mutating func insert(_ new: Range) {
        if new.first > new.last { return }
        // Most are appended.
        guard let last = ranges.last, new.first <= last.last + 1 else {
            ranges.append(new)
            return
        }
        // The first range that ends at or behind the place before the new one.
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].last + 1 < new.first { low = middle + 1 } else { high = middle }
        }
        var merged = new
        var end = low
        while end < ranges.count, ranges[end].first <= new.last + 1 {
            merged.first = min(merged.first, ranges[end].first)
            merged.last = max(merged.last, ranges[end].last)
            end += 1
        }
        if end == low {
            ranges.insert(merged, at: low)
        } else {
            ranges[low] = merged
            if end > low + 1 { ranges.removeSubrange((low + 1)..<end) }
        }
    }

    /// Takes everything up to and with `position` out.
    mutating func remove(through position: Int64) {
        var gone = 0
        while gone < ranges.count, ranges[gone].last <= position { gone += 1 }
        if gone > 0 { ranges.removeFirst(gone) }
        if !ranges.isEmpty, ranges[0].first <= position { ranges[0].first = position + 1 }
    }

    /// Takes the lowest positions out: at most `limit` of them, in at most 64 ranges.
    mutating func takeLowest(_ limit: Int64) -> [Range] {
        var taken: [Range] = []
        var left = limit
        for range in ranges {
            if left <= 0 || taken.count == 64 { break }
            let part = Range(first: range.first, last: min(range.last, range.first + left - 1))
            taken.append(part)
            left -= part.count
        }
        if let last = taken.last { remove(through: last.last) }
        return taken
    }

    /// The part of the first range at or above `position` of at most `limit` positions; stays in.
    func part(from position: Int64, limit: Int64) -> Range? {
        for range in ranges where range.last >= position {
            let first = max(range.first, position)
            return Range(first: first, last: min(range.last, first + limit - 1))
        }
        return nil
    }

    mutating func removeAll() { ranges = [] }
}
