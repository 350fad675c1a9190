import FaultChecker
import Foundation

/// The consumer: `kedge watch --json` on the quiet port, whose records go into the ledger.
final class Collector: @unchecked Sendable {
    private var watch: Watch?
    private let lock = NSLock()
    private let ledger: Ledger
    /// The offset behind the last record of each partition that was read.
    private var ends: [Int: Int64] = [:]
    private var unreadable = 0

    init(_ command: [String], topic: String, bootstrap: String, log: String, into ledger: Ledger) throws {
        self.ledger = ledger
        watch = try Watch(
            command, topic: topic, bootstrap: bootstrap, options: ["-X", "isolation.level=read_committed"], log: log
        ) { [self] line in take(line) }
    }

    private func take(_ line: Data) {
        let arrival = Arrival(line: line)
        lock.lock()
        defer { lock.unlock() }
        if let arrival {
            ledger.take(arrival)
            ends[arrival.partition] = arrival.offset + 1
        } else {
            unreadable += 1
        }
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

    func end() { watch?.end() }
}
