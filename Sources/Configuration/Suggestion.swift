/// The word nearest to a misspelt one, or `nil` when none is near: one mistake for words of up to five letters, two for
/// longer ones. A mistake is a letter too many, missing, another one, or two that changed places (the optimal string
/// alignment distance of Damerau and Levenshtein); the case of letters is none.
func nearest(to word: String, among words: [StaticString]) -> StaticString? {
    if word.utf8.count > 40 { return nil }
    let word = word.utf8.map { lowercased($0) }
    var best: StaticString?
    var lowest = word.count <= 5 ? 2 : 3
    for candidate in words where abs(candidate.utf8CodeUnitCount - word.count) < lowest {
        let mistakes = candidate.withUTF8Buffer { distance(word, $0) }
        if mistakes < lowest, mistakes < candidate.utf8CodeUnitCount {
            lowest = mistakes
            best = candidate
        }
    }
    return best
}

private func distance(_ left: [UInt8], _ right: UnsafeBufferPointer<UInt8>) -> Int {
    // Rows of the dynamic programming table: two back, one back, current.
    var earlier = [Int](repeating: 0, count: right.count + 1)
    var previous = earlier
    var current = earlier
    for column in 0...right.count { previous[column] = column }
    for row in 0..<left.count {
        current[0] = row + 1
        for column in 0..<right.count {
            let isSame = left[row] == lowercased(right[column])
            var cost = min(previous[column + 1], current[column]) + 1
            cost = min(cost, previous[column] + (isSame ? 0 : 1))
            if row > 0, column > 0, left[row] == lowercased(right[column - 1]),
                left[row - 1] == lowercased(right[column])
            {
                cost = min(cost, earlier[column - 1] + 1)
            }
            current[column + 1] = cost
        }
        let oldest = earlier
        earlier = previous
        previous = current
        current = oldest
    }
    return previous[right.count]
}
