import Platform

/// Collects everything that is wrong with a configuration, so that all of it can be shown at once.
public final class Diagnostics {
    public struct Problem: Equatable, Sendable {
        public let mark: Mark
        public let text: String
    }

    /// As the user named it.
    public let file: String
    /// In the file's order; at one place, in the order in which they were reported.
    public private(set) var problems: [Problem] = []
    /// What may well be right, such as on another machine; not among `problems`.
    public private(set) var warnings: [Problem] = []
    /// How many problems were found after `problems` was full.
    public private(set) var omitted = 0
    /// How many problems are kept. Whoever has more has one mistake many times.
    public let limit: Int

    public init(file: String, limit: Int = 200) {
        self.file = file
        self.limit = limit
    }

    /// - Parameters:
    ///   - what: what was found, such as `every is "5 parsecs"`.
    ///   - expected: what would be right.
    public func report(_ mark: Mark, _ what: String, expected: String) {
        report(mark, "\(what), expected \(expected)")
    }

    /// For a problem that has no "expected", such as a duplicate. The same text at the same place counts once:
    /// what an alias repeats is one mistake.
    public func report(_ mark: Mark, _ text: String) {
        var index = problems.count
        while index > 0, mark < problems[index - 1].mark { index -= 1 }
        var same = index
        while same > 0, problems[same - 1].mark == mark {
            if sameBytes(problems[same - 1].text, text) { return }
            same -= 1
        }
        if problems.count >= limit {
            omitted += 1
        } else {
            problems.insert(Problem(mark: mark, text: text), at: index)
        }
    }

    public func warn(_ mark: Mark, _ text: String) { warnings.append(Problem(mark: mark, text: text)) }

    public var isEmpty: Bool { problems.isEmpty }

    /// One line a problem, `file:line:column: text`, in the file's order; a last line counts what was left out.
    public var lines: [String] {
        var lines = problems.map { line($0) }
        if omitted > 0 { lines.append("\(file): and \(omitted) more") }
        return lines
    }

    /// The same for one of `problems` or `warnings`.
    public func line(_ problem: Problem) -> String {
        "\(file):\(problem.mark.line):\(problem.mark.column): \(problem.text)"
    }
}
