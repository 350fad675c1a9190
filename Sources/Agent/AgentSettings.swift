import Actuators
import Commands
import Configuration
import Filters
import Hardware
import Kafka
import Outbox
import Platform
import Records
import Sensors

/// The whole configuration, typed and checked. Each stage reads its own part; what concerns several of them at once
/// (names, buses, who uses which line) is checked here.
public final class AgentSettings {
    public let node: String
    public let layer: String?
    public let kafka: KafkaSettings
    public let records: RecordSettings
    public let clock: ClockSettings
    public let delivery: DeliverySettings
    /// With the path that its file has here.
    public var outbox: OutboxSettings
    public let buses: [BusSettings]
    public let sensors: [SensorSettings]
    public let actuators: [ActuatorPlan]
    public let commands: CommandSettings
    public let heartbeat: HeartbeatSettings?
    /// How long an orderly stop may take to get rid of what is queued.
    public let stopWithin: Interval
    public let logLevel: Log.Level

    /// A sensor and what the stages after it do with its channels.
    public struct SensorSettings {
        public let plan: SensorPlan
        /// In the order of the plan's channels.
        public let channels: [Lane]
        /// When its records go to the disk; `nil` is the outbox's own.
        public let durability: Durability?

        /// A channel's filters and topic.
        public struct Lane {
            public let filters: FilterChain
            public let topic: String
        }
    }

    /// Put together by hand, for the demonstration and for tests; a configuration is read by `decode`.
    public init(
        node: String, layer: String? = nil, kafka: KafkaSettings, records: RecordSettings = RecordSettings(),
        outbox: OutboxSettings = OutboxSettings(), clock: ClockSettings = ClockSettings(),
        delivery: DeliverySettings = DeliverySettings(), buses: [BusSettings] = [], sensors: [SensorSettings] = [],
        actuators: [ActuatorPlan] = [], commands: CommandSettings, heartbeat: HeartbeatSettings? = nil,
        stopWithin: Interval = .seconds(10),
        logLevel: Log.Level = .info
    ) {
        self.node = node
        self.layer = layer
        self.kafka = kafka
        self.records = records
        self.outbox = outbox
        self.clock = clock
        self.delivery = delivery
        self.buses = buses
        self.sensors = sensors
        self.actuators = actuators
        self.commands = commands
        self.heartbeat = heartbeat
        self.stopWithin = stopWithin
        self.logLevel = logLevel
    }

    /// Whether any record may go to the disk.
    public var usesDisk: Bool { Self.usesDisk(outbox, sensors) }

    static func usesDisk(_ outbox: OutboxSettings, _ sensors: [SensorSettings]) -> Bool {
        outbox.durability != .memory || sensors.contains { $0.durability.map { $0 != .memory } ?? false }
    }

    /// Channels of all sensors.
    public var channelCount: Int { sensors.reduce(0) { $0 + $1.channels.count } }

    /// Reads a configuration.
    /// - Parameters:
    ///   - bytes: the file's.
    ///   - environment: the value of an environment variable.
    ///   - tryingClients: whether Kafka clients are made and ended at once, to hear what librdkafka says against the
    ///     properties as a whole: no broker is asked, but it takes some milliseconds. To be done before other clients are made.
    ///   - diagnostics: gets everything that is wrong.
    /// - Returns: `nil` when anything was.
    public static func decode(
        bytes: [UInt8], environment: @escaping (String) -> String?, tryingClients: Bool = false,
        diagnostics: Diagnostics
    ) -> AgentSettings? {
        guard
            let root = Document.parse(
                bytes: bytes, environment: environment,
                readFile: { (path: String) throws(SystemError) -> [UInt8] in try Document.read(path) },
                diagnostics: diagnostics)
        else { return nil }
        return AgentDecoder(
            Reader(root, path: "", diagnostics: diagnostics), stateDirectory: environment("STATE_DIRECTORY"),
            triesClients: tryingClients
        ).decode()
    }

    /// Reads the configuration file at `path`.
    /// - Throws: `SystemError` when it cannot be read.
    public static func load(
        _ path: String, environment: @escaping (String) -> String?, tryingClients: Bool = false,
        diagnostics: Diagnostics
    ) throws(SystemError) -> AgentSettings? {
        decode(
            bytes: try Document.read(path), environment: environment, tryingClients: tryingClients,
            diagnostics: diagnostics)
    }
}

