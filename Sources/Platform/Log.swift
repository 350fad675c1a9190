import CShim

/// Where the agent says what happens: one line an event, on standard error, for the journal.
public final class Log {
    public enum Level: Int, Comparable, Sendable {
        case error = 3
        case warning = 4
        case info = 6
        case debug = 7

        public static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    /// What is less important than this is not written.
    public var level: Level
    private let sink: (Level, String) -> Void

    /// - Parameter sink: gets each line, without its line feed.
    public init(level: Level = .info, sink: @escaping (Level, String) -> Void) {
        self.level = level
        self.sink = sink
    }

    /// Writes to standard error. Under systemd (`JOURNAL_STREAM` is set) each line carries its priority, as
    /// sd-daemon(3) has it; elsewhere the level's name unless it is ordinary information.
    public static func standardError(level: Level = .info) -> Log {
        let journal = getenv("JOURNAL_STREAM") != nil
        return Log(level: level) { level, text in
            let start: String
            if journal {
                start = "<\(level.rawValue)>"
            } else {
                switch level {
                case .error: start = "error: "
                case .warning: start = "warning: "
                case .info: start = ""
                case .debug: start = "debug: "
                }
            }
            writeLine(start + text, to: 2)
        }
    }

    public func error(_ text: @autoclosure () -> String) { write(.error, text) }
    public func warning(_ text: @autoclosure () -> String) { write(.warning, text) }
    public func info(_ text: @autoclosure () -> String) { write(.info, text) }
    public func debug(_ text: @autoclosure () -> String) { write(.debug, text) }

    private func write(_ level: Level, _ text: () -> String) {
        if level <= self.level { sink(level, text()) }
    }
}

/// Writes one line whole, so that lines of several processes do not mix.
/// - Returns: whether it was written; standard output may be a closed pipe.
@discardableResult
public func writeLine(_ text: String, to descriptor: Int32) -> Bool {
    var bytes = Array(text.utf8)
    bytes.append(10)
    return bytes.withUnsafeBytes { kedge_write_all(descriptor, $0.baseAddress, $0.count) == 0 }
}
