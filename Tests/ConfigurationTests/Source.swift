import Platform

@testable import Configuration

/// A configuration as text, with the environment and the files that it sees.
struct Source {
    var bytes: [UInt8]
    var environment: [String: String] = [:]
    var files: [String: [UInt8]] = [:]

    init(_ text: String, environment: [String: String] = [:], files: [String: String] = [:]) {
        bytes = Array(text.utf8)
        self.environment = environment
        self.files = files.mapValues { Array($0.utf8) }
    }

    init(bytes: [UInt8]) { self.bytes = bytes }

    func parse() -> (node: Node?, diagnostics: Diagnostics) {
        let diagnostics = Diagnostics(file: "kedge.yaml")
        let node = Document.parse(
            bytes: bytes, environment: { environment[$0] },
            readFile: { path throws(SystemError) in
                guard let bytes = files[path] else { throw SystemError(call: "open", code: 2, subject: path) }
                return bytes
            }, diagnostics: diagnostics)
        return (node, diagnostics)
    }

    /// What `body` reads, and the lines of all problems.
    func read<Result>(_ body: (Reader) -> Result) -> (value: Result?, lines: [String]) {
        let (node, diagnostics) = parse()
        guard let node else { return (nil, diagnostics.lines) }
        let value = body(Reader(node, path: "", diagnostics: diagnostics))
        return (value, diagnostics.lines)
    }

    var lines: [String] { parse().diagnostics.lines }
}

/// The text of the scalar below `key` of a mapping.
func text(_ node: Node?, _ key: String) -> String? {
    guard case .mapping(let entries, _)? = node,
        case .scalar(let scalar)? = entries.first(where: { $0.key.text == key })?.value
    else { return nil }
    return scalar.text
}

/// The example of the design, section 4.
let example = """
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
      - { id: pump, driver: gpio, line: 27, safe: 0, max_on: 10m, min_off: 30s, interlock: [drain] }
    commands: { topics: [commands, "commands.{node}"], replies: replies, max_age: 30s }
    outbox:   { path: /var/lib/kedge/outbox.db, durability: spill, spill_after: 2s, max_size: 256MB, when_full: drop-oldest }
    http:     { listen: 127.0.0.1:8080 }

    """
