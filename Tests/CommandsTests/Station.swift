import Actuators
import Commands
import Configuration
import Foundation
import Hardware
import Platform
import Records
import TestSupport
import Testing

/// A processor with three actuators: `pump` (gpio), `dimmer` (sim, 0 to 100) and `valve` (sim, slow).
final class Station {
    let loop = ManualLoop()
    let recorder = LogRecorder()
    let hardware: SimulatedHardware
    let actuators: [Actuator]
    private(set) var replies: [Reply] = []
    /// All replies, those that were forgotten included.
    private(set) var count = 0
    private(set) var queried: [String] = []
    private(set) var processor: CommandProcessor! = nil
    private var offset: Int64 = 0

    /// The pump's line.
    let line = LineReference(chip: nil, line: .offset(27))
    /// The levels that the pump's line was driven to, from its request on.
    var levels: [Bool] {
        get throws { try hardware.simulatedGPIO.history(line).compactMap { $0.high } }
    }
    /// Takes the pump's chip away: from then on its line fails.
    func breakLine() { hardware.simulatedGPIO.removeChip("gpiochip0") }

    var last: Reply { replies[replies.count - 1] }
    var now: Int64 { loop.wallTime.milliseconds }
    /// In seconds since 1970.
    var seconds: Int64 { now / 1_000 }

    init(
        maxAge: Interval = .seconds(30), recentCapacity: Int = 1_000, keys: Keyring? = nil, unit: String? = nil
    ) throws {
        let log = recorder.log
        hardware = SimulatedHardware(loop: loop)
        let pump = GPIOOutput.Settings(line: line).plan
        let dimmer = SimulatedOutput.Settings(range: 0...100).plan
        let valve = SimulatedOutput.Settings(latency: .seconds(2)).plan
        actuators = [
            try ActuatorPlan(id: "pump", maxOn: .seconds(600), driver: pump)
                .open(on: hardware, loop: loop, log: log),
            try ActuatorPlan(id: "dimmer", unit: unit, driver: dimmer).open(on: hardware, loop: loop, log: log),
            try ActuatorPlan(id: "valve", driver: valve).open(on: hardware, loop: loop, log: log),
        ]
        let settings = CommandSettings(topics: [], maxAge: maxAge, keys: keys, remember: recentCapacity)
        processor = CommandProcessor(
            node: "pi-01", settings: settings, actuators: actuators, loop: loop, log: log
        ) { [unowned self] in
            replies.append($0)
            count += 1
            return true
        }
        processor.onQuery = { [unowned self] in queried = $0.map { $0.id } }
    }

    /// Forgets all but the last replies.
    func forget(keeping last: Int) {
        if replies.count > 10 * last { replies.removeFirst(replies.count - last) }
    }

    /// Hands over a message at the next offset of commands/0, sent `age` ago.
    func send(_ text: String, age: Interval = .zero) { send(Array(text.utf8), age: age) }

    func send(_ bytes: [UInt8], age: Interval = .zero) {
        send(bytes, offset: offset, timestamp: now - age.milliseconds)
        offset += 1
    }

    func send(signed text: String, by key: SigningKey) {
        let payload = Array(text.utf8)
        let signature = payload.withUnsafeBytes { key.sign($0) } ?? []
        payload.withUnsafeBytes { payload in
            signature.withUnsafeBytes { signature in
                processor.handle(
                    payload: payload, signature: signature, topic: "commands", partition: 0, offset: offset,
                    timestampMilliseconds: now)
            }
        }
        offset += 1
    }

    func send(
        _ bytes: [UInt8], topic: String = "commands", partition: Int32 = 0, offset: Int64, timestamp: Int64?,
        isBacklog: Bool = false
    ) {
        bytes.withUnsafeBytes {
            processor.handle(
                payload: $0, topic: topic, partition: partition, offset: offset, timestampMilliseconds: timestamp,
                isBacklog: isBacklog)
        }
    }
}

/// The reply's bytes, written into exactly as much memory as it asks for.
func encoded(_ reply: Reply) -> [UInt8] {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: reply.maximumBytes, alignment: 1)
    defer { memory.deallocate() }
    var writer = ByteWriter(memory)
    reply.encode(into: &writer)
    #expect(!writer.isOverflowed)
    return Array(writer.written)
}

/// What a consumer makes of a reply's bytes.
func decoded(_ reply: Reply) throws -> [String: Any] {
    let object = try JSONSerialization.jsonObject(with: Data(encoded(reply)))
    return object as? [String: Any] ?? [:]
}

func text(_ reply: Reply) -> String { String(decoding: encoded(reply), as: UTF8.self) }
