import Platform
import Records
import TestSupport
import Testing

@testable import Outbox

@Suite struct FailureTests {
    @Test func aRetriableFailureIsOfferedAgainBeforeNewerRecords() {
        let bench = Bench(room: 3)
        for number in 0..<6 { bench.append("\(number)") }
        #expect(bench.transport.log == ["0", "1", "2"])
        bench.transport.deliver(0, .timedOut)
        bench.transport.deliver(1, .timedOut)
        bench.makeRoom()
        // Nothing while the lane rests: the failures of one cause come in first.
        #expect(bench.transport.log == ["0", "1", "2"])
        bench.loop.advance(by: Outbox.retryPause)
        #expect(bench.transport.log == ["0", "1", "2", "0", "2", "3", "4", "5"])
        bench.transport.deliverAll()
        #expect(bench.outbox.isEmpty)
        #expect(bench.records.retried == 2)
        #expect(bench.records.acknowledged == 6)
        #expect(bench.records.failed == 0)
    }

    /// The same record keeps its id, so that a consumer can tell a duplicate.
    @Test func anotherAttemptHasTheSameIdAndAnotherToken() {
        let bench = Bench()
        bench.append("a")
        let first = bench.transport.deliver(0, .timedOut)
        bench.loop.advance(by: Outbox.retryPause)
        let second = bench.transport.held[0]
        #expect(second.id == first.id)
        #expect(second.token != first.token)
        #expect(second.text == "a")
    }

    /// The transport was renewed: of some records it knows that a report will come, of the others nobody reports any more.
    @Test func whatNobodyReportsOnIsOfferedAgain() {
        let bench = Bench(room: 8)
        for number in 0..<8 { bench.append("\(number)") }
        let old = bench.transport.held
        bench.transport.held = []
        bench.outbox.offerAgain(except: [old[3].token, old[6].token], isInUse: false)
        bench.makeRoom()
        #expect(bench.transport.log.suffix(6) == ["0", "1", "2", "4", "5", "7"])
        let again = bench.transport.held
        for taken in old where taken.text != "3" && taken.text != "6" { bench.transport.onDelivery?(taken.token, nil) }
        #expect(bench.outbox.strayReports == 6)
        #expect(bench.outbox.pendingCount == 8)
        bench.transport.onDelivery?(old[3].token, nil)
        bench.transport.onDelivery?(old[6].token, nil)
        #expect(bench.outbox.pendingCount == 6)
        #expect(bench.transport.held.count == again.count)
        bench.transport.deliverAll()
        #expect(bench.outbox.isEmpty)
    }

    @Test func aLaneAtRestDoesNotHoldUpTheOther() {
        let bench = Bench()
        bench.append("a")
        bench.transport.deliver(0, .timedOut)
        bench.append("b")
        #expect(bench.transport.held.isEmpty)
        bench.append("reply", lane: .reply)
        #expect(bench.transport.log == ["a", "reply"])
    }

    @Test func failuresAcrossSlabsAreOfferedInOrder() {
        let bench = Bench()
        let padding = String(repeating: "x", count: 500)
        let texts = (0..<1_000).map { "\($0) \(padding)" }
        for text in texts { bench.append(text) }
        #expect(bench.transport.held.count == 1_000)
        // The newest fails first.
        for index in stride(from: 999, through: 0, by: -1) { bench.transport.deliver(index, .timedOut) }
        bench.transport.log = []
        bench.loop.advance(by: Outbox.retryPause)
        #expect(bench.transport.log == texts)
    }