/// Reads the top level of a configuration.
private struct AgentDecoder {
    private let root: Reader
    private let diagnostics: Diagnostics
    /// Where systemd lets the agent keep files (`StateDirectory=`); `nil` elsewhere.
    private let stateDirectory: String?
    private let triesClients: Bool

    init(_ root: Reader, stateDirectory: String?, triesClients: Bool) {
        self.root = root
        self.stateDirectory = stateDirectory
        self.triesClients = triesClients
        diagnostics = root.diagnostics
    }

    func decode() -> AgentSettings? {
        // A name is needed for what follows even where the configuration has none: its absence has been reported.
        let node = root.requiredName("node", .node) ?? "node"
        let layer = root.name("layer", .node) ?? (root.isRefused("layer") ? "layer" : nil)
        let names = TopicNames(node: node, layer: layer)
        let kafka = root.mapping("kafka").flatMap { KafkaSettings.decode($0) }
        if !root.has("kafka") {
            root.report("kafka", "is missing", expected: "all: { bootstrap.servers: \"host:9092\" } at least")
        }
        let recordReader = root.mapping("records")
        let records = recordReader.map { RecordSettings.decode($0, names) } ?? RecordSettings()
        // Without a place for it, there is a disk only where it is asked for: trying things out leaves no files behind.
        let place = root.mapping("outbox")
        let clock = root.field("clock").map { ClockSettings.decode($0) } ?? ClockSettings()
        let delivery = root.field("delivery").map { DeliverySettings.decode($0) } ?? DeliverySettings()
        if let kafka { check(kafka, delivery, node: node) }
        let hasPlace = stateDirectory != nil || place?.has("path") ?? false
        // What is sent before it has a place on the disk could not be told from what is there when the node comes back.
        let stored = delivery.mode == .exactlyOnce ? Durability.always : .spill
        let usual = hasPlace ? stored : Durability.memory
        var outbox = place.map { OutboxSettings.decode($0, durability: usual) } ?? OutboxSettings(durability: usual)
        outbox.path = outbox.path ?? defaultPath
        outbox.gapTimestamp = records.timestamp
        // Replies overtake telemetry; what became of a command is kept with its id anyway.
        outbox.keepsPositions = delivery.mode == .exactlyOnce
        var buses: [MarkedBus]? = decodeBuses()
        // Nobody knows which there are.
        if root.isRefused("buses") { buses = nil }
        let sensors = decodeSensors(defaultTopic: records.topic, names)
        if delivery.mode == .exactlyOnce { checkExactlyOnce(place, outbox, sensors) }
        checkMemory(place, outbox, sensors)
        let actuatorNodes = root.list("actuators") ?? []
        let actuators = ActuatorPlan.decode(
            list: actuatorNodes, path: "actuators", diagnostics: diagnostics)
        // One that could not be read has an id, too.
        let areAllRead = !actuators.isEmpty && actuators.count == actuatorNodes.count
        let ids = areAllRead ? actuators.map { $0.id } : nil
        let commandReader = root.mapping("commands")
        let commands =
            commandReader.map { CommandSettings.decode($0, names, actuators: ids) } ?? CommandSettings(names: names)
        outbox.topicsWithoutGaps = [commands.replies, commands.state]
        if commands.isExplicit || !actuators.isEmpty {
            let check = CommandTopicCheck(topics: commands.topics, diagnostics: diagnostics)
            check.check(records, recordReader, sensors, commandReader)
        }
        if AgentSettings.usesDisk(outbox, sensors) { warn(place, outbox.path, "outbox.path") }
        warn(commandReader, commands.path, "commands.path")
        let heartbeat = root.mapping("heartbeat").flatMap { HeartbeatSettings.decode($0) }
        let stopWithin = root.interval("stop_within", in: .milliseconds(100)...Interval.seconds(3_600))
        let level = root.mapping("log").map { decodeLevel($0) } ?? .info
        root.refuseLater(["http"])
        root.finish()
        ClaimCheck(diagnostics).check(sensors, actuators, buses, heartbeat)
        if !diagnostics.isEmpty { return nil }
        guard let kafka else { return nil }
        return AgentSettings(
            node: node, layer: layer, kafka: kafka, records: records, outbox: outbox, clock: clock,
            delivery: delivery, buses: (buses ?? []).map { $0.settings }, sensors: sensors, actuators: actuators,
            commands: commands, heartbeat: heartbeat,
            stopWithin: stopWithin ?? .seconds(10),
            logLevel: level)
    }

