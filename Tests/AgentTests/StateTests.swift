import Actuators
import Agent
import Foundation
import Kafka
import Outbox
import Platform
import TestSupport
import Testing

/// Actuators' states while something else waits.
@Suite struct StateTests {
    private let pump = "actuators: [{ id: pump, driver: gpio, line: 27 }]\n"
    private let sensors = "sensors: [{ id: a, driver: sim, every: 2ms }]\n"

    @Test func aBacklogHoldsUpNoState() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let outbox = "outbox: { path: \(folder.path)/outbox.db, drain_rate: 10 }\n"
        do {
            let plant = try Plant(pump + sensors + outbox + "stop_within: 100ms\n") { $1.set(isUp: false) }
            plant.agent.start()
            #expect(try plant.wait { plant.agent.outbox.counters(of: .record).appended >= 500 })
            #expect(try plant.stop() == 0)
        }
        let plant = try Plant(pump + outbox)
        let states = try plant.watch("actuators")
        let telemetry = try plant.watch("sensors")
        plant.agent.start()
        #expect(try plant.wait { states.records.count == 1 && !telemetry.records.isEmpty })
        #expect(states.records.first?.fields["cause"] as? String == "start")
        #expect((plant.agent.outbox.diskStatus?.records ?? 0) > 300)
        // What the other start left is not sent behind it.
        plant.agent.actuators[0].onState?(plant.agent.actuators[0])
        #expect(try plant.wait { states.records.count == 2 })
        #expect(Set(states.records.map { $0.start }).count == 1)
        #expect(states.records.allSatisfy { !$0.text.contains("gap") })
        plant.agent.stop(sending: false) { _ in }
    }

    /// Only the newest one counts: it takes the place of those that found no room.
    @Test func theNewestStateArrives() throws {
        let plant = try Plant(pump + "outbox: { max_memory: 128kB }\n") { $1.set(isUp: false) }
        plant.agent.start()
        let actuator = plant.agent.actuators[0]
        for _ in 0..<1_000 { actuator.onState?(actuator) }
        try plant.loop.turn(for: .milliseconds(20))
        let last = Double(plant.loop.time.wallTime.milliseconds) / 1_000
        actuator.onState?(actuator)
        plant.cluster.set(isUp: true)
        let states = try plant.watch("actuators")
        #expect(try plant.wait { (states.records.last?.timestamp ?? 0) >= last })
        #expect(states.records.count < 300)
        #expect(try plant.stop() == 0)
    }
}
