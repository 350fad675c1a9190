import Agent
import Dispatch
import Hardware
import Platform
import Testing

/// A bus whose transfer never comes back, as when a controller's driver waits for an interrupt that is lost.
@Suite struct HungBusTests {
    @Test func itDelaysNoOtherBusNoEdgeNoCommandAndNoStop() throws {
        let release = DispatchSemaphore(value: 0)
        let hung = DispatchSemaphore(value: 0)
        defer { release.signal() }
        let plant = try Plant(
            """
            sensors:
              - { id: stuck, driver: bme280, bus: i2c-9, every: 20ms }
              - { id: behind, driver: bmp280, bus: i2c-9, address: 0x77, every: 20ms }
              - { id: greenhouse, driver: bme280, bus: i2c-1, every: 20ms }
              - { id: door, driver: gpio, line: 17, edges: both }
            actuators: [{ id: pump, driver: gpio, line: 27 }]
            """
        ) { hardware, _ in
            hardware.bus("i2c-1").attach(SimulatedBME280(time: SystemTime()), at: 0x76)
            let bus = hardware.bus("i2c-9")
            bus.wait = { _ in
                hung.signal()
                release.wait()
                // What waits behind it goes through without hanging again.
                release.signal()
            }
        }
        let sensors = try plant.watch("sensors")
        let replies = try plant.watch("replies")
        plant.agent.start()
        #expect(try plant.wait { hung.wait(timeout: .now()) == .success })
        // The other bus goes on …
        let before = sensors.records(of: "greenhouse.humidity").count
        #expect(try plant.wait { sensors.records(of: "greenhouse.humidity").count >= before + 50 })
        // … so do edges …
        for level in [true, false] {
            let count = sensors.records(of: "door").count
            try plant.hardware.simulatedGPIO.set(Plant.door, active: level)
            #expect(try plant.wait { sensors.records(of: "door").count > count })
        }
        // … and commands.
        #expect(try plant.wait { plant.receiving.contains("commands.pi-test") })
        try plant.send(#"{"id":"one","actuator":"pump","value":1}"#)
        #expect(try plant.wait { replies.records.count == 1 })
        #expect(replies.records.first?.fields["status"] as? String == "done")
        // Both sensors of the bus say that they have no values, once.
        #expect(
            try plant.wait {
                sensors.records(of: "stuck.humidity").count == 1 && sensors.records(of: "behind.pressure").count == 1
            })
        for id in ["stuck.humidity", "behind.pressure"] {
            #expect(sensors.records(of: id).first?.fields["quality"] as? String == "bad")
            #expect(sensors.records(of: id).first?.fields["reason"] as? String == "timeout")
        }
        #expect(plant.lines("no answer within").count == 2)
        let count = sensors.records(of: "greenhouse.humidity").count
        #expect(try plant.wait { sensors.records(of: "greenhouse.humidity").count >= count + 20 })
        #expect(plant.lines("no answer within").count == 2)
        // The stop does not wait for it either.
        #expect(try plant.stop() == 0)
    }
}
