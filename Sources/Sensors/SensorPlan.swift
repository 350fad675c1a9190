import Configuration
import Hardware
import Platform
import Records

/// A sensor as the configuration describes it: everything that is needed to make and run it.
public struct SensorPlan {
    public let id: String
    /// The driver's name, such as `bme280`.
    public let driver: StaticString
    /// Where the sensor stands in the configuration.
    public let mark: Mark
    /// The distance of its samples; `nil` for one that speaks only when something happens.
    public let every: Interval?
    public let channels: [ChannelPlan]
    /// The topic of all channels that name none; `nil` is the node's.
    public let topic: String?
    /// Where that topic stands.
    public let topicMark: Mark?
    /// The filters of all channels that have none of their own, as written.
    public let filters: Node?
    /// When its records go to the disk, as written; the outbox's to read.
    public let durability: Node?
    /// What this sensor uses, so that the agent can tell when two parts want the same thing.
    public let claims: [Claim]
    public let make: DriverMaker

    public init(
        id: String, driver: StaticString, mark: Mark, every: Interval?, channels: [ChannelPlan], topic: String? = nil,
        topicMark: Mark? = nil, filters: Node? = nil, durability: Node? = nil, claims: [Claim] = [], make: DriverMaker
    ) {
        self.id = id
        self.driver = driver
        self.mark = mark
        self.every = every
        self.channels = channels
        self.topic = topic
        self.topicMark = topicMark
        self.filters = filters
        self.durability = durability
        self.claims = claims
        self.make = make
    }

    /// The series of its records, one for each channel, disabled ones included.
    public var series: [Series] {
        channels.map {
            Series(
                sensorID: $0.channel.name.utf8.isEmpty ? id : joined(id, ".", $0.channel.name), unit: $0.channel.unit)
        }
    }
}

/// One channel of a sensor, with what the configuration says about it.
public struct ChannelPlan {
    public let channel: Channel
    /// A disabled channel is measured, where the chip measures all at once, but makes no samples.
    public let isEnabled: Bool
    public let topic: String?
    /// Where its topic stands.
    public let topicMark: Mark?
    /// Its filters as written; `nil` leaves it to the sensor's.
    public let filters: Node?

    public init(
        _ channel: Channel, isEnabled: Bool = true, topic: String? = nil, topicMark: Mark? = nil, filters: Node? = nil
    ) {
        self.channel = channel
        self.isEnabled = isEnabled
        self.topic = topic
        self.topicMark = topicMark
        self.filters = filters
    }
}

/// Hardware that only one part of the agent can use.
public enum Claim: Equatable, Sendable {
    case line(LineReference, Mark)
    case address(bus: String, UInt8, Mark)
}

/// How a driver is made, and where it runs. Making one touches no hardware and cannot fail.
public enum DriverMaker {
    /// Never blocks: runs on the loop.
    case onLoop(() -> any SensorDriver)
    /// Reads files, which may block: runs on the agent's work queue for sensor files.
    case onFiles(() -> any SensorDriver)
    /// Uses the bus of that name (named at that place), on the bus's own work queue.
    case onBus(String, Mark, (any I2CBus) -> any SensorDriver)
    /// Speaks by itself, on the loop.
    case events((any GPIO) -> any EventDriver)
}
