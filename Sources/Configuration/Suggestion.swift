/// The word nearest to a misspelt one, or `nil` when none is near: one mistake for words of up to five letters, two for
/// longer ones. A mistake is a letter too many, missing, another one, or two that changed places (the optimal string
/// alignment distance of Damerau and Levenshtein); the case of letters is none.
public func nearest(to word: String, among words: [String]) -> String? {
    if word.utf8.count > 40 { return nil }
    let word = word.utf8.map { lowercased($0) }
    var best: String?
    var lowest = word.count <= 5 ? 2 : 3
    for text in words {
        let candidate = Array(text.utf8)
        if abs(candidate.count - word.count) >= lowest { continue }
        let mistakes = candidate.withUnsafeBufferPointer { distance(word, $0) }
        if mistakes < lowest, mistakes < candidate.count {
            lowest = mistakes
            best = text
        }
    }
    return best
}

private func distance(_ left: [UInt8], _ right: UnsafeBufferPointer<UInt8>) -> Int {
    // Three rows of the dynamic programming table, used in turn. They are one array because three that change places
    // are miscompiled by the optimiser of Swift 6.3.1: "evry" was then near to nothing.
    let width = right.count + 1
    var table = [Int](repeating: 0, count: 3 * width)
    for column in 0..<width { table[column] = column }
    for row in 0..<left.count {
        let earlier = (row + 2) % 3 * width
        let previous = row % 3 * width
        let current = (row + 1) % 3 * width
        table[current] = row + 1
        for column in 0..<right.count {
            let isSame = left[row] == lowercased(right[column])
            var cost = min(table[previous + column + 1], table[current + column]) + 1
            cost = min(cost, table[previous + column] + (isSame ? 0 : 1))
            if row > 0, column > 0, left[row] == lowercased(right[column - 1]),
                left[row - 1] == lowercased(right[column])
            {
                cost = min(cost, table[earlier + column - 1] + 1)
            }
            table[current + column + 1] = cost
        }
    }
    return table[left.count % 3 * width + right.count]
}
