import Foundation
import Kafka
import Outbox
import Platform
import Records
import TestSupport
import Testing

@testable import Agent

/// A producer that is replaced has not reported on all that it had: it was cut off, or hangs.
@Suite struct RenewalTests {
    private final class Bench {
        let loop = ManualLoop()
        let recorder = LogRecorder()
        private(set) var made: [FakeProducer] = []
        private(set) var producer: LastingProducer!
        private(set) var outbox: Outbox!

        init() throws {
            producer = try LastingProducer(
                name: "kedge-n", kafka: KafkaSettings(bootstrapServers: "b:1"), loop: loop, log: recorder.log,
                make: { [unowned self] () throws(KafkaError) -> any KafkaProducer in
                    let fake = FakeProducer()
                    made.append(fake)
                    return fake
                })
            outbox = Outbox(
                settings: OutboxSettings(), node: "n", boot: "b", transport: producer, loop: loop, log: recorder.log)
            producer.onGone = { [unowned self] in outbox.offerAgain(except: $0, isInUse: $1) }
        }

        func append(_ numbers: Range<Int>) {
            for number in numbers {
                Array("k\(number % 3)".utf8).withUnsafeBytes { key in
                    _ = outbox.append(topic: TopicID(0), key: key, maximumBytes: 20) { $0.write(utf8: "\(number)") }
                }
            }
        }

        func fail() {
            let last = made.count - 1
            made[last].onFatal?(KafkaError(code: -150, place: "test", isFatal: true))
        }
    }

    private static var all: [String] { (1...10).map { "n/b/\($0)" } }

    @Test(arguments: [0, 7]) func whatWasNotReportedOnIsOfferedAgainInOrder(left: Int) throws {
        let bench = try Bench()
        bench.append(0..<10)
        let old = bench.made[0]
        #expect(old.taken.map(\.id) == Self.all)
        old.succeeding = [0]
        old.failing = [4, 2]
        old.left = left
        bench.fail()
        #expect(bench.made.count == 2)
        bench.loop.advance(by: .seconds(1))
        let new = bench.made[1]
        #expect(new.taken.map(\.id) == Array(Self.all.dropFirst()))
        // What the old one has to say now is of no interest.
        for taken in old.taken { old.onDelivery?(taken.token, nil) }
        bench.loop.advance(by: .seconds(60))
        #expect(bench.outbox.pendingCount == 9)
        #expect(new.taken.count == 9)
        for taken in new.taken { new.onDelivery?(taken.token, nil) }
        #expect(bench.outbox.isEmpty)
        #expect(bench.recorder.lines.filter { $0.contains("7 records were not reported on") }.count == 1)
        #expect(bench.recorder.lines.contains { $0.contains("kB of memory are lost") } == (left > 0))
        if left == 0 { return }
        // It may read them still, whatever becomes of the memory.
        bench.append(100..<2_000)
        for taken in old.taken { #expect(taken.payload.elementsEqual(taken.copy)) }
    }
}
