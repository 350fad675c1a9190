import Actuators
import Agent
import Commands
import Configuration
import Filters
import Foundation
import Hardware
import Kafka
import Outbox
import Platform
import Records
import Sensors
import Testing

/// What a configuration decodes to, and the lines of all its problems.
func decode(
    _ text: String, environment: [String: String] = [:]
) -> (settings: AgentSettings?, problems: [String]) {
    let diagnostics = Diagnostics(file: "kedge.yaml")
    let settings = AgentSettings.decode(
        bytes: Array(text.utf8), environment: { environment[$0] }, diagnostics: diagnostics)
    return (settings, diagnostics.lines)
}

@Suite struct AgentSettingsTests {
    private func property(_ name: String, _ properties: [Property]?) -> String? {
        properties?.last { $0.name == name }?.value
    }

    /// The example of DESIGN.md, without what is not in this version.
    private let complete = """
        node: ${env:KEDGE_NODE:-pi-01}
        layer: greenhouse                       # group of nodes that a broadcast reaches
        kafka:                                  # any librdkafka property, by its own name
          all:      { bootstrap.servers: "${env:KAFKA_BOOTSTRAP_SERVERS:-127.0.0.1:9092}" }
          producer: { linger.ms: 200, batch.size: 65536, compression.type: lz4 }
          consumer: { auto.offset.reset: latest }
        records:  { topic: sensors }
        buses:
          i2c-1: { path: /dev/i2c-1 }           # or: { simulated: true }
        sensors:
          - { id: greenhouse, driver: bme280, bus: i2c-1, address: 0x76, every: 5s,
              channels: { temperature: { filters: [ { median: 5 }, { deadband: 0.1 }, { heartbeat: 60s } ] } } }
          - { id: door, driver: gpio, chip: pinctrl-bcm2711, line: 17, edges: both, debounce: 20ms }
          - { id: rain, driver: gpio-counter, line: 22, every: 60s, scale: 0.2794 }
          - { id: cpu,  driver: sysfs, path: /sys/class/thermal/thermal_zone0/temp, scale: 0.001, every: 30s }
        actuators:
          - { id: pump, driver: gpio, line: 27, safe: 0, max_on: 10m }
        commands: { topics: [commands, "commands.{layer}", "commands.{node}"], replies: replies, max_age: 30s }
        outbox:   { path: /x/outbox.db, durability: always, spill_after: 5s, max_memory: 8MB, max_size: 64MB, when_full: thin }
        stop_within: 5s
        log: { level: warning }
        """

    @Test func aCompleteConfiguration() throws {
        let (decoded, problems) = decode(complete, environment: ["KAFKA_BOOTSTRAP_SERVERS": "broker:9093"])
        #expect(problems == [])
        let settings = try #require(decoded)
        #expect(settings.node == "pi-01")
        #expect(settings.layer == "greenhouse")
        for properties in [settings.kafka.producer, settings.kafka.consumer] {
            #expect(property("bootstrap.servers", properties) == "broker:9093")
        }
        #expect(property("batch.size", settings.kafka.producer) == "65536")
        #expect(property("batch.size", settings.kafka.consumer) == nil)
        #expect(property("auto.offset.reset", settings.kafka.consumer) == "latest")
        #expect(settings.records == RecordSettings())
        #expect(settings.buses == [BusSettings(name: "i2c-1", path: "/dev/i2c-1")])
        #expect(settings.sensors.map { $0.plan.id } == ["greenhouse", "door", "rain", "cpu"])
        #expect(settings.sensors.map { $0.channels.count } == [3, 1, 2, 1])
        #expect(settings.channelCount == 7)
        #expect(settings.sensors[0].channels.map { $0.filters.count } == [3, 0, 0])
        #expect(settings.sensors.flatMap { $0.channels }.allSatisfy { $0.topic == "sensors" })
        #expect(settings.actuators.map { $0.id } == ["pump"])
        #expect(settings.actuators[0].maxOn == .seconds(600))
        #expect(settings.commands.topics == ["commands", "commands.greenhouse", "commands.pi-01"])
        #expect(settings.commands.isExplicit)
        var outbox = OutboxSettings(maxMemory: 8_000_000, whenFull: .thin, durability: .always, path: "/x/outbox.db")
        outbox.spillAfter = .seconds(5)
        outbox.maxSize = 64_000_000
        outbox.gapTimestamp = .seconds
        outbox.topicsWithoutGaps = ["replies", "actuators"]
        #expect(settings.outbox == outbox)
        #expect(settings.usesDisk)
        #expect(settings.stopWithin == .seconds(5))
        #expect(settings.logLevel == .warning)
    }

