import Actuators
import Agent
import Hardware
import Platform
import Testing

/// What the end must not leave behind: an actuator that is on.
@Suite struct StopTests {
    private func switchedOn(_ actuator: String) throws -> Plant {
        let plant = try Plant(
            """
            actuators: [\(actuator)]
            """)
        let replies = try plant.watch("replies")
        plant.agent.start()
        #expect(try plant.wait { plant.receiving.contains("commands.pi-test") })
        try plant.send(#"{"id":"one","actuator":"pump","value":1}"#)
        #expect(try plant.wait { replies.records.count == 1 })
        #expect(replies.records.first?.fields["status"] as? String == "done")
        return plant
    }

    /// With this seed the first write succeeds, the second fails, and the third succeeds.
    @Test func aFailureAtTheStopIsTriedAgain() throws {
        let plant = try switchedOn("{ id: pump, driver: sim, failure_rate: 0.5, seed: 13 }")
        #expect(try plant.stop() == 0)
        #expect(plant.lines("cannot go to the safe value").count == 1)
        #expect(plant.agent.actuators[0].isSafe)
    }

    /// Leaving the consumers' group takes its time; the pump does not run on meanwhile.
    @Test func actuatorsAreSafeBeforeTheClientsAreEnded() throws {
        let plant = try switchedOn("{ id: pump, driver: gpio, line: 27 }")
        let time = SystemTime()
        var safe: Instant?
        plant.agent.actuators[0].onChange = { _, _, _ in safe = time.now }
        let begun = time.now
        plant.agent.stop { _ in }
        let returned = time.now
        // The order of the two, not how long they take.
        let end = try #require(safe)
        #expect(end - begun < returned - end)
        plant.agent.actuators[0].onChange = nil
    }
}
