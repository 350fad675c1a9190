import Foundation

/// A record as a consumer got it.
public struct Arrival: Equatable, Sendable {
    public var partition: Int
    public var offset: Int64
    public var key: String
    /// `<node>/<boot>` of the header `id`.
    public var boot: String
    /// The last part of the header `id`; counts from 1 in each boot.
    public var sequence: Int
    /// What the sensor counted; `nil` in a record that tells of something else.
    public var value: Int?
    /// In a record that tells of a gap: how many of the key's records are missing.
    public var missing: Int
    /// When the sample was taken, in milliseconds since 1970.
    public var taken: Int64

    public init(
        key: String, boot: String, sequence: Int, value: Int?, taken: Int64, missing: Int = 0, partition: Int = 0,
        offset: Int64 = 0
    ) {
        self.key = key
        self.boot = boot
        self.sequence = sequence
        self.value = value
        self.taken = taken
        self.missing = missing
        self.partition = partition
        self.offset = offset
    }

    /// Reads a line of `kedge watch --json`; `nil` when it is none or the record has no `id`.
    public init?(line: Data) {
        guard let line = try? JSONDecoder().decode(Line.self, from: line),
            let body = try? JSONDecoder().decode(Body.self, from: Data(line.value.utf8)),
            let id = RecordID(line.headers["id"] ?? "")
        else { return nil }
        self.init(
            key: line.key, boot: id.boot, sequence: id.sequence, value: body.value.map { Int($0) },
            taken: Int64((body.timestamp * 1_000).rounded()), missing: body.gap?.count ?? 0,
            partition: line.partition, offset: line.offset)
    }

    private struct Line: Decodable {
        let partition: Int
        let offset: Int64
        let key: String
        let headers: [String: String]
        let value: String
    }

    private struct Body: Decodable {
        struct Gap: Decodable { let count: Int }
        let value: Double?
        let timestamp: Double
        let gap: Gap?
    }
}

/// `<node>/<boot>/<sequence>`.
public struct RecordID: Hashable, Sendable {
    public let boot: String
    public let sequence: Int

    public init(boot: String, sequence: Int) {
        self.boot = boot
        self.sequence = sequence
    }

    public init?(_ text: String) {
        let parts = text.split(separator: "/")
        guard parts.count == 3, let sequence = Int(parts[2]), sequence > 0 else { return nil }
        self.init(boot: "\(parts[0])/\(parts[1])", sequence: sequence)
    }
}