    /// What only the properties as a whole can get wrong.
    private func check(_ kafka: KafkaSettings, _ delivery: DeliverySettings, node: String) {
        let before = diagnostics.problems.count
        delivery.check(kafka, diagnostics: diagnostics)
        // librdkafka would say the same in other words.
        if !triesClients || diagnostics.problems.count > before { return }
        kafka.leaveOutSASLPlugins()
        kafka.tryClients(
            name: joined("kedge-", node), delivery: delivery, mark: root.mark(of: "kafka"), diagnostics: diagnostics)
    }

    /// Warns of a file that cannot be made here. That is no mistake: the configuration may be for another machine, and an agent
    /// whose disk is not there yet goes on from memory and tries again.
    private func warn(_ reader: Reader?, _ path: String?, _ setting: StaticString) {
        guard triesClients, let reader, let path, reader.has("path") else { return }
        if isFolder(path) == true {
            diagnostics.warn(reader.mark(of: "path"), joined(String(setting), ": ", path, " is a folder here"))
        }
        let bytes = Array(path.utf8)
        let end = bytes.lastIndex(of: UInt8(ascii: "/"))
        let folder = end.map { $0 == 0 ? "/" : String(decoding: bytes[..<$0], as: UTF8.self) } ?? "."
        if isFolder(folder) == false {
            diagnostics.warn(
                reader.mark(of: "path"), joined(String(setting), ": there is no folder ", folder, " here"))
        }
    }

    /// Where the outbox's file is when the configuration does not say.
    private var defaultPath: String {
        guard let stateDirectory else { return "/var/lib/kedge/outbox.db" }
        // The first of them where the unit names several.
        var first: [UInt8] = []
        for byte in stateDirectory.utf8 {
            if byte == 58 { break }
            first.append(byte)
        }
        return String(decoding: first, as: UTF8.self) + "/outbox.db"
    }

    /// Exactly once needs positions that only ascend, and a record on the disk before it is sent.
    private func checkExactlyOnce(
        _ reader: Reader?, _ outbox: OutboxSettings, _ sensors: [AgentSettings.SensorSettings]
    ) {
        let expected = "always or memory, or delivery: at-least-once"
        if let reader {
            if outbox.durability == .spill {
                reader.report("durability", "is spill, which contradicts delivery: exactly-once", expected: expected)
            }
            if outbox.drain == .newestFirst {
                reader.report(
                    "drain", "is newest-first, which contradicts delivery: exactly-once",
                    expected: "oldest-first, or delivery: at-least-once")
            }
        }
        for sensor in sensors where sensor.durability == .spill {
            diagnostics.report(
                sensor.plan.mark,
                joined("sensor ", sensor.plan.id, ": durability: spill contradicts delivery: exactly-once"),
                expected: expected)
        }
    }

    /// With a disk memory has more parts, and each needs room for a record of any size. And the oldest on it can only make
    /// room when they are not in memory, where the client may have them: the file must take more than memory.
    private func checkMemory(
        _ reader: Reader?, _ outbox: OutboxSettings, _ sensors: [AgentSettings.SensorSettings]
    ) {
        let least = OutboxSettings.leastMemoryWithDisk
        guard let reader, AgentSettings.usesDisk(outbox, sensors) else { return }
        if outbox.maxSize < Int64(outbox.maxMemory) * 2 {
            reader.report(
                "max_size",
                joined(
                    "is ", decimal(outbox.maxSize / 1_000), "kB, less than twice max_memory (",
                    decimal(outbox.maxMemory / 1_000), "kB)"),
                expected: joined("at least ", decimal(outbox.maxMemory / 500), "kB, or less max_memory"))
        }
        if outbox.maxMemory < least {
            reader.report(
                "max_memory",
                joined("is ", decimal(outbox.maxMemory / 1_000), "kB, too little where records go to a disk"),
                expected: joined("at least ", decimal(least / 1_000), "kB, or durability: memory"))
        }
    }

