import Hardware
import Platform
import Records

/// One quantity that a sensor measures.
public struct Channel: Equatable, Sendable {
    /// Such as `temperature`; empty for a sensor with one channel, whose records then carry the sensor's id alone.
    public let name: String
    /// A SenML unit name (RFC 8428, section 12.1), or `nil`.
    public let unit: String?

    public init(_ name: String, unit: String?) {
        self.name = name
        self.unit = unit
    }
}

/// A driver that is asked for its values, on the work queue that it was made for.
///
/// The sampler calls `prepare` before the first measurement and again after each failure, so a chip that was
/// unplugged and comes back is set up anew. Then for each measurement `trigger`, the wait that it returns
/// (spent off the bus, so that other devices can use it), and `collect`.
public protocol SensorDriver: AnyObject {
    /// Checks that the right chip is there, resets it and reads its calibration.
    func prepare() throws(SensorError)
    /// Starts a conversion. Returns how long it takes at most; zero when there is none to wait for.
    func trigger() throws(SensorError) -> Interval
    /// Reads the result: one value for each channel, in the order of the channels.
    func collect(into values: inout [Value]) throws(SensorError)
}

extension SensorDriver {
    public func prepare() throws(SensorError) {}
    public func trigger() throws(SensorError) -> Interval { .zero }
}

/// A driver that speaks by itself (a GPIO edge), on the loop's thread.
public protocol EventDriver: AnyObject {
    /// Begins to report through `emit`: the channel's index, the value and when it was so.
    func start(
        on loop: any Loop, emit: @escaping (Int, Value, Instant) -> Void
    ) throws(SensorError)
    /// Ends reporting and releases the hardware.
    func stop()
}

/// Why a sensor has no value.
public enum SensorError: Error, Equatable, Sendable {
    case i2c(I2CError)
    case gpio(GPIOError)
    case system(SystemError)
    /// Another chip answers at the address: what its id register should hold and what it holds.
    case wrongChip(expected: String, found: String)
    /// It answered, but not with a measurement: checksum, range, skipped conversion …
    case invalidData(String)
    /// The simulated failure of a `sim` sensor.
    case simulated

    /// A short code for a record's `reason`, such as `i2c`.
    public var code: String {
        switch self {
        case .i2c: "i2c"
        case .gpio: "gpio"
        case .system: "system"
        case .wrongChip: "wrong-chip"
        case .invalidData: "invalid-data"
        case .simulated: "simulated"
        }
    }

    /// In words, with the place.
    public var description: String {
        switch self {
        case .i2c(let error): error.description
        case .gpio(let error): error.description
        case .system(let error): error.description
        case .wrongChip(let expected, let found): "wrong chip: expected \(expected), found \(found)"
        case .invalidData(let what): "invalid data: \(what)"
        case .simulated: "simulated failure"
        }
    }
}
