import Actuators
import Platform
import Records

/// The ids of the last commands and how each was answered first, so that none is carried out twice.
///
/// Bounded: the oldest id makes room for a new one. In memory only.
final class RecentIDs {
    struct Answer {
        let status: Status
        let value: Value?
    }

    private struct Entry {
        let hash: UInt64
        let id: String
        /// `nil` while the command is being carried out.
        var answer: Answer?
    }

    private let capacity: Int
    /// A ring once it is full; `next` is then the oldest.
    private var entries: [Entry] = []
    private var next = 0

    init(capacity: Int) { self.capacity = max(1, capacity) }

    enum Finding {
        case new
        case inProgress
        case answered(Answer)
    }

    /// Looks `id` up, and keeps it when it is new.
    func claim(_ id: String) -> Finding {
        let hash = Self.hash(id)
        if let index = index(of: id, hash) {
            return entries[index].answer.map { .answered($0) } ?? .inProgress
        }
        let entry = Entry(hash: hash, id: id, answer: nil)
        if entries.count < capacity {
            entries.append(entry)
        } else {
            entries[next] = entry
            next = (next + 1) % capacity
        }
        return .new
    }

    /// Keeps the answer to a claimed id; no effect when that has made room already.
    func settle(_ id: String, _ answer: Answer) {
        if let index = index(of: id, Self.hash(id)) { entries[index].answer = answer }
    }

    private func index(of id: String, _ hash: UInt64) -> Int? {
        entries.firstIndex { $0.hash == hash && sameBytes($0.id, id) }
    }

    /// FNV-1a, so that most comparisons are of one word.
    private static func hash(_ id: String) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in id.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash
    }
}