    /// Where the file is, and whether there is one: a place makes it, or the wish for it.
    @Test(
        arguments: [
            ("", nil, false, "/var/lib/kedge/outbox.db"), ("", "/var/lib/kedge", true, "/var/lib/kedge/outbox.db"),
            ("", "/run/a:/run/b", true, "/run/a/outbox.db"), ("outbox: { path: /x.db }", "/s", true, "/x.db"),
            ("outbox: { path: /x.db }", nil, true, "/x.db"),
            ("outbox: { durability: spill }", nil, true, "/var/lib/kedge/outbox.db"),
            ("outbox: { durability: memory }", "/s", false, "/s/outbox.db"),
            ("outbox: { max_memory: 1MB }", nil, false, "/var/lib/kedge/outbox.db"),
            ("sensors: [{ id: a, driver: sim, durability: always }]", nil, true, "/var/lib/kedge/outbox.db"),
            ("sensors: [{ id: a, driver: sim, durability: memory }]", "/s", true, "/s/outbox.db"),
        ] as [(String, String?, Bool, String)])
    func thePlaceOfTheOutbox(_ line: String, _ stateDirectory: String?, _ usesDisk: Bool, _ path: String) throws {
        let (decoded, problems) = decode(
            "node: a\nkafka: { all: { bootstrap.servers: b } }\n\(line)",
            environment: stateDirectory.map { ["STATE_DIRECTORY": $0] } ?? [:])
        #expect(problems == [])
        let settings = try #require(decoded)
        #expect(settings.usesDisk == usesDisk)
        #expect(settings.outbox.path == path)
    }

    @Test func theLeast() throws {
        let (decoded, problems) = decode("node: a\nkafka: { all: { bootstrap.servers: b } }")
        #expect(problems == [])
        let settings = try #require(decoded)
        #expect(settings.layer == nil)
        #expect(settings.sensors.isEmpty && settings.actuators.isEmpty && settings.buses.isEmpty)
        #expect(settings.commands.topics == ["commands", "commands.a"])
        #expect(!settings.commands.isExplicit)
        #expect(settings.outbox.durability == .memory)
        #expect(!settings.usesDisk)
        #expect(settings.stopWithin == .seconds(10))
        #expect(settings.logLevel == .info)
    }

    @Test func topicsOfASensorAndOfAChannel() throws {
        let (decoded, problems) = decode(
            """
            node: n
            layer: l
            kafka: { all: { bootstrap.servers: b } }
            records: { topic: "{layer}.all" }
            buses: { i: { simulated: true } }
            sensors:
              - { id: a, driver: bmp280, bus: i, topic: "{node}.a", channels: { pressure: { topic: "{node}.p" } } }
              - { id: s, driver: sim }
            """)
        #expect(problems == [])
        let settings = try #require(decoded)
        #expect(settings.sensors.map { $0.channels.map { $0.topic } } == [["n.a", "n.p"], ["l.all"]])
        #expect(settings.buses == [BusSettings(name: "i", path: nil)])
    }

    /// A chain remembers: two channels must not share one.
    @Test func theFiltersOfASensorAreEachChannelsOwn() throws {
        let (decoded, problems) = decode(
            """
            node: n
            kafka: { all: { bootstrap.servers: b } }
            buses: { i: { simulated: true } }
            sensors: [{ id: a, driver: bmp280, bus: i, filters: [unique] }]
            """)
        #expect(problems == [])
        let channels = try #require(decoded?.sensors.first?.channels)
        func passes(_ channel: Int) -> Bool {
            channels[channel].filters.apply(
                Sample(series: SeriesID(channel), value: .integer(7), taken: Instant(nanoseconds: 0))) != nil
        }
        #expect([passes(0), passes(1), passes(0), passes(1)] == [true, true, false, false])
    }

