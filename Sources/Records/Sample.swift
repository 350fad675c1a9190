import Platform

/// What a sensor measured, or what an actuator shows.
public enum Value: Equatable, Sendable {
    case number(Double)
    /// A count, or a level (0 or 1); printed without a fraction.
    case integer(Int64)
    case boolean(Bool)
    case text(String)

    /// The same value of the same kind; text by its bytes.
    public static func == (left: Value, right: Value) -> Bool {
        switch (left, right) {
        case (.number(let left), .number(let right)): left == right
        case (.integer(let left), .integer(let right)): left == right
        case (.boolean(let left), .boolean(let right)): left == right
        case (.text(let left), .text(let right)): sameBytes(left, right)
        default: false
        }
    }

    /// The value as a number where it is one: `true` is 1.
    public var number: Double? {
        switch self {
        case .number(let number): number
        case .integer(let integer): Double(integer)
        case .boolean(let boolean): boolean ? 1 : 0
        case .text: nil
        }
    }
}

/// How far a value may be trusted, in the words of OPC.
public enum Quality: Equatable, Sendable {
    case good
    /// Usable with care; why.
    case uncertain(reason: String)
    /// Not a measurement; why. The record's value is then `null`.
    case bad(reason: String)
}

/// Numbers a series of samples (one channel of one sensor) within this agent.
public struct SeriesID: Hashable, Sendable {
    public let index: Int
    public init(_ index: Int) { self.index = index }
}

/// One measurement of one channel: what the stages of the telemetry path pass on.
public struct Sample: Equatable, Sendable {
    public var series: SeriesID
    public var value: Value
    public var quality: Quality
    /// When it was taken, on the monotonic clock; wall time is worked out when it is encoded.
    public var taken: Instant

    public init(series: SeriesID, value: Value, quality: Quality = .good, taken: Instant) {
        self.series = series
        self.value = value
        self.quality = quality
        self.taken = taken
    }
}

/// What stays the same in every record of a channel.
public struct Series: Equatable, Sendable {
    /// `<sensor>.<channel>`, or `<sensor>` where the sensor has one unnamed channel. Also the record's key.
    public let sensorID: String
    /// A SenML unit name (RFC 8428, section 12.1) such as `Cel`, or `nil` for a bare number.
    public let unit: String?

    public init(sensorID: String, unit: String?) {
        self.sensorID = sensorID
        self.unit = unit
    }
}
