import Agent
import Hardware
import Kafka
import Outbox
import Platform
import TestSupport
import Testing

/// What is lost, and what is not, while something is away.
@Suite struct OutageTests {
    @Test func aBrokerThatComesLater() throws {
        let plant = try Plant("sensors: [{ id: a, driver: sim, every: 5ms }]") { $1.set(isUp: false) }
        plant.agent.start()
        #expect(try plant.wait { plant.agent.outbox.counters(of: .record).appended >= 100 })
        #expect(plant.agent.outbox.counters(of: .record).acknowledged == 0)
        plant.cluster.set(isUp: true)
        let sensors = try plant.watch("sensors")
        #expect(try plant.wait { plant.agent.outbox.counters(of: .record).acknowledged >= 200 })
        #expect(try plant.stop() == 0)
        let counters = plant.agent.outbox.counters(of: .record)
        #expect(counters.acknowledged == counters.appended)
        #expect(try plant.wait { sensors.records.count == Int(counters.appended) })
        #expect(sensors.sequences == Array(1...counters.appended))
    }

    @Test(arguments: [("drop-oldest", false), ("drop-newest", true)])
    func theBoundOfTheOutbox(_ policy: String, keepsOld: Bool) throws {
        let sensors = (0..<4).map { "  - { id: s\($0), driver: sim, every: 1ms }" }.joined(separator: "\n")
        let plant = try Plant("outbox: { max_memory: 128kB, when_full: \(policy) }\nsensors:\n\(sensors)") {
            $1.set(isUp: false)
        }
        let outbox = plant.agent.outbox
        var largest = 0
        func lost() -> UInt64 {
            let counters = outbox.counters(of: .record)
            return counters.dropped + counters.refused
        }
        plant.agent.start()
        #expect(
            try plant.wait {
                largest = max(largest, outbox.allocatedBytes)
                return lost() > 1_000
            })
        #expect(largest > 64_000 && largest <= 128_000)
        #expect(plant.lines("records wait (max_memory)").count == 1)
        #expect(outbox.counters(of: .record).dropped == 0 || !keepsOld)
        #expect(outbox.counters(of: .record).refused == 0 || keepsOld)
        plant.cluster.set(isUp: true)
        #expect(try plant.stop() == 0)
        let counters = outbox.counters(of: .record)
        #expect(counters.appended == counters.acknowledged + counters.dropped)
        #expect(counters.failed == 0)
        // What was not counted as lost is there, once, and nothing else is.
        let watched = try plant.watch("sensors")
        #expect(try plant.wait { watched.records.count == Int(counters.acknowledged) })
        try plant.loop.turn(for: .milliseconds(200))
        #expect(watched.records.count == Int(counters.acknowledged))
        // The records that tell what is missing of each sensor are no samples.
        let gaps = watched.records.filter { $0.text.contains(#""reason":"gap""#) }
        #expect(Set(gaps.map { $0.key }).count == 4)
        #expect(plant.agent.telemetry.samples + UInt64(gaps.count) == counters.appended + counters.refused)
        #expect(watched.isEveryIDThereOnce)
        #expect(watched.sequences == watched.sequences.sorted())
        #expect(watched.sequences.first == 1)
        #expect((watched.sequences.last == UInt64(watched.records.count)) == keepsOld)
    }

    @Test func aSensorOnAnAbsentBusStopsNobody() throws {
        let plant = try Plant(
            """
            sensors:
              - { id: absent, driver: bme280, bus: i2c-1, every: 20ms }
              - { id: there, driver: sim, every: 20ms }
            """
        ) { hardware, _ in hardware.missingBuses = ["i2c-1"] }
        let sensors = try plant.watch("sensors")
        plant.agent.start()
        #expect(try plant.wait { sensors.records(of: "there").count >= 50 })
        for channel in ["temperature", "pressure", "humidity"] {
            let records = sensors.records(of: "absent.\(channel)")
            #expect(records.count == 1)
            #expect(records.first?.fields["quality"] as? String == "bad")
            #expect(records.first?.fields["reason"] as? String == "i2c")
        }
        #expect(plant.lines("sensor absent: ").count == 1)
        #expect(sensors.records(of: "there").allSatisfy { $0.fields["quality"] == nil })
    }

    @Test func aBusThatAppearsLaterIsUsed() throws {
        let plant = try Plant("sensors: [{ id: late, driver: bmp280, bus: i2c-1, every: 10ms }]") { hardware, _ in
            // Opened on the bus's own thread: what is there must be there before.
            hardware.bus("i2c-1").attach(SimulatedBMP280(), at: 0x76)
            hardware.bus("i2c-1").fault = FailFirst(3).next
        }
        let sensors = try plant.watch("sensors")
        plant.agent.start()
        #expect(try plant.wait { sensors.records(of: "late.pressure").count >= 4 })
        let qualities = sensors.records(of: "late.pressure").map { $0.fields["quality"] as? String }
        #expect(qualities.first == "bad")
        #expect(qualities.dropFirst().allSatisfy { $0 == nil })
    }

    /// Lets the first transfers fail.
    private final class FailFirst {
        private var left: Int
        init(_ count: Int) { left = count }
        func next(_ address: UInt8) -> SimulatedI2CFault? {
            left -= 1
            return left >= 0 ? .noAcknowledge : nil
        }
    }

    /// What only a new producer gets over, in the answer to the request for an identifier (CLUSTER_AUTHORIZATION_FAILED)
    /// and, with records under way, in the answer to what was sent (OUT_OF_ORDER_SEQUENCE_NUMBER).
    @Test(arguments: [
        (MockCluster.Request.initProducerID, Int32(31)), (.produce, 45),
    ])
    func afterAFatalErrorANewProducerSendsEverything(_ request: MockCluster.Request, _ code: Int32) throws {
        let plant = try Plant("sensors: [{ id: a, driver: sim, every: 2ms }]") { _, cluster in
            if request == .initProducerID { cluster.answer(request, with: [code]) }
        }
        let sensors = try plant.watch("sensors")
        plant.agent.start()
        if request == .produce {
            #expect(try plant.wait { plant.agent.outbox.counters(of: .record).acknowledged > 50 })
            plant.cluster.answer(request, with: [code])
        }
        let isRenewed = try plant.wait(for: .seconds(10)) { !plant.lines("the producer is started anew").isEmpty }
        #expect(isRenewed)
        let before = plant.agent.outbox.counters(of: .record).appended
        #expect(try plant.wait { plant.agent.outbox.counters(of: .record).acknowledged > before })
        #expect(try plant.stop() == 0)
        let counters = plant.agent.outbox.counters(of: .record)
        #expect(counters.acknowledged == counters.appended)
        #expect(counters.failed + counters.dropped + counters.refused == 0)
        #expect(try plant.wait { Set(sensors.sequences).count == Int(counters.appended) })
        #expect(Set(sensors.sequences) == Set(1...counters.appended))
        // The same record, should it come twice, has the same id.
        #expect(Set(sensors.records.map { $0.start }).count == 1)
    }
}
