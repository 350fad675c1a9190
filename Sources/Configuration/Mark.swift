/// A place in the configuration file; both count from 1, columns in characters (Unicode scalars), as editors do.
public struct Mark: Equatable, Comparable, Hashable, Sendable {
    public let line: Int
    public let column: Int

    public init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    public static func < (left: Mark, right: Mark) -> Bool {
        left.line != right.line ? left.line < right.line : left.column < right.column
    }
}
