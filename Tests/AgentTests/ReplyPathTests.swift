import Commands
import Kafka
import Outbox
import Platform
import Records
import TestSupport
import Testing

@testable import Agent

/// Which replies have arrived: the offsets of refused commands wait for that.
@Suite struct ReplyPathTests {
    private final class Bench {
        let loop = ManualLoop()
        let fake = FakeProducer()
        let outbox: Outbox
        let path: ReplyPath
        var tellings = 0

        init() throws {
            let log = LogRecorder().log
            let (settings, problems) = decode("node: n\nkafka: { all: { bootstrap.servers: b } }")
            #expect(problems == [])
            let decoded = try #require(settings)
            let fake = fake
            let producer = try LastingProducer(
                name: "kedge-n", kafka: decoded.kafka, loop: loop, log: log,
                make: { () throws(KafkaError) -> any KafkaProducer in fake })
            outbox = Outbox(
                settings: OutboxSettings(maxMemory: 128_000), node: "n", boot: "b", transport: producer, loop: loop,
                log: log)
            path = try ReplyPath(settings: decoded, producer: producer, outbox: outbox, loop: loop, log: log)
            path.onDelivered = { [unowned self] in tellings += 1 }
        }

        func send(_ id: String) -> Bool {
            path.send(
                Reply(
                    id: id, node: "n", actuator: "pump", status: .rejected,
                    reason: String(repeating: "x", count: 256), value: nil, timestamp: loop.wallTime))
        }

        func report(_ index: Int, _ failure: DeliveryFailure? = nil) {
            fake.onDelivery?(fake.taken.remove(at: index).token, failure)
        }
    }

    @Test func aReplyCountsWhenAllBeforeItHaveArrived() throws {
        let bench = try Bench()
        for id in ["a", "b", "c"] { #expect(bench.send(id)) }
        #expect(bench.fake.taken.count == 3)
        #expect(bench.path.delivered == 0)
        bench.report(1)
        #expect(bench.path.delivered == 0)
        bench.report(0)
        #expect(bench.path.delivered == 2)
        // What never can arrive is not waited for.
        bench.report(0, DeliveryFailure(name: "MSG_SIZE_TOO_LARGE", reason: "too large", isRetriable: false))
        #expect(bench.path.delivered == 3)
        #expect(bench.tellings == 3)
    }

    @Test func whatWaitsForRoomHasNotArrived() throws {
        let bench = try Bench()
        var count: UInt64 = 0
        while count < 10_000, bench.send("\(count)") { count += 1 }
        let held = bench.fake.taken.count
        // Some are in the outbox, and 256 wait for room in it.
        #expect(held > 10)
        #expect(count == UInt64(held) + 256)
        #expect(bench.path.delivered == 0)
        while !bench.fake.taken.isEmpty { bench.report(0) }
        #expect(bench.path.delivered == UInt64(held))
        for _ in 0..<100 {
            bench.loop.advance(by: .milliseconds(500))
            while !bench.fake.taken.isEmpty { bench.report(0) }
        }
        #expect(bench.path.delivered == count)
        #expect(bench.send("next"))
        #expect(bench.path.delivered == count)
    }
}