    @Test func anotherFailureIsCountedSaidOnceAndDropped() {
        let bench = Bench()
        for _ in 0..<50 { bench.append("a") }
        for _ in 0..<50 { bench.transport.deliver(0, .tooLarge) }
        bench.loop.advance(by: .seconds(10))
        #expect(bench.outbox.isEmpty)
        #expect(bench.transport.log.count == 50)
        #expect(bench.records.failed == 50)
        #expect(bench.outbox.failures.count(of: "MSG_SIZE_TOO_LARGE") == 50)
        #expect(
            bench.lines.lines == ["error: a record is lost (MSG_SIZE_TOO_LARGE, 1 so far): Broker: too large"])
        bench.loop.advance(by: .seconds(600))
        bench.append("a")
        bench.transport.deliver(0, .tooLarge)
        #expect(bench.lines.lines.count == 2)
        #expect(bench.lines.lines[1].contains("51 so far"))
    }

    @Test func aRefusedOfferIsAFailure() {
        let bench = Bench()
        bench.transport.refusal = "no such topic"
        var idle = 0
        bench.outbox.onIdle = { idle += 1 }
        #expect(bench.append("a"))
        #expect(bench.outbox.isEmpty)
        #expect(idle == 1)
        #expect(bench.records.failed == 1)
        #expect(bench.records.handedOver == 0)
        #expect(bench.outbox.failures.count(of: "refused") == 1)
        #expect(bench.lines.lines == ["error: a record is lost (refused, 1 so far): no such topic"])
    }

    @Test func theTallyIsBounded() {
        let bench = Bench()
        for number in 0..<100 {
            bench.append("a")
            bench.transport.deliver(0, DeliveryFailure(name: "E\(number)", reason: "", isRetriable: false))
        }
        #expect(bench.outbox.failures.entries.count == 32)
        #expect(bench.outbox.failures.count(of: "E7") == 1)
        #expect(bench.outbox.failures.count(of: "other") == 69)
        #expect(bench.lines.lines.count == 32)
    }

    @Test func strayReportsAreHarmless() {
        let bench = Bench()
        bench.append("a")
        bench.append("b")
        let token = bench.transport.held[0].token
        let stray: [DeliveryToken] = [
            DeliveryToken(0), DeliveryToken(.max), DeliveryToken(token.number ^ 1 << 5),
            DeliveryToken(token.number ^ 1 << 15),
            DeliveryToken(token.number ^ 1 << 25),
        ]
        for token in stray {
            bench.transport.onDelivery?(token, nil)
            bench.transport.onDelivery?(token, .timedOut)
        }
        #expect(bench.outbox.strayReports == 10)
        #expect(bench.outbox.pendingCount == 2)
        bench.transport.deliver()
        bench.transport.onDelivery?(token, nil)
        bench.transport.onDelivery?(token, .tooLarge)
        #expect(bench.outbox.strayReports == 12)
        #expect(bench.outbox.pendingCount == 1)
        #expect(bench.records.failed == 0)
    }

    /// The report of an earlier offer does not settle the present one, nor another record in the same place.
    @Test func aLateReportIsStray() {
        let bench = Bench()
        bench.append("a")
        let first = bench.transport.deliver(0, .timedOut)
        bench.loop.advance(by: Outbox.retryPause)
        bench.transport.onDelivery?(first.token, nil)
        #expect(bench.outbox.pendingCount == 1)
        let second = bench.transport.deliver()
        bench.append("b")
        #expect(bench.transport.held[0].payload.baseAddress == second.payload.baseAddress)
        bench.transport.onDelivery?(second.token, nil)
        #expect(bench.outbox.pendingCount == 1)
        #expect(bench.outbox.strayReports == 2)
    }

    @Test func theTimerOfAnOutboxThatIsGoneDoesNothing() {
        let transport = FakeTransport()
        let loop = ManualLoop()
        do {
            let outbox = Outbox(
                settings: OutboxSettings(), node: "n", boot: "b", transport: transport, loop: loop,
                log: LogRecorder().log)
            outbox.append(topic: TopicID(0), key: UnsafeRawBufferPointer(start: nil, count: 0), maximumBytes: 1) {
                $0.write(UInt8(ascii: "a"))
            }
            transport.deliver(0, .timedOut)
        }
        loop.advance(by: .seconds(10))
        #expect(transport.onDelivery == nil)
        #expect(transport.onRoom == nil)
        #expect(transport.offers == 1)
    }
}