    private func decodeLevel(_ reader: Reader) -> Log.Level {
        let levels: [Log.Level] = [.error, .warning, .info, .debug]
        let choice = reader.choice("level", ["error", "warning", "info", "debug"])
        reader.finish()
        return choice.map { levels[$0] } ?? .info
    }

    /// `buses: { NAME: { path: /dev/i2c-1 } }`, or `{ simulated: true }`.
    private func decodeBuses() -> [MarkedBus] {
        guard let reader = root.mapping("buses") else { return [] }
        var buses: [MarkedBus] = []
        for entry in reader.entries() {
            let bus = Reader(entry.value, path: "buses.\(entry.key.text)", diagnostics: diagnostics)
            let path = bus.nonEmpty("path")
            let simulated = bus.boolean("simulated") ?? false
            let recovery = bus.mapping("recovery").flatMap { RecoveryLines.decode($0) }
            bus.finish()
            if recovery != nil && simulated {
                bus.report("recovery", "is of a simulated bus", expected: "none: it has no lines")
            }
            if entry.key.text.utf8.isEmpty {
                diagnostics.report(entry.key.mark, "a bus without a name", expected: "a name such as i2c-1")
            }
            if !bus.has("path") && !simulated && !bus.isRefused("simulated") {
                diagnostics.report(
                    bus.mark, "\(bus.path) has no path", expected: "path: /dev/i2c-1, or simulated: true")
            } else if path != nil && simulated {
                diagnostics.report(bus.mark, "\(bus.path) has a path and is simulated", expected: "one of them")
            } else if let path,
                let twin = buses.first(where: {
                    $0.settings.path.map { sameBytes(normalisedPath($0), normalisedPath(path)) } ?? false
                })
            {
                diagnostics.report(bus.mark(of: "path"), "\(bus.path): \(path) is \(twin.settings.name) already")
            }
            buses.append(
                MarkedBus(
                    settings: BusSettings(name: entry.key.text, path: path, recovery: recovery), mark: entry.key.mark))
        }
        return buses
    }

    private func decodeSensors(defaultTopic: String, _ names: TopicNames) -> [AgentSettings.SensorSettings] {
        var sensors: [AgentSettings.SensorSettings] = []
        let nodes = root.list("sensors") ?? []
        let plans = Registry.sensors(nodes, names, diagnostics: diagnostics)
        for (index, node) in nodes.enumerated() where !plans.contains(where: { $0.mark == node.mark }) {
            checkRest(Reader(node, path: "sensors[\(index)]", diagnostics: diagnostics))
        }
        for plan in plans {
            if let filters = plan.filters { check(filters, "sensor \(plan.id)") }
            var channels: [AgentSettings.SensorSettings.Lane] = []
            for channel in plan.channels {
                // A chain has a memory: each channel gets its own, also of the filters that stand at the sensor.
                if let filters = channel.filters { check(filters, "sensor \(plan.id).\(channel.channel.name)") }
                let filters = (channel.filters ?? plan.filters).map {
                    FilterChain.decode(node: $0, path: "", diagnostics: Diagnostics(file: "", limit: 0))
                }
                channels.append(
                    AgentSettings.SensorSettings.Lane(
                        filters: filters ?? FilterChain(), topic: channel.topic ?? plan.topic ?? defaultTopic))
            }
            let durability = durability(plan.durability, "sensor \(plan.id)")
            sensors.append(AgentSettings.SensorSettings(plan: plan, channels: channels, durability: durability))
        }
        return sensors
    }

    /// What is not the driver's, of a sensor that something else is wrong with.
    private func checkRest(_ sensor: Reader) {
        if let filters = sensor.node("filters") { check(filters, sensor.path) }
        _ = durability(sensor.node("durability"), sensor.path)
        guard case .mapping(let channels, _) = sensor.node("channels") else { return }
        for entry in channels {
            let channel = Reader(
                entry.value, path: "\(sensor.path).channels.\(entry.key.text)", diagnostics: diagnostics)
            if let filters = channel.node("filters") { check(filters, channel.path) }
        }
    }

    private func check(_ filters: Node, _ user: String) {
        _ = FilterChain.decode(node: filters, path: "\(user): filters", diagnostics: diagnostics)
    }

    private func durability(_ node: Node?, _ user: String) -> Durability? {
        node.flatMap { Durability.decode(Field($0, path: "\(user): durability", diagnostics: diagnostics)) }
    }
}
