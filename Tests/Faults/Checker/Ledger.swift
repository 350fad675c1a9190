/// Keeps account of what arrived, and tells what is missing, what came twice and what overtook.
///
/// It knows the truth from the records themselves: sequences count from 1 in each boot, and so do the values of each
/// key from 0. What ended unseen behind the last record of a boot cannot be told from them: that must be `expect`ed, by
/// whoever knows (the outbox's file after a kill, the agent's last words), and `Boot.lastTaken` bounds it in time.
public final class Ledger {
    /// One start of an agent.
    public final class Boot {
        /// How often each sequence was seen; the first is that of sequence 1.
        fileprivate(set) var seen: [Int] = []
        fileprivate var keys: [String: Run] = [:]
        /// When the first and the last of its samples that arrived were taken, in milliseconds since 1970.
        public fileprivate(set) var firstTaken = Int64.max
        public fileprivate(set) var lastTaken = Int64.min
        /// Records that arrived, each counted once.
        public var arrived: Int { seen.count { $0 > 0 } }

        /// The counted values of a key.
        fileprivate struct Run {
            var seen: [Bool] = []
            var holes: Int { seen.count { !$0 } }
        }
    }

    public private(set) var boots: [String: Boot] = [:]
    /// Records that came again.
    public private(set) var duplicates = 0
    /// Records whose first arrival was after that of a later one of their key.
    public private(set) var disorders = 0
    /// The first few of what came again, and of what overtook, in words.
    public private(set) var repeated: [String] = []
    public private(set) var overtaken: [String] = []
    /// Arrivals, duplicates included.
    public private(set) var arrivals = 0

    private var expected: Set<RecordID> = []
    private var latest: [String: Latest] = [:]
    private var declared: [String: Int] = [:]

    /// The newest sample of a key that has arrived.
    private struct Latest {
        var boot: String
        var value: Int
        var taken: Int64
    }

    public init() {}

    public func take(_ arrival: Arrival) {
        arrivals += 1
        let boot = boots[arrival.boot] ?? Boot()
        boots[arrival.boot] = boot
        let index = arrival.sequence - 1
        if boot.seen.count <= index {
            boot.seen += Array(repeating: 0, count: index + 1 - boot.seen.count)
        }
        boot.seen[index] += 1
        if boot.seen[index] > 1 {
            duplicates += 1
            if repeated.count < 5 {
                repeated.append("\(arrival.boot)/\(arrival.sequence) of \(arrival.key) again at \(place(arrival))")
            }
            return
        }
        if arrival.missing > 0 { declared[arrival.key, default: 0] += arrival.missing }
        guard let value = arrival.value, value >= 0 else { return }
        boot.firstTaken = min(boot.firstTaken, arrival.taken)
        boot.lastTaken = max(boot.lastTaken, arrival.taken)
        var run = boot.keys[arrival.key] ?? Boot.Run()
        if run.seen.count <= value { run.seen += Array(repeating: false, count: value + 1 - run.seen.count) }
        run.seen[value] = true
        boot.keys[arrival.key] = run
        checkOrder(arrival, value)
    }

    /// Within a boot the values tell the order, between boots the times.
    private func checkOrder(_ arrival: Arrival, _ value: Int) {
        if let last = latest[arrival.key] {
            let isLate = last.boot == arrival.boot ? value < last.value : arrival.taken < last.taken
            if isLate {
                disorders += 1
                if overtaken.count < 5 {
                    overtaken.append(
                        "\(arrival.key) \(value) of \(arrival.boot) at \(place(arrival)) after \(last.value) of "
                            + last.boot)
                }
                return
            }
        }
        latest[arrival.key] = Latest(boot: arrival.boot, value: value, taken: arrival.taken)
    }

    /// A record that must arrive.
    public func expect(_ id: RecordID) { expected.insert(id) }

    private func place(_ arrival: Arrival) -> String { "offset \(arrival.offset) of partition \(arrival.partition)" }

    // MARK: The account

    public struct Account: Equatable, Sendable {
        /// Records that are known to have been made.
        public var sent = 0
        /// Those that never arrived, and that no record told of.
        public var lost = 0
        /// Those of them that lie before one of the same key and boot that did arrive: never just the end of a boot.
        public var holes = 0
        public var duplicates = 0
        public var disorders = 0
        /// Missing records that were told of.
        public var declared = 0

        public init() {}
    }

    public var account: Account {
        var account = Account()
        account.duplicates = duplicates
        account.disorders = disorders
        account.declared = declared.values.reduce(0, +)
        var arrived = 0
        var missing = 0
        var holes: [String: Int] = [:]
        for boot in boots.values {
            arrived += boot.arrived
            missing += boot.seen.count - boot.arrived
            for (key, run) in boot.keys { holes[key, default: 0] += run.holes }
        }
        for id in expected {
            let seen = boots[id.boot]?.seen ?? []
            // A missing one below the highest is counted already.
            if id.sequence > seen.count { missing += 1 }
        }
        for (key, count) in holes { account.holes += max(0, count - declared[key, default: 0]) }
        // A record that was refused before it got a sequence shows in the values alone.
        account.lost = max(missing - account.declared, account.holes, 0)
        account.sent = arrived + account.lost
        return account
    }

    /// Where something is missing, for the reader of a failure.
    public var missing: [String] {
        var lines: [String] = []
        for (name, boot) in boots.sorted(by: { $0.value.firstTaken < $1.value.firstTaken }) {
            let gone = boot.seen.indices.filter { boot.seen[$0] == 0 }.map { $0 + 1 }
            let late = expected.filter { $0.boot == name && $0.sequence > boot.seen.count }.map { $0.sequence }
            let holes = boot.keys.filter { $0.value.holes > 0 }.map { "\($0.key) \($0.value.holes)" }.sorted()
            if gone.isEmpty && late.isEmpty && holes.isEmpty { continue }
            lines.append(
                "\(name): of \(boot.seen.count) sequences missing \(gone.count) \(gone.prefix(8)), "
                    + "expected behind them \(late.count) \(late.sorted().prefix(8)), holes \(holes)")
        }
        let unknown = expected.filter { boots[$0.boot] == nil }
        if !unknown.isEmpty { lines.append("\(unknown.count) expected of boots of which nothing arrived") }
        return lines
    }
}
