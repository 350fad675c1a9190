import Agent
import Kafka
import Outbox
import Platform
import TestSupport
import Testing

/// A fatal error of librdkafka's, and a client whose end takes its time: the loop goes on meanwhile.
@Suite struct ReplacementTests {
    private let pump = "actuators: [{ id: pump, driver: gpio, line: 27, max_on: 300ms }]"

    @Test(arguments: ["", "delivery: exactly-once"])
    func anActuatorIsSafeInTimeWhileAProducerIsReplaced(_ delivery: String) throws {
        let closing = HeldWorkQueue()
        let plant = try Plant("sensors: [{ id: a, driver: sim, every: 2ms }]\n\(pump)\n\(delivery)", closing: closing)
        let sensors = try plant.watch("sensors")
        plant.agent.start()
        #expect(try plant.wait { plant.receiving.contains("commands.pi-test") })
        #expect(try plant.wait { plant.agent.outbox.counters(of: .record).acknowledged > 50 })
        // OUT_OF_ORDER_SEQUENCE_NUMBER
        plant.cluster.answer(.produce, with: [45])
        #expect(try plant.wait { closing.pending == 1 })
        let acknowledged = plant.agent.outbox.counters(of: .record).acknowledged
        try plant.send(#"{"id":"one","actuator":"pump","value":1}"#)
        #expect(try plant.wait { plant.pumpLevels.last == true })
        #expect(try plant.wait { plant.pumpLevels.last == false })
        // The old producer delivers nothing any more, and there is no new one before it has ended.
        #expect(closing.pending == 1)
        #expect(plant.agent.outbox.counters(of: .record).acknowledged == acknowledged)
        closing.runAll()
        let appended = plant.agent.outbox.counters(of: .record).appended
        #expect(try plant.wait { plant.agent.outbox.counters(of: .record).acknowledged > appended })
        #expect(try stop(plant, closing) == 0)
        let counters = plant.agent.outbox.counters(of: .record)
        #expect(counters.failed + counters.dropped == 0 && counters.acknowledged == counters.appended)
        #expect(try plant.wait { Set(sensors.sequences).count == Int(plant.agent.telemetry.samples) })
        // Each sensor's in order, but for what was under way and comes twice.
        var first: [UInt64] = []
        for sequence in sensors.sequences where !first.contains(sequence) { first.append(sequence) }
        #expect(first == first.sorted())
    }

    @Test func anActuatorIsSafeInTimeWhileTheConsumerIsReplaced() throws {
        let closing = HeldWorkQueue()
        let plant = try Plant(
            pump, consumer: ", group.instance.id: pi-test, heartbeat.interval.ms: 100, session.timeout.ms: 3000",
            closing: closing)
        let replies = try plant.watch("replies")
        plant.agent.start()
        #expect(try plant.wait { plant.receiving.contains("commands.pi-test") })
        try plant.send(#"{"id":"one","actuator":"pump","value":1}"#)
        #expect(try plant.wait { plant.pumpLevels.last == true })
        // FENCED_INSTANCE_ID
        plant.cluster.answer(.heartbeat, with: [82])
        #expect(try plant.wait { closing.pending == 1 })
        #expect(plant.lines("the consumer is started anew").count == 1)
        #expect(try plant.wait { plant.pumpLevels.last == false })
        try plant.send(#"{"id":"two","actuator":"pump","value":1}"#)
        try plant.loop.turn(for: .milliseconds(300))
        // The new one does not begin before the old one has left.
        #expect(closing.pending == 1 && plant.pumpLevels.last == false)
        #expect(replies.records(of: "two").isEmpty)
        closing.runAll()
        #expect(try plant.wait { !replies.records(of: "two").isEmpty })
        #expect(replies.records(of: "two").first?.fields["status"] as? String == "done")
        #expect(try plant.wait { plant.pumpLevels.last == false })
        #expect(try stop(plant, closing) == 0)
        let done = replies.records.filter { $0.fields["status"] as? String == "done" }
        #expect(done.map { $0.key } == ["one", "two"])
    }

    /// The stop itself goes on while the group is left, and waits for it.
    @Test func theStopWaitsForTheLeavingWithoutStandingStill() throws {
        let closing = HeldWorkQueue()
        let plant = try Plant(pump, closing: closing)
        plant.agent.start()
        #expect(try plant.wait { plant.receiving.contains("commands.pi-test") })
        var left: Int?
        plant.agent.stop { left = $0 }
        var ticks = 0
        func tick() {
            ticks += 1
            plant.loop.after(.milliseconds(5), tick)
        }
        tick()
        #expect(try plant.wait { ticks > 20 })
        #expect(left == nil && closing.pending == 1)
        closing.runAll()
        #expect(try plant.wait { left == 0 })
    }

    private func stop(_ plant: Plant, _ closing: HeldWorkQueue) throws -> Int? {
        var left: Int?
        plant.agent.stop { left = $0 }
        _ = try plant.wait {
            closing.runAll()
            return left != nil
        }
        return left
    }
}
