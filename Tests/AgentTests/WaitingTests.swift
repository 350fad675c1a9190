import Agent
import Filters
import Foundation
import Kafka
import Outbox
import Platform
import Records
import TestSupport
import Testing

/// More samples wait for the clock than the outbox has memory for, and the disk and the brokers have a pace of their own.
@Suite struct WaitingTests {
    /// A path with a small outbox, whose disk works when the test says so.
    private final class Bench {
        let loop = ManualLoop(now: Instant(nanoseconds: 10_000_000_000))
        let wallClock = FakeWallClock(isSynchronised: false)
        let queue = HeldWorkQueue()
        let transport = Transport()
        let file: TemporaryFile
        let outbox: Outbox
        let clock: ClockWatch
        let path: TelemetryPath
        let count = 10_000

        /// - Parameter durabilities: of the sensors, which take turns.
        init(hasDisk: Bool = true, _ durabilities: [Durability?] = [nil]) throws {
            let log = LogRecorder().log
            file = try TemporaryFile("")
            var settings = OutboxSettings(maxMemory: 200_000, durability: hasDisk ? .spill : .memory)
            settings.drainRate = 0
            let disk =
                hasDisk ? Disk(path: file.path, maxSize: settings.maxSize, queue: queue, topics: Topics()) : nil
            outbox = Outbox(
                settings: settings, node: "n", boot: "b", transport: transport, disk: disk, loop: loop, log: log)
            clock = ClockWatch(settings: ClockSettings(), wallClock: wallClock, loop: loop, log: log)
            let lanes = durabilities.enumerated().map { index, durability in
                TelemetryPath.Lane(
                    series: Series(sensorID: "s\(index)", unit: nil), filters: FilterChain(), topic: TopicID(0),
                    durability: durability)
            }
            path = TelemetryPath(
                lanes: lanes, settings: RecordSettings(), outbox: outbox, time: loop, clock: clock,
                maxWaiting: 4_000_000)
            queue.runAll()
            for number in 0..<count {
                let series = SeriesID(number % durabilities.count)
                path.accept(Sample(series: series, value: .integer(Int64(number)), taken: loop.now))
            }
        }

        deinit { for suffix in ["-wal", "-shm", ".lock"] { unlink(file.path + suffix) } }

        func synchronise() {
            wallClock.isSynchronised = true
            wallClock.onStep?()
        }

        /// Lets time pass, and the disk do a few turns of work.
        func pass(_ interval: Interval) {
            var left = interval
            while left > .zero {
                loop.advance(by: .milliseconds(50))
                left = left - .milliseconds(50)
                queue.runJob()
                queue.deliver()
            }
        }

        var lost: UInt64 {
            [Outbox.Lane.record, .memory].reduce(0) { sum, lane in
                let counters = outbox.counters(of: lane)
                return sum + counters.dropped + counters.refused + counters.oversized + counters.failed
            }
        }
    }

    private final class Topics: TopicDirectory {
        func topicName(_ topic: TopicID) -> String? { "sensors" }
        func topicID(_ name: String) -> TopicID? { TopicID(0) }
    }

    /// Takes so many at a time, and acknowledges them when told to.
    private final class Transport: RecordTransport {
        var onDelivery: ((DeliveryToken, DeliveryFailure?) -> Void)?
        var onRoom: (() -> Void)?
        var room = 0
        var held: [DeliveryToken] = []
        var values: [String] = []

        func offer(
            topic: TopicID, key: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, id: UnsafeRawBufferPointer,
            position: Int64, token: DeliveryToken
        ) -> Offer {
            if held.count >= room { return .full }
            held.append(token)
            values.append(String(decoding: id, as: UTF8.self))
            return .taken
        }

        func deliver() {
            let tokens = held
            held = []
            for token in tokens { onDelivery?(token, nil) }
            onRoom?()
        }
    }

    @Test(arguments: [false, true]) func nothingOutrunsTheDisk(isAtTheEnd: Bool) throws {
        let bench = try Bench()
        #expect(bench.path.waitingCount == bench.count)
        if isAtTheEnd { bench.path.finish() } else { bench.synchronise() }
        // As long as the disk does nothing, no more is taken than memory holds.
        bench.loop.advance(by: .seconds(5))
        #expect(bench.path.waitingCount > bench.count / 2)
        #expect(bench.lost == 0)
        #expect(bench.outbox.allocatedBytes <= 200_000)
        bench.pass(.seconds(20))
        #expect(bench.path.waitingCount == 0)
        #expect(bench.lost == 0)
        #expect(Int(bench.outbox.counters(of: .record).appended) == bench.count)
        #expect(Int(bench.outbox.diskStatus?.records ?? 0) + bench.outbox.unstoredCount == bench.count)
    }

    /// Without a disk the brokers' pace counts.
    @Test func nothingOutrunsTheBrokers() throws {
        let bench = try Bench(hasDisk: false)
        bench.synchronise()
        bench.transport.room = 200
        for _ in 0..<200 {
            bench.loop.advance(by: .milliseconds(500))
            bench.transport.deliver()
        }
        #expect(bench.lost == 0)
        #expect(bench.transport.values == (1...bench.count).map { "n/b/\($0)" })
    }

    /// Nobody takes what may not go to the disk; what may gets there all the same.
    @Test func whatStaysInMemoryDoesNotHoldUpWhatGoesToTheDisk() throws {
        let bench = try Bench([.memory, .spill])
        bench.synchronise()
        bench.pass(.seconds(120))
        #expect(bench.path.waitingCount == 0)
        let stored = bench.outbox.counters(of: .record)
        #expect(Int(stored.appended) == bench.count / 2)
        #expect(stored.dropped + stored.refused == 0)
        #expect(bench.outbox.counters(of: .memory).dropped > 0)
    }

    /// The whole agent, stopped before the clock was known and without brokers: the disk gets all.
    @Test func aStopLeavesTheDiskItsTime() throws {
        let file = try TemporaryFile("")
        let configuration = """
            sensors: [{ id: a, driver: sim, every: 1h }]
            outbox: { path: "\(file.path)", max_memory: 256kB }
            stop_within: 3s
            """
        let plant = try Plant(
            configuration, clock: "{ wait: 1h, max_memory: 4MB }", wallClock: FakeWallClock(), time: YoungTime()
        ) { $1.set(isUp: false) }
        plant.agent.start()
        for number in 0..<10_000 {
            plant.agent.telemetry.accept(
                Sample(series: SeriesID(0), value: .integer(Int64(number)), taken: plant.loop.time.now))
        }
        #expect(try plant.stop() == 0)
        let counters = plant.agent.outbox.counters(of: .record)
        #expect(counters.appended >= 10_000 && counters.dropped + counters.refused == 0)
        #expect(Int(plant.agent.outbox.diskStatus?.records ?? 0) >= 10_000)
    }

    /// When there is no more time, the outbox's policy decides.
    @Test func theEndCanBeHadAtOnce() throws {
        let bench = try Bench()
        bench.path.finish()
        #expect(bench.path.waitingCount > 0)
        bench.path.finishAtOnce()
        #expect(bench.path.waitingCount == 0)
        #expect(bench.lost > 0)
        #expect(Int(bench.lost) + bench.outbox.pendingCount == bench.count)
    }
}
