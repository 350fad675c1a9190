import Configuration
import Foundation
import Hardware
import Platform
import Records
import TestSupport

@testable import Sensors

/// A bus with one device of 256 registers.
final class FakeBus: I2CBus {
    let name = "i2c-1"
    let address: UInt8
    var registers = [UInt8](repeating: 0, count: 256)
    /// Transfers so far.
    private(set) var transfers = 0
    /// The numbers of the transfers that fail, from 0, and how.
    var failures: [Int: Int32] = [:]
    private(set) var written: [(register: UInt8, value: UInt8)] = []
    /// Runs before a register is read.
    var onRead: ((UInt8) -> Void)?

    init(address: UInt8) { self.address = address }

    private func begin(_ address: UInt8, _ register: UInt8?) throws(I2CError) {
        defer { transfers += 1 }
        if let code = failures[transfers] {
            throw I2CError(bus: name, address: address, register: register, code: code)
        }
        if address != self.address { throw I2CError(bus: name, address: address, register: register, code: ENXIO) }
    }

    func transfer(
        _ address: UInt8, write: UnsafeRawBufferPointer, read: UnsafeMutableRawBufferPointer
    ) throws(I2CError) { try begin(address, nil) }

    func readByte(_ address: UInt8) throws(I2CError) -> UInt8 {
        try begin(address, nil)
        return 0
    }

    func writeByte(_ address: UInt8, _ value: UInt8) throws(I2CError) { try begin(address, nil) }

    func readByte(_ address: UInt8, register: UInt8) throws(I2CError) -> UInt8 {
        try begin(address, register)
        onRead?(register)
        return registers[Int(register)]
    }

    func writeByte(_ address: UInt8, register: UInt8, _ value: UInt8) throws(I2CError) {
        try begin(address, register)
        written.append((register, value))
        registers[Int(register)] = value
    }

    func readWord(_ address: UInt8, register: UInt8) throws(I2CError) -> UInt16 { 0 }
    func writeWord(_ address: UInt8, register: UInt8, _ value: UInt16) throws(I2CError) {}

    func readBlock(_ address: UInt8, register: UInt8, into buffer: UnsafeMutableRawBufferPointer) throws(I2CError) {
        try begin(address, register)
        onRead?(register)
        for index in buffer.indices { buffer[index] = registers[Int(register) + index] }
    }

    func writeBlock(_ address: UInt8, register: UInt8, _ bytes: UnsafeRawBufferPointer) throws(I2CError) {}
}

/// A line whose edges the test makes.
final class FakeLine: GPIOLine {
    var level = false
    var failure: GPIOError?
    var lostEdges: UInt64 = 0
    var overruns: UInt64 = 0
    private var waiting: [EdgeEvent] = []
    private let event: Descriptor?
    /// Runs after each read of the level.
    var onRead: (() -> Void)?

    init(edges: Bool) { event = edges ? try? Descriptor.event() : nil }

    var eventDescriptor: Int32? { event?.number }

    func read() throws(GPIOError) -> Bool {
        if let failure { throw failure }
        let level = level
        onRead?()
        return level
    }

    func write(_ active: Bool) throws(GPIOError) {}

    func takeEdges(_ body: (EdgeEvent) -> Void) throws(GPIOError) {
        if let failure { throw failure }
        event?.drain()
        let edges = waiting
        waiting = []
        for edge in edges { body(edge) }
    }

    func edge(_ active: Bool, at instant: Instant) {
        level = active
        waiting.append(EdgeEvent(active: active, timestamp: instant))
        event?.signal()
    }

    func wake() { event?.signal() }
}

final class FakeGPIO: GPIO {
    var failure: GPIOError?
    /// What the next requests get, and what they asked for.
    var level = false
    private(set) var requests: [LineSettings] = []
    private(set) weak var line: FakeLine?
    /// Runs on a line before it is handed out.
    var onRequest: ((FakeLine) -> Void)?

    func request(_ line: LineReference, _ settings: LineSettings) throws(GPIOError) -> any GPIOLine {
        if let failure { throw failure }
        requests.append(settings)
        let made = FakeLine(edges: settings.edges != .none)
        made.level = level
        onRequest?(made)
        self.line = made
        return made
    }

    func inspect(_ line: LineReference) throws(GPIOError) -> LineInfo {
        if let failure { throw failure }
        return LineInfo(chip: "gpiochip0", offset: 0)
    }
}

/// A work queue whose jobs run when the test says so.
final class HeldQueue: WorkQueue {
    private var jobs: [(job: () -> Void, completion: () -> Void)] = []
    var pending: Int { jobs.count }
    func perform(_ job: @escaping () -> Void, completion: @escaping () -> Void) { jobs.append((job, completion)) }

    func run(_ count: Int = .max) {
        for _ in 0..<min(count, jobs.count) {
            let next = jobs.removeFirst()
            next.job()
            next.completion()
        }
    }
}

/// A driver that does what the test says and records what it is asked.
final class ScriptedDriver: SensorDriver {
    var calls: [String] = []
    var prepareFailure: SensorError?
    var triggerFailure: SensorError?
    var collectFailure: SensorError?
    var wait = Interval.zero
    var values: [Value] = [.integer(1)]
    var onCollect: (() -> Void)?

    func prepare() throws(SensorError) {
        calls.append("prepare")
        if let prepareFailure { throw prepareFailure }
    }

    func trigger() throws(SensorError) -> Interval {
        calls.append("trigger")
        if let triggerFailure { throw triggerFailure }
        return wait
    }

    func collect(into values: inout [Value]) throws(SensorError) {
        calls.append("collect")
        onCollect?()
        if let collectFailure { throw collectFailure }
        values.append(contentsOf: self.values)
    }
}

/// A sampler with its loop, its log and what it emitted.
final class Bench {
    let loop = ManualLoop()
    let recorder = LogRecorder()
    private(set) var samples: [Sample] = []
    private(set) var sampler: Sampler!

    init(limit: Interval = .seconds(5)) {
        sampler = Sampler(loop: loop, log: recorder.log, seed: 7, limit: limit) { [unowned self] in
            samples.append($0)
        }
    }

    func add(
        _ driver: any SensorDriver, id: String = "a", every: Interval = .seconds(1), channels: [ChannelPlan]? = nil,
        on queue: (any WorkQueue)? = nil, base: Int = 0
    ) {
        sampler.add(plan(id, every, channels), driver: driver, on: queue, base: SeriesID(base))
    }

    func add(_ driver: any EventDriver, id: String = "a", channels: [ChannelPlan]? = nil) {
        sampler.add(plan(id, nil, channels), driver: driver, base: SeriesID(0))
    }

    private func plan(_ id: String, _ every: Interval?, _ channels: [ChannelPlan]?) -> SensorPlan {
        SensorPlan(
            id: id, driver: "test", mark: Mark(line: 1, column: 1), every: every,
            channels: channels ?? [ChannelPlan(Channel("", unit: nil))], make: .onLoop { ScriptedDriver() })
    }

    var good: [Sample] { samples.filter { $0.quality == .good } }
    var bad: [Sample] { samples.filter { $0.quality != .good } }
    func clear() { samples = [] }
}

/// A file that goes away with the test.
final class TemporaryFile {
    let path: String
    init(_ text: String) throws {
        path = NSTemporaryDirectory() + "kedge-\(UUID().uuidString)"
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }
}
