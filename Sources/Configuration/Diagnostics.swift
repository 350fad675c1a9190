/// Collects everything that is wrong with a configuration, so that all of it can be shown at once.
public final class Diagnostics {
    public struct Problem: Equatable, Sendable {
        public let mark: Mark
        public let text: String
    }

    /// As the user named it.
    public let file: String
    public private(set) var problems: [Problem] = []

    public init(file: String) { self.file = file }

    /// - Parameters:
    ///   - what: what was found, such as `"every: 5 parsecs"`.
    ///   - expected: what would be right.
    public func report(_ mark: Mark, _ what: String, expected: String) {
        problems.append(Problem(mark: mark, text: "\(what), expected \(expected)"))
    }

    /// For a problem that has no "expected", such as a duplicate.
    public func report(_ mark: Mark, _ text: String) {
        problems.append(Problem(mark: mark, text: text))
    }

    public var isEmpty: Bool { problems.isEmpty }

    /// One line a problem, `file:line:column: text`, in the file's order.
    public var lines: [String] {
        let ordered = problems.sorted {
            $0.mark.line != $1.mark.line ? $0.mark.line < $1.mark.line : $0.mark.column < $1.mark.column
        }
        return ordered.map { "\(file):\($0.mark.line):\($0.mark.column): \($0.text)" }
    }
}
