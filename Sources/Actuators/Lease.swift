import Configuration
import Platform

/// Whose an actuator is for a while: what a command's `for` gives it. Until then only a command of the same or a
/// higher priority is carried out.
public struct Lease: Equatable, Sendable {
    public let priority: Int
    public let until: Instant
    /// The id of the command that has it.
    public let command: String
}

/// How many orders an actuator takes in a time. Orders for the safe value are free.
public struct RateLimit: Equatable, Sendable {
    /// So many at once, after a time of quiet.
    public let count: Int64
    public let period: Interval

    public init(count: Int64, per period: Interval) {
        self.count = count
        self.period = period
    }

    /// Reads such as `10/s`, `6/m`, `100/h` or `5/30s`; `nil` for anything else.
    public init?(text: String) {
        let bytes = Array(text.utf8)
        guard let slash = bytes.firstIndex(of: UInt8(ascii: "/")), slash + 1 < bytes.count,
            let count = wholeNumber(String(decoding: bytes[..<slash], as: UTF8.self)), (1...1_000_000).contains(count)
        else { return nil }
        var period = String(decoding: bytes[(slash + 1)...], as: UTF8.self)
        if !(48...57).contains(bytes[slash + 1]) { period = joined("1", period) }
        guard let interval = Interval(text: period), interval >= .milliseconds(1), interval <= .seconds(86_400),
            interval.nanoseconds >= count
        else { return nil }
        self.init(count: count, per: interval)
    }

    /// Such as "10 in 1000 ms".
    var description: String { joined(decimal(count), " in ", decimal(period.milliseconds), " ms") }
}

/// Keeps to a `RateLimit`: the generic cell rate algorithm (ITU-T I.371), which is a bucket of `count` tokens that
/// fills at `count` in each `period`.
struct RateMeter {
    private let limit: RateLimit
    /// When the bucket would be full again.
    private var full: Instant?

    init(_ limit: RateLimit) { self.limit = limit }

    /// How long until there is a token; zero when there is one.
    func wait(at now: Instant) -> Interval {
        guard let full else { return .zero }
        let step = limit.period.nanoseconds / limit.count
        return max(.zero, full + Interval(nanoseconds: step) - limit.period - now)
    }

    mutating func take(at now: Instant) {
        let step = limit.period.nanoseconds / limit.count
        full = max(full ?? now, now) + Interval(nanoseconds: step)
    }
}
