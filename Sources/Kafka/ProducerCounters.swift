import Platform

/// What a producer has done since it was made.
public struct ProducerCounters: Equatable, Sendable {
    /// Records that librdkafka took.
    public internal(set) var taken: UInt64 = 0
    public internal(set) var acknowledged: UInt64 = 0
    /// Bytes of the payloads that were acknowledged, before compression.
    public internal(set) var acknowledgedBytes: UInt64 = 0
    /// Offers answered `full`.
    public internal(set) var full: UInt64 = 0
    /// Offers answered `refused`.
    public internal(set) var refused: UInt64 = 0
    /// Taken, and not reported yet.
    public internal(set) var outstanding = 0
    /// Failed delivery reports by librdkafka's name of the error; the rarest names beyond 16 together as `other`.
    public private(set) var failed: [Failure] = []

    public struct Failure: Equatable, Sendable {
        public let name: String
        public internal(set) var count: UInt64
    }

    private static let names = 16

    mutating func fail(_ name: String) {
        if let index = failed.firstIndex(where: { sameBytes($0.name, name) }) {
            failed[index].count += 1
        } else if failed.count < Self.names {
            failed.append(Failure(name: name, count: 1))
        } else if let index = failed.firstIndex(where: { $0.name.isEqual(to: "other") }) {
            failed[index].count += 1
        } else {
            failed.append(Failure(name: "other", count: 1))
        }
    }
}
