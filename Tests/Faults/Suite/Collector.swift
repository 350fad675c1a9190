import FaultChecker
import Foundation

/// The consumer: `kedge watch --json` on the quiet port, whose records go into the ledger.
final class Collector: @unchecked Sendable {
    private let child: Child
    private let lock = NSLock()
    private let ledger: Ledger
    /// The offset behind the last record of each partition that was read.
    private var ends: [Int: Int64] = [:]
    private var unreadable = 0

    init(_ command: [String], topic: String, bootstrap: String, log: String, into ledger: Ledger) throws {
        self.ledger = ledger
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw Service.Failure(description: "no pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        child = try Child(
            command + [
                "watch", topic, "--json", "--from", "beginning", "-b", bootstrap, "-X",
                "isolation.level=read_committed",
                "-X", "fetch.wait.max.ms=50", "-X", "reconnect.backoff.ms=20", "-X", "reconnect.backoff.max.ms=100",
            ], output: ends[1], errors: log)
        close(ends[1])
        let input = ends[0]
        Thread.detachNewThread { [self] in read(input) }
    }

    private func read(_ input: Int32) {
        var rest = Data()
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(input, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            rest.append(contentsOf: buffer[..<count])
            while let end = rest.firstIndex(of: 10) {
                let line = rest[rest.startIndex..<end]
                let arrival = Arrival(line: Data(line))
                rest = rest[(end + 1)...]
                lock.lock()
                if let arrival {
                    ledger.take(arrival)
                    ends[arrival.partition] = arrival.offset + 1
                } else {
                    unreadable += 1
                }
                lock.unlock()
            }
            rest = Data(rest)
        }
        close(input)
    }

    /// Looks at the ledger while nothing is added to it.
    func look<T>(_ body: (Ledger) -> T) -> T {
        lock.lock()
        defer { lock.unlock() }
        return body(ledger)
    }

    var problems: [String] {
        lock.lock()
        defer { lock.unlock() }
        return unreadable > 0 ? ["\(unreadable) records without an id or not in the format"] : []
    }

    /// Waits until everything that a consumer may read has been read.
    /// - Returns: whether it has within so many seconds.
    func drain(_ service: Service, _ topic: String, within limit: Double) -> Bool {
        let deadline = Date(timeIntervalSinceNow: limit)
        while Date() < deadline {
            let there = service.ends(of: topic)
            lock.lock()
            let isRead = there.indices.allSatisfy { (ends[$0] ?? 0) >= there[$0] }
            lock.unlock()
            if isRead { return true }
            usleep(20_000)
        }
        return false
    }

    func end() {
        child.signal(SIGTERM)
        _ = child.wait(within: 10)
    }
}
