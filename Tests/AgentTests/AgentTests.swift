import Actuators
import Agent
import Foundation
import Hardware
import Kafka
import Outbox
import Platform
import Testing

@Suite struct AgentTests {
    private let pump = "actuators: [{ id: pump, driver: gpio, line: 27, max_on: 10m }]"

    @Test func recordsOfABusAndOfALineArrive() throws {
        let begin = Date().timeIntervalSince1970
        let plant = try Plant(
            """
            sensors:
              - { id: greenhouse, driver: bme280, bus: i2c-1, every: 50ms }
              - { id: door, driver: gpio, line: 17, edges: both }
            """
        ) { hardware, _ in
            let chip = SimulatedBME280(time: SystemTime())
            chip.air = SimulatedAir(temperature: 21.5, pressure: 101_325, humidity: 45)
            hardware.bus("i2c-1").attach(chip, at: 0x76)
        }
        let sensors = try plant.watch("sensors")
        plant.agent.start()
        #expect(try plant.wait { sensors.records(of: "greenhouse.humidity").count >= 5 })
        for level in [true, false, true] {
            let before = sensors.records(of: "door").count
            try plant.hardware.simulatedGPIO.set(Plant.door, active: level)
            #expect(try plant.wait { sensors.records(of: "door").count > before })
        }
        #expect(try plant.stop() == 0)
        let appended = plant.agent.outbox.counters(of: .record).appended
        #expect(try plant.wait { sensors.records.count == Int(appended) })

        #expect(sensors.records(of: "door").map { $0.value } == [0, 1, 0, 1])
        for (channel, value, step) in [("temperature", 21.5, 0.1), ("pressure", 101_325, 5), ("humidity", 45, 0.1)] {
            let records = sensors.records(of: "greenhouse.\(channel)")
            #expect(records.count >= 5)
            for record in records { #expect(abs((record.value ?? .nan) - value) < step, "\(record.text)") }
        }
        for record in sensors.records {
            #expect(record.fields["sensorID"] as? String == record.key)
            #expect(Set(record.fields.keys) == ["sensorID", "value", "timestamp"])
            #expect(record.timestamp.map { $0 >= begin - 0.001 && $0 <= Date().timeIntervalSince1970 } == true)
        }
        // One partition: in the order of the outbox, without a gap.
        #expect(sensors.sequences == Array(1...appended))
        let starts = Set(sensors.records.map { $0.start })
        #expect(starts.count == 1)
        #expect(starts.first?.hasPrefix("pi-test/") == true && starts.first?.utf8.count == "pi-test/".utf8.count + 12)
    }

    @Test func twoStartsHaveDifferentIDs() throws {
        var starts: Set<String> = []
        for _ in 0..<2 {
            let plant = try Plant("sensors: [{ id: a, driver: sim, every: 10ms }]")
            let sensors = try plant.watch("sensors")
            plant.agent.start()
            #expect(try plant.wait { !sensors.records.isEmpty })
            starts.formUnion(sensors.records.map { $0.start })
        }
        #expect(starts.count == 2)
    }

    @Test func aCommandSwitchesThePump() throws {
        let plant = try Plant(pump)
        #expect(plant.pumpLevels == [false])
        let replies = try plant.watch("replies")
        plant.agent.start()
        #expect(try plant.wait { plant.receiving.contains("commands.pi-test") })
        try plant.send(#"{"id":"one","actuator":"pump","value":1}"#)
        #expect(try plant.wait { replies.records.count == 1 })
        #expect(plant.pumpLevels == [false, true])
        let done = try #require(replies.records.first)
        #expect(done.key == "one")
        #expect(done.fields["id"] as? String == "one")
        #expect(done.fields["node"] as? String == "pi-test")
        #expect(done.fields["actuator"] as? String == "pump")
        #expect(done.fields["status"] as? String == "done")
        #expect(done.value == 1)
        #expect(done.fields["reason"] == nil)

        // The reply says what is there, not what was wanted.
        try plant.hardware.simulatedGPIO.drive(Plant.pump, high: true)
        try plant.send(#"{"id":"two","actuator":"pump","value":0}"#)
        #expect(try plant.wait { replies.records.count == 2 })
        #expect(replies.records.last?.fields["status"] as? String == "failed")
        #expect(replies.records.last?.value == 1)
        try plant.hardware.simulatedGPIO.drive(Plant.pump, high: nil)

        try plant.send(#"{"id":"one","actuator":"pump","value":1}"#)
        #expect(try plant.wait { replies.records.count == 3 })
        #expect(replies.records.last?.fields["status"] as? String == "duplicate")
        #expect(plant.pumpLevels.last == false)
    }

    @Test func whatIsNoCommandIsAnswered() throws {
        let plant = try Plant(pump)
        let replies = try plant.watch("replies")
        plant.agent.start()
        #expect(try plant.wait { plant.receiving.contains("commands.pi-test") })
        try plant.send("{")
        try plant.send(#"{"id":"x","actuator":"pmup","value":1}"#)
        try plant.send(#"{"id":"y","actuator":"pump","value":7}"#)
        #expect(try plant.wait { replies.records.count == 3 })
        #expect(replies.records.map { $0.key } == ["commands.pi-test/0/0", "x", "y"])
        for reply in replies.records {
            #expect(reply.fields["status"] as? String == "rejected")
            #expect((reply.fields["reason"] as? String)?.isEmpty == false)
        }
        #expect(plant.pumpLevels == [false])
    }

    @Test func aStopLeavesNothingBehind() throws {
        let plant = try Plant("sensors: [{ id: a, driver: sim, every: 2ms }]\n\(pump)")
        let sensors = try plant.watch("sensors")
        let replies = try plant.watch("replies")
        let states = try plant.watch("actuators")
        plant.agent.start()
        #expect(try plant.wait { plant.receiving.contains("commands.pi-test") })
        try plant.send(#"{"id":"one","actuator":"pump","value":1}"#)
        #expect(try plant.wait { plant.pumpLevels.last == true })
        // From here on much is under way at any time.
        plant.cluster.set(roundTrip: .milliseconds(100))
        let count = plant.agent.outbox.counters(of: .record).appended
        #expect(try plant.wait { plant.agent.outbox.counters(of: .record).appended > count + 50 })
        #expect(!plant.agent.outbox.isEmpty)
        var left: Int?
        plant.agent.stop { left = $0 }
        // The actuators do not wait for the broker.
        #expect(plant.pumpLevels == [false, true, false])
        let appended = plant.agent.outbox.counters(of: .record).appended
        #expect(try plant.wait { left != nil })
        #expect(left == 0)
        #expect(plant.agent.outbox.isEmpty)
        let counters = plant.agent.outbox.counters(of: .record)
        #expect(counters.appended == appended)
        #expect(counters.acknowledged == appended)
        #expect(counters.failed + counters.dropped + counters.refused + counters.oversized == 0)
        // The actuator's state at the start, on, and off at the stop.
        #expect(
            try plant.wait {
                sensors.records.count == Int(appended) && states.records.count == 3 && replies.records.count == 1
            })
        #expect(states.records.map { $0.fields["cause"] as? String } == ["start", "command", "stop"])
        #expect(states.records.allSatisfy { $0.key == "pi-test/pump" })
        #expect(sensors.isEveryIDThereOnce)
        #expect(plant.agent.status.contains("\(appended) acknowledged, 0 failed, 0 dropped, 0 waiting"))
        #expect(plant.agent.status.hasSuffix(", 1 commands: 1 done"))
    }

    @Test func aStopWithoutABrokerEnds() throws {
        let plant = try Plant("sensors: [{ id: a, driver: sim, every: 10ms }]\nstop_within: 300ms\n\(pump)") {
            $1.set(isUp: false)
        }
        plant.agent.start()
        #expect(try plant.wait { plant.agent.outbox.pendingCount >= 10 })
        // The pump's state is said anew at the next start.
        let owed = plant.agent.outbox.pendingCount - 1
        #expect(try plant.stop() == owed)
        #expect(!plant.pumpLevels.isEmpty && plant.pumpLevels.allSatisfy { $0 == false })
    }

    /// States are in memory only, and each start publishes them anew: they are neither waited for nor lost.
    @Test func aStopWithNothingButStatesLosesNothing() throws {
        let plant = try Plant("stop_within: 1h\n\(pump)") { $1.set(isUp: false) }
        plant.agent.start()
        #expect(plant.agent.outbox.pendingCount == 1)
        #expect(plant.agent.unstoredCount == 0)
        #expect(try plant.stop() == 0)
        #expect(plant.lines("sending the last").isEmpty)
        #expect(plant.agent.status.contains(", 0 waiting"))
    }

    @Test func anActuatorWhoseLineSomebodyHoldsIsWaitedFor() throws {
        let plant = try Plant("sensors: [{ id: a, driver: sim, every: 20ms }]\n\(pump)") { hardware, _ in
            try hardware.simulatedGPIO.occupy(Plant.pump, by: "somebody")
        }
        #expect(plant.pumpLevels.isEmpty)
        #expect(!plant.lines("GPIO gpiochip0 27: in use by \"somebody\"").isEmpty)
        let sensors = try plant.watch("sensors")
        let replies = try plant.watch("replies")
        plant.agent.start()
        #expect(try plant.wait { plant.receiving.contains("commands.pi-test") && !sensors.records.isEmpty })
        try plant.send(#"{"id":"one","actuator":"pump","value":1}"#)
        #expect(try plant.wait { replies.records.count == 1 })
        #expect(replies.records[0].fields["status"] as? String == "failed")
        #expect((replies.records[0].fields["reason"] as? String)?.contains("in use by \"somebody\"") == true)
        try plant.hardware.simulatedGPIO.occupy(Plant.pump, by: nil)
        // Nobody needs to ask for that.
        #expect(try plant.wait { plant.pumpLevels == [false] || plant.pumpLevels == [false, false] })
        try plant.send(#"{"id":"two","actuator":"pump","value":1}"#)
        #expect(try plant.wait { replies.records.count == 2 })
        #expect(replies.records[1].fields["status"] as? String == "done")
        #expect(plant.pumpLevels.last == true)
    }

    @Test func propertiesThatLibrdkafkaRefusesEndTheStart() throws {
        // Each is right by itself; only together they are not, which no check of one property can tell.
        #expect(throws: AgentError.self) { try Plant("", producer: ", acks: 1, enable.idempotence: true") }
    }
}
