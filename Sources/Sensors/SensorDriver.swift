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
/// Making one touches no hardware. The sampler calls `prepare` before the first measurement and again after each
/// failure, so a chip that was unplugged and comes back is set up anew. Then for each measurement `trigger`, the
/// wait that it returns (spent off the bus, so that other devices can use it), and `collect`.
public protocol SensorDriver: AnyObject {
    /// Checks that the right chip is there, resets it and reads its calibration.
    func prepare() throws(SensorError)
    /// Starts a conversion. Returns how long it takes at most; zero when there is none to wait for.
    func trigger() throws(SensorError) -> Interval
    /// Reads the result and appends one value for each channel, in the order of the channels, to the empty `values`.
    func collect(into values: inout [Value]) throws(SensorError)
}

extension SensorDriver {
    public func prepare() throws(SensorError) {}
    public func trigger() throws(SensorError) -> Interval { .zero }
}

/// What a driver that speaks by itself says.
public enum SensorEvent: Equatable, Sendable {
    /// The index of the channel, its value, how far to trust it, and when it was so.
    case value(channel: Int, Value, Quality, Instant)
    /// So many edges were lost before they could be read; 0 where some may have been and nobody knows.
    case lost(UInt64)
    /// So many periodic reports were skipped, because the loop was late.
    case missed(UInt64)
    /// The hardware failed. The driver is then stopped, and started again after a while.
    case failed(SensorError)
}

/// A driver that speaks by itself (a GPIO edge), on the loop's thread.
public protocol EventDriver: AnyObject {
    /// Requests the hardware and begins to report. `report` is not called after `stop`, and may call `stop`.
    func start(on loop: any Loop, report: @escaping (SensorEvent) -> Void) throws(SensorError)
    /// Reports what would be lost by a stop. Called before the last one.
    func flush()
    /// Ends reporting and releases the hardware. No effect on a driver that is not started.
    func stop()
    /// The values as they are now, one for each channel, appended to the empty `values`. A driver that is not
    /// started requests the hardware for as long as it takes.
    func read(into values: inout [Value]) throws(SensorError)
}

extension EventDriver {
    public func flush() {}
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
    /// Nothing came back within this time.
    case timeout(Interval)
    /// A replay has come to its end: not a failure, there is nothing more to sample.
    case ended
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
        case .timeout: "timeout"
        case .ended: "ended"
        case .simulated: "simulated"
        }
    }

    /// In words, with the place.
    public var description: String {
        switch self {
        case .i2c(let error): error.description
        case .gpio(let error): error.description
        case .system(let error): error.description
        case .wrongChip(let expected, let found): joined("wrong chip: expected ", expected, ", found ", found)
        case .invalidData(let what): joined("invalid data: ", what)
        case .timeout(let limit): joined("no answer within ", decimal(limit.milliseconds), " ms")
        case .ended: "the replay has ended"
        case .simulated: "simulated failure"
        }
    }
}