    @Test func everyMistakeIsFoundInOnePass() {
        let (settings, problems) = decode(
            """
            node: pi 01
            layr: greenhouse
            kafka:
              all: { bootstrap.servers: b, bootstrap.server: b }
              producer: { linger.ms: soon }
            records: { topic: "a b", timestamp: iso }
            buses:
              one: {}
              two: { path: /dev/i2c-1, simulated: true }
            sensors:
              - { id: a, driver: bme820 }
              - { id: b, driver: sysfs, path: /x, every: 5 parsecs }
              - { id: c, driver: sim, filters: [ { mediam: 5 } ] }
              - { id: d, driver: bme280, bus: three }
            actuators:
              - { id: p, driver: gpio }
            commands: { max_age: never }
            outbox: { max_memory: 1B }
            stop_within: 0s
            log: { level: loud }
            """)
        #expect(settings == nil)
        let places = problems.map { $0.split(separator: " ")[0] }
        #expect(
            places == [
                "kedge.yaml:1:7:", "kedge.yaml:2:1:", "kedge.yaml:4:50:", "kedge.yaml:5:26:", "kedge.yaml:6:19:",
                "kedge.yaml:6:37:", "kedge.yaml:8:8:", "kedge.yaml:9:8:", "kedge.yaml:11:22:", "kedge.yaml:12:46:",
                "kedge.yaml:13:40:", "kedge.yaml:14:35:", "kedge.yaml:16:5:", "kedge.yaml:17:22:", "kedge.yaml:18:23:",
                "kedge.yaml:19:14:", "kedge.yaml:20:15:",
            ], "\(problems.joined(separator: "\n"))")
        for (index, part) in [
            "node is \"pi 01\"", "layr is no known key, did you mean layer?", "bootstrap.servers", "linger.ms",
            "records.topic is \"a b\"", "records.timestamp is \"iso\"", "buses.one has no path",
            "buses.two has a path and is simulated", "bme280", "every is \"5 parsecs\"", "median",
            "bus \"three\" is not under buses, expected one of one, two", "actuators[0].line is missing",
            "commands.max_age is \"never\"", "outbox.max_memory is \"1B\"", "stop_within is \"0s\"",
            "log.level is \"loud\"",
        ].enumerated() where index < problems.count {
            #expect(problems[index].contains(part), "\(part): \(problems[index])")
        }
    }

    /// With a disk the memory has more parts.
    @Test func memoryForADisk() {
        func problems(_ outbox: String) -> [String] {
            decode("node: a\nkafka: { all: { bootstrap.servers: b } }\noutbox: { \(outbox) }").problems
        }
        #expect(problems("max_memory: 128kB") == [])
        #expect(problems("max_memory: 256kB, durability: spill") == [])
        #expect(
            problems("max_memory: 255kB, durability: spill") == [
                "kedge.yaml:3:23: outbox.max_memory is 255kB, too little where records go to a disk, "
                    + "expected at least 256kB, or durability: memory"
            ])
        // Nor could the oldest make room in a file that holds no more than memory does.
        #expect(
            problems("durability: always, max_size: 1MB") == [
                "kedge.yaml:3:41: outbox.max_size is 1000kB, less than twice max_memory (4000kB), "
                    + "expected at least 8000kB, or less max_memory"
            ])
        #expect(problems("max_memory: 200MB, path: /x").count == 1)
        #expect(problems("max_size: 1MB") == [])
        #expect(problems("max_memory: 500kB, max_size: 1MB, durability: spill") == [])
    }

    @Test func nothingAtAll() {
        let (settings, problems) = decode("{}")
        #expect(settings == nil)
        #expect(problems.count == 2)
        #expect(problems.first?.hasPrefix("kedge.yaml:1:1: node is missing, expected ") == true, "\(problems)")
        #expect(
            problems.last
                == "kedge.yaml:1:1: kafka is missing, expected all: { bootstrap.servers: \"host:9092\" } at least")
    }

    @Test func brokersAreNeeded() {
        let (settings, problems) = decode("node: a\nkafka: { producer: { linger.ms: 5 } }")
        #expect(settings == nil)
        #expect(
            problems == [
                "kedge.yaml:2:8: kafka has no bootstrap.servers, expected all: { bootstrap.servers: \"host:9092\" }"
            ])
    }

    @Test(arguments: [
        ("outbox: { path: /x, durability: spill }", "outbox.durability is spill, which contradicts"),
        ("outbox: { path: /x, drain: newest-first }", "outbox.drain is newest-first, which contradicts"),
        (
            "sensors: [{ id: a, driver: sim, durability: spill }]",
            "sensor a: durability: spill contradicts delivery: exactly-once"
        ),
    ])
    func exactlyOnceRefusesWhatCouldComeTwice(_ line: String, _ problem: String) {
        let (settings, problems) = decode(
            "node: a\nkafka: { all: { bootstrap.servers: b } }\ndelivery: exactly-once\n\(line)")
        #expect(settings == nil)
        #expect(problems.count == 1 && problems[0].contains(problem), "\(problems)")
    }

    @Test func exactlyOnceStoresBeforeItSends() throws {
        let (settings, _) = decode(
            "node: a\nkafka: { all: { bootstrap.servers: b } }\ndelivery: exactly-once\noutbox: { path: /x }")
        #expect(settings?.outbox.durability == .always)
        #expect(settings?.outbox.keepsPositions == true)
    }

    @Test(arguments: [
        ("http: { listen: 127.0.0.1:8080 }", "3:7: http is not in this version: leave it out"),
        (
            "actuators: [{ id: p, driver: gpio, line: 27, depends_on: level }]",
            "3:58: actuators[0].depends_on is not in this version: leave it out"
        ),
    ])
    func whatIsNotInThisVersionIsRefusedAndNotOverlooked(_ line: String, _ problem: String) {
        let (settings, problems) = decode("node: a\nkafka: { all: { bootstrap.servers: b } }\n\(line)")
        #expect(settings == nil)
        #expect(problems.count == 1, "\(problems)")
        #expect(problems.first?.hasPrefix("kedge.yaml:\(problem)") == true, "\(problems)")
    }

    @Test(arguments: [
        "records: { topic: \"{layer}\" }", "commands: { topics: [\"commands.{layer}\"] }",
        "commands: { replies: \"replies.{layer}\" }", "sensors: [{ id: a, driver: sim, topic: \"t.{layer}\" }]",
    ])
    func aTopicOfALayerThatIsNotThere(_ line: String) {
        let (settings, problems) = decode("node: a\nkafka: { all: { bootstrap.servers: b } }\n\(line)")
        #expect(settings == nil)
        #expect(problems.count == 1, "\(problems)")
        #expect(problems.first?.contains("{layer}\", expected no {layer}, as the configuration has no layer") == true)
        #expect(problems.first?.hasPrefix("kedge.yaml:3:") == true)
        let (good, none) = decode("node: a\nlayer: l\nkafka: { all: { bootstrap.servers: b } }\n\(line)")
        #expect(good != nil, "\(none)")
    }

    /// Whatever is wrong with it or beside it.
    @Test(arguments: [
        "all: { bootstrap.servers: b, sasl.password: hunter2, linger.ms: x }",
        "all: { bootstrap.servers: b, sasl.pasword: hunter2 }",
        "all: { bootstrap.servers: b, ssl.key.password: [hunter2, [hunter2]] }",
        "all: { bootstrap.servers: b, ssl.key.password: { hunter2: hunter2 } }",
        "all: { bootstrap.servers: b, sasl.oauthbearer.client.secret: hunter2, group.id: 1, retries: hunter }",
        "all: { bootstrap.servers: b, linger.ms: \"${file:SECRET}\" }",
        "all: { bootstrap.servers: b, sasl.mechanism: \"${file:SECRET}\" }",
        "all: { bootstrap.servers: \"kafka://user:hunter2@b\", linger.ms: x }",
        "{ sasl.password: hunter2 }",
        "sasl.password: hunter2",
    ])
    func secretsAreNeverShown(_ kafka: String) throws {
        let file = try TemporaryFile("hunter2")
        let text = kafka.replacingOccurrences(of: "SECRET", with: file.path)
        let (settings, problems) = decode("node: a\nkafka:\n  \(text)\nsensors: 5\n")
        #expect(settings == nil)
        #expect(!problems.isEmpty)
        for problem in problems { #expect(!problem.contains("hunter2")) }
    }
}
