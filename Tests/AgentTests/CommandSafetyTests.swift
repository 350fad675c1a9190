import Actuators
import Agent
import Foundation
import Hardware
import Kafka
import Platform
import TestSupport
import Testing

/// The command path with a real consumer, a real file and the loop's own clock.
@Suite struct CommandSafetyTests {
    private let pump = "actuators: [{ id: pump, driver: gpio, line: 27 }]"

    @Test func aRestartRemembersItsCommands() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).db").path
        defer { for ending in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + ending) } }
        let configuration = "\(pump)\ncommands: { path: \(path) }"
        let command = #"{"id":"one","actuator":"pump","value":1}"#
        for round in 0..<2 {
            let plant = try Plant(configuration)
            let replies = try plant.watch("replies")
            plant.agent.start()
            #expect(try plant.wait { plant.receiving.contains("commands.pi-test") })
            try plant.send(command)
            #expect(try plant.wait { replies.records.count == 1 })
            #expect(replies.records.first?.fields["status"] as? String == (round == 0 ? "done" : "duplicate"))
            if round == 1 {
                let first = replies.records.first?.fields["first"] as? [String: Any]
                #expect(first?["status"] as? String == "done")
                #expect(plant.pumpLevels.allSatisfy { $0 == false })
            }
            #expect(try plant.stop() == 0)
        }
    }

    /// More than wait for the disk at a time, as fast as they can be sent.
    @Test func aBurstIsDone() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).db").path
        defer { for ending in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + ending) } }
        let plant = try Plant("\(pump)\ncommands: { path: \(path) }")
        let replies = try plant.watch("replies")
        plant.agent.start()
        #expect(try plant.wait { plant.receiving.contains("commands.pi-test") })
        for index in 0..<1_000 { try plant.send(#"{"id":"\#(index)","actuator":"pump","value":\#(index % 2)}"#) }
        #expect(try plant.wait { replies.records.count == 1_000 })
        #expect(replies.records.allSatisfy { $0.fields["status"] as? String == "done" })
        #expect(try plant.stop() == 0)
    }

    /// The brokers take no replies, and the process ends: what it has refused, nobody else would ever answer.
    @Test func aRefusalThatNobodyHasHeardIsAnsweredByTheNextStart() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).db").path
        defer {
            for ending in ["", "-wal", "-shm", ".lock"] { try? FileManager.default.removeItem(atPath: path + ending) }
        }
        let plant = try Plant("\(pump)\ncommands: { path: \(path) }")
        plant.agent.start()
        #expect(try plant.wait { plant.receiving.contains("commands.pi-test") })
        plant.cluster.setLeader(of: "replies", broker: nil)
        try plant.send("garbage")
        // Its claim is on the disk, and its offset behind the other.
        try plant.send(#"{"id":"one","actuator":"pump","value":1}"#)
        #expect(try plant.wait { plant.pumpLevels.last == true })
        try plant.crash { plant.cluster.setLeader(of: "replies", broker: 1) }
        let replies = try plant.watch("replies")
        plant.agent.start()
        #expect(try plant.wait { replies.records.contains { $0.key == "commands.pi-test/0/0" } })
        #expect(try plant.wait { replies.records.contains { $0.key == "one" } })
        #expect(plant.pumpLevels.allSatisfy { $0 == false })
        #expect(try plant.stop() == 0)
    }

    /// More refusals than there is room for, and then the brokers take replies again.
    @Test func refusalsThatFoundNoRoomAreAnsweredInTheEnd() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).db").path
        defer {
            for ending in ["", "-wal", "-shm", ".lock"] { try? FileManager.default.removeItem(atPath: path + ending) }
        }
        let plant = try Plant("\(pump)\ncommands: { path: \(path) }\noutbox: { max_memory: 128kB }")
        let replies = try plant.watch("replies")
        plant.agent.start()
        #expect(try plant.wait { plant.receiving.contains("commands.pi-test") })
        plant.cluster.setLeader(of: "replies", broker: nil)
        for index in 0..<500 { try plant.send("garbage \(index)") }
        try plant.send(#"{"id":"one","actuator":"pump","value":1}"#)
        #expect(try plant.wait { plant.pumpLevels.last == true })
        plant.cluster.setLeader(of: "replies", broker: 1)
        let wanted = Set((0..<500).map { "commands.pi-test/0/\($0)" } + ["one"])
        #expect(try plant.wait { Set(replies.records.map { $0.key }) == wanted })
        #expect(!plant.lines("are read again").isEmpty)
        #expect(plant.pumpLevels.filter { $0 == true }.count == 1)
        #expect(try plant.stop() == 0)
    }

    /// The outbox is in memory only, so it is the claims' file that keeps the second one off, before it touches an output.
    @Test func aSecondAgentOnTheSameFileIsRefused() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).db").path
        defer {
            for ending in ["", "-wal", "-shm", ".lock"] { try? FileManager.default.removeItem(atPath: path + ending) }
        }
        let configuration = "\(pump)\ncommands: { path: \(path) }"
        let plant = try Plant(configuration)
        var hardware: SimulatedHardware?
        do {
            _ = try Plant(configuration) { made, _ in hardware = made }
            Issue.record("it was let in")
        } catch let error as AgentError {
            #expect(error.description.hasPrefix("\(path): lock: another agent has it; stop that one, or give"))
        }
        #expect((try? hardware?.simulatedGPIO.history(Plant.pump).isEmpty) != false)
        plant.agent.start()
        #expect(try plant.stop() == 0)
    }

    @Test func statesAreTold() throws {
        let plant = try Plant(pump)
        let states = try plant.watch("actuators")
        let replies = try plant.watch("replies")
        plant.agent.start()
        #expect(try plant.wait { plant.receiving.contains("commands.pi-test") })
        try plant.send(#"{"id":"q","actuator":"*","query":true}"#)
        #expect(try plant.wait { states.records.count == 2 && replies.records.count == 1 })
        #expect(states.records.allSatisfy { $0.key == "pi-test/pump" && $0.fields["cause"] as? String == "start" })
        _ = try plant.stop()
    }

    @Test func theHeartbeatBeats() throws {
        let plant = try Plant("\(pump)\nheartbeat: { line: 4, period: 20ms }")
        let line = LineReference(chip: nil, line: .offset(4))
        #expect(try plant.wait { ((try? plant.hardware.simulatedGPIO.history(line))?.count ?? 0) > 6 })
        let levels = try plant.hardware.simulatedGPIO.history(line).compactMap { $0.high }
        #expect(levels.first == false)
        for index in 1..<levels.count { #expect(levels[index] != levels[index - 1]) }
        _ = try plant.stop()
        let count = try plant.hardware.simulatedGPIO.history(line).count
        try plant.loop.turn(for: .milliseconds(60))
        #expect(try plant.hardware.simulatedGPIO.history(line).count == count)
    }

    @Test func theHeartbeatPausesWhileAnActuatorIsOutOfHand() throws {
        let plant = try Plant("\(pump)\nheartbeat: { line: 4, period: 20ms }") { hardware, _ in
            try hardware.simulatedGPIO.occupy(Plant.pump, by: "somebody")
        }
        let line = LineReference(chip: nil, line: .offset(4))
        try plant.loop.turn(for: .milliseconds(60))
        #expect((try? plant.hardware.simulatedGPIO.history(line)) ?? [] == [])
        _ = try plant.stop()
    }

    /// An output that takes its time is waited for, so that nothing is left on.
    @Test func aStopWaitsForTheSafeValue() throws {
        let plant = try Plant("actuators: [{ id: valve, driver: sim, latency: 300ms }]")
        let replies = try plant.watch("replies")
        plant.agent.start()
        #expect(try plant.wait { plant.receiving.contains("commands.pi-test") })
        try plant.send(#"{"id":"one","actuator":"valve","value":1}"#)
        #expect(try plant.wait { replies.records.count == 1 })
        #expect(!plant.agent.actuators[0].isSafe)
        #expect(try plant.stop() == 0)
        #expect(plant.agent.actuators[0].isSafe)
    }

    @Test func withoutABrokerActuatorsGoToTheirSafeValues() throws {
        let plant = try Plant("\(pump)\ncommands: { on_disconnect: { after: 100ms } }")
        let replies = try plant.watch("replies")
        plant.agent.start()
        #expect(try plant.wait { plant.receiving.contains("commands.pi-test") })
        try plant.send(#"{"id":"one","actuator":"pump","value":1}"#)
        #expect(try plant.wait { replies.records.count == 1 })
        #expect(plant.pumpLevels.last == true)
        plant.cluster.set(isUp: false)
        #expect(try plant.wait { plant.pumpLevels.last == false })
        #expect(plant.agent.actuators[0].cause.description == "the brokers are away (on_disconnect)")
        plant.cluster.set(isUp: true)
        try plant.send(#"{"id":"two","actuator":"pump","value":1}"#)
        #expect(try plant.wait { plant.pumpLevels.last == true })
    }
}
