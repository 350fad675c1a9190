import Agent
import Foundation
import Outbox
import Platform
import TestSupport
import Testing

/// The whole agent on a machine whose clock is not known yet.
@Suite struct UnsyncedTests {
    private let pump = "actuators: [{ id: pump, driver: gpio, line: 27 }]"

    @Test func recordsWaitAndCommandsThatExpireAreRejected() throws {
        let wallClock = FakeWallClock()
        let plant = try Plant(
            "sensors: [{ id: a, driver: sim, every: 10ms }]\n\(pump)", clock: "{ wait: 1h }", wallClock: wallClock,
            time: YoungTime())
        let sensors = try plant.watch("sensors")
        let replies = try plant.watch("replies")
        plant.agent.start()
        #expect(try plant.wait { plant.receiving.contains("commands.pi-test") })
        #expect(try plant.wait { plant.agent.telemetry.waitingCount > 50 })
        let expires = Int(Date().timeIntervalSince1970) + 600
        try plant.send(#"{"id":"early","actuator":"pump","value":1,"expires":\#(expires)}"#)
        #expect(try plant.wait { replies.records.count == 1 })
        #expect(replies.records[0].fields["status"] as? String == "rejected")
        #expect((replies.records[0].fields["reason"] as? String)?.contains("clock") == true)
        #expect(sensors.records.isEmpty)

        wallClock.isSynchronised = true
        wallClock.onStep?()
        try plant.send(#"{"id":"late","actuator":"pump","value":1,"expires":\#(expires)}"#)
        #expect(try plant.wait { replies.records.count == 2 })
        #expect(replies.records[1].fields["status"] as? String == "done")
        #expect(try plant.wait { sensors.records.contains { $0.fields["clock"] == nil } })
        #expect(try plant.stop() == 0)
        let records = Int(plant.agent.telemetry.samples)
        #expect(try plant.wait { sensors.records.count == records })
        #expect(sensors.sequences == sensors.sequences.sorted())
        let states = sensors.records.map { $0.fields["clock"] as? String }
        #expect(states.prefix(50).allSatisfy { $0 == "corrected" })
        #expect(states.allSatisfy { $0 == "corrected" || $0 == nil })
    }

    @Test func aStopSendsWhatWaits() throws {
        let plant = try Plant(
            "sensors: [{ id: a, driver: sim, every: 10ms }]", clock: "{ wait: 1h }", wallClock: FakeWallClock(),
            time: YoungTime())
        let sensors = try plant.watch("sensors")
        plant.agent.start()
        #expect(try plant.wait { plant.agent.telemetry.waitingCount > 20 })
        #expect(try plant.stop() == 0)
        let sampled = plant.agent.telemetry.samples
        #expect(try plant.wait { sensors.records.count == Int(sampled) })
        #expect(sensors.records.allSatisfy { $0.fields["clock"] as? String == "uncertain" })
        #expect(plant.agent.status.contains("\(sampled) acknowledged, 0 failed, 0 dropped, 0 waiting"))
    }
}
