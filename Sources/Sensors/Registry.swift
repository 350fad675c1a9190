import Configuration
import Platform
import Records

/// A driver as the configuration knows it.
public struct DriverEntry {
    /// What `driver:` says.
    public let name: StaticString
    /// One line for the help.
    public let summary: StaticString
    /// Speaks by itself and needs no `every`.
    public let isEventDriven: Bool
    /// Takes the driver's own keys; `nil` when something was wrong with them, which is then reported.
    /// `every` is `nil` only where an event-driven sensor has none.
    let decode: (Reader, Interval?) -> DriverPlan?

    init(
        _ name: StaticString, _ summary: StaticString, isEventDriven: Bool = false,
        decode: @escaping (Reader, Interval?) -> DriverPlan?
    ) {
        self.name = name
        self.summary = summary
        self.isEventDriven = isEventDriven
        self.decode = decode
    }
}

/// What a driver makes of its own keys.
struct DriverPlan {
    var channels: [Channel]
    var claims: [Claim] = []
    var make: DriverMaker
}

/// The period of a polled sensor that names none.
public let defaultPeriod = Interval.seconds(60)

/// All drivers. A new one is a file in `Drivers` and a line here.
public enum Registry {
    public static var drivers: [DriverEntry] {
        [
            DriverEntry("bme280", "temperature, pressure and humidity (Bosch, I2C)", decode: Bosch280.decodeBME280),
            DriverEntry("bmp280", "temperature and pressure (Bosch, I2C)", decode: Bosch280.decodeBMP280),
            DriverEntry("gpio", "the level of a GPIO line", isEventDriven: true, decode: GPIOLevel.decode),
            DriverEntry("gpio-counter", "edges of a GPIO line, counted", decode: GPIOCounter.decode),
            DriverEntry("sim", "simulated values", decode: Simulated.decode),
            DriverEntry("sysfs", "a number in a file, such as a 1-wire sensor's", decode: SysfsNumber.decode),
        ]
    }

    /// Takes the list under `sensors`. What is wrong is reported, and the sensor left out.
    /// - Parameter names: what `{node}` and `{layer}` in a topic stand for.
    public static func sensors(_ nodes: [Node], _ names: TopicNames, diagnostics: Diagnostics) -> [SensorPlan] {
        var plans: [SensorPlan] = []
        var taken: [(sensorID: String, mark: Mark)] = []
        for (index, node) in nodes.enumerated() {
            let reader = Reader(node, path: joined("sensors[", decimal(index), "]"), diagnostics: diagnostics)
            let plan = sensor(reader, names)
            guard let plan else { continue }
            // Records are told apart by these names, whether they are a sensor's or a channel's.
            for series in plan.series {
                if let other = taken.first(where: { sameBytes($0.sensorID, series.sensorID) }) {
                    diagnostics.report(
                        reader.mark(of: "id"),
                        joined(
                            "the name \"", series.sensorID, "\" is taken by the sensor at line ",
                            decimal(other.mark.line)))
                } else {
                    taken.append((series.sensorID, plan.mark))
                }
            }
            plans.append(plan)
        }
        return plans
    }

    /// Takes one sensor; `nil` when something was wrong with it, which is then reported.
    public static func sensor(_ reader: Reader, _ names: TopicNames) -> SensorPlan? {
        let drivers = drivers
        let id = reader.requiredString("id")
        let every = reader.interval("every", in: .milliseconds(1) ... .seconds(86_400))
        let topic = reader.topic("topic", names)
        let filters = reader.node("filters")
        let durability = reader.node("durability")
        let channels = reader.node("channels")
        if let id, id.utf8.isEmpty || id.utf8.count > 200 || id.utf8.contains(where: { $0 < 32 }) {
            reader.diagnostics.report(
                reader.mark(of: "id"), joined("an id of ", decimal(id.utf8.count), " bytes"),
                expected: "1 to 200 bytes that print")
        }
        guard let choice = reader.requiredChoice("driver", drivers.map { $0.name }) else {
            // The other keys are the driver's: only those that none of them knows are wrong for certain.
            for driver in drivers {
                let rehearsal = reader.rehearsal()
                _ = driver.decode(rehearsal, every)
                reader.learn(from: rehearsal)
            }
            reader.finish()
            _ = plan(nil, channels, reader, names)
            return nil
        }
        let driver = drivers[choice]
        let period = every ?? (driver.isEventDriven ? nil : defaultPeriod)
        let decoded = driver.decode(reader, period)
        reader.finish()
        let plans = plan(decoded?.channels, channels, reader, names)
        guard let id, let decoded else { return nil }
        return SensorPlan(
            id: id, driver: driver.name, mark: reader.mark, every: period, channels: plans, topic: topic,
            topicMark: reader.has("topic") ? reader.mark(of: "topic") : nil, filters: filters, durability: durability,
            claims: decoded.claims, make: decoded.make)
    }

    /// What `channels:` says about each of the driver's channels.
    /// - Parameter channels: `nil` where another mistake leaves open which there are; what is said is checked all the same.
    private static func plan(
        _ channels: [Channel]?, _ node: Node?, _ reader: Reader, _ names: TopicNames
    ) -> [ChannelPlan] {
        var plans = (channels ?? []).map { ChannelPlan($0) }
        guard let node else { return plans }
        if let channels, channels.count == 1, channels[0].name.utf8.isEmpty {
            reader.diagnostics.report(
                node.mark, "channels of a sensor that has one without a name",
                expected: "its keys (filters, topic) at the sensor itself")
            return plans
        }
        let mapping = Reader(node, path: reader.path + ".channels", diagnostics: reader.diagnostics)
        for entry in mapping.entries() {
            let index = plans.firstIndex { sameBytes($0.channel.name, entry.key.text) }
            if let channels, index == nil {
                var known = ""
                for channel in channels { known += (known.isEmpty ? "" : ", ") + channel.name }
                reader.diagnostics.report(
                    entry.key.mark, joined("unknown channel ", entry.key.shown), expected: "one of: " + known)
                continue
            }
            let channel = Reader(
                entry.value, path: joined(mapping.path, ".", entry.key.text), diagnostics: reader.diagnostics)
            let plan = ChannelPlan(
                index.map { plans[$0].channel } ?? Channel(entry.key.text, unit: nil),
                isEnabled: channel.boolean("enabled") ?? true, topic: channel.topic("topic", names),
                topicMark: channel.has("topic") ? channel.mark(of: "topic") : nil, filters: channel.node("filters"))
            if let index { plans[index] = plan }
            channel.finish()
        }
        return plans
    }
}
