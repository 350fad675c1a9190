/// A place in the configuration file; both count from 1.
public struct Mark: Equatable, Hashable, Sendable {
    public let line: Int
    public let column: Int

    public init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }
}
