import Foundation

/// `kedge watch --json` in a process of its own; each line that it prints is handed on, by a thread of its own.
final class Watch {
    private let child: Child

    /// - Parameter options: behind the topic.
    init(
        _ command: [String], topic: String, bootstrap: String, options: [String] = [], log: String,
        line: @escaping @Sendable (Data) -> Void
    ) throws {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw Service.Failure(description: "no pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        child = try Child(
            command + [
                "watch", topic, "--json", "--from", "beginning", "-b", bootstrap, "-X", "fetch.wait.max.ms=50",
                "-X", "reconnect.backoff.ms=20", "-X", "reconnect.backoff.max.ms=100",
            ] + options, output: ends[1], errors: log)
        close(ends[1])
        let input = ends[0]
        Thread.detachNewThread { Self.read(input, line) }
    }

    private static func read(_ input: Int32, _ line: (Data) -> Void) {
        var rest = Data()
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(input, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            rest.append(contentsOf: buffer[..<count])
            while let end = rest.firstIndex(of: 10) {
                line(Data(rest[rest.startIndex..<end]))
                rest = rest[(end + 1)...]
            }
            rest = Data(rest)
        }
        close(input)
    }

    func end() {
        child.signal(SIGTERM)
        _ = child.wait(within: 10)
    }
}
