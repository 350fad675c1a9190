import Foundation
import Testing

/// The outbox's file as a user meets it.
@Suite struct OutboxTests {
    func configuration(_ folder: TemporaryFolder, _ servers: String, _ outbox: String = "") throws -> String {
        try folder.file(
            "kedge.yaml",
            """
            node: pi-01
            stop_within: 1s
            kafka:
              all: { bootstrap.servers: "\(servers)", reconnect.backoff.ms: 100, reconnect.backoff.max.ms: 500 }
              producer: { linger.ms: 20 }
            outbox: { path: \(folder.path)/outbox.db, spill_after: 1s\(outbox) }
            sensors:
              - { id: count, driver: sim, waveform: counter, every: 20ms }
            """)
    }

    private func values(_ lines: [String]) -> [Int] {
        lines.compactMap { line in
            line.range(of: #""value":"#).flatMap { Int(line[$0.upperBound...].prefix { $0.isNumber }) }
        }
    }

    func stat(_ folder: TemporaryFolder) throws -> [String: Any] {
        let result = try KedgeProcess.run("outbox", "stat", "--json", "--path", "\(folder.path)/outbox.db")
        // There is no file yet in the agent's first moments.
        if result.code != 0 { return [:] }
        return try JSONSerialization.jsonObject(with: Data((result.output.first ?? "").utf8)) as? [String: Any] ?? [:]
    }

    /// The promise of `spill`: 0 bytes a record while the broker answers.
    @Test func theDiskIsNotTouchedWhileTheBrokerAnswers() throws {
        let broker = try BrokerProcess()
        let folder = try TemporaryFolder()
        let agent = try KedgeProcess(["run", try configuration(folder, broker.bootstrap, ", durability: spill")])
        let watch = try KedgeProcess(["watch", "sensors", "-b", broker.bootstrap, "--from", "beginning"])
        // Past the time of the first metadata, in which the first records may have had to wait.
        try watch.outputLine(with: #""value":300,"#, within: 60)
        let before = try #require(agent.storageBytes)
        try watch.outputLine(with: #""value":800,"#, within: 120)
        #expect(agent.storageBytes == before)
        #expect(try agent.stop() == 0)
        _ = try watch.stop()
    }

    /// Two starts without a broker, one of them killed, then one with it: everything that was stored arrives, in order.
    @Test func whatWasStoredIsSentByALaterStart() throws {
        let port = try freePort()
        let folder = try TemporaryFolder()
        let file = try configuration(folder, "127.0.0.1:\(port)")
        let first = try KedgeProcess(["run", file])
        try first.errorLine(with: "waiting for")
        #expect(KedgeProcess.wait(within: 30) { ((try? stat(folder))?["records"] as? Int ?? 0) > 20 })
        // Nothing is lost, so the stop is a success.
        #expect(try first.stop() == 0)
        let stopped = try #require(try stat(folder)["records"] as? Int)
        let second = try KedgeProcess(["run", file])
        #expect(KedgeProcess.wait(within: 30) { ((try? stat(folder))?["records"] as? Int ?? 0) > stopped + 20 })
        second.signal(SIGKILL)
        _ = try second.exitCode()
        let left = try #require(try stat(folder)["records"] as? Int)
        let verified = try KedgeProcess.run("outbox", "verify", "--path", "\(folder.path)/outbox.db")
        #expect(verified.code == 0)
        #expect(verified.output.first == "\(left) records are as they were appended")
        let dump = try KedgeProcess.run("outbox", "dump", "--config", file).output
        #expect(dump.count == left)
        #expect(Set(dump.map { $0.split(separator: " ")[1] }).count == left)

        let broker = try BrokerProcess("--port", "\(port)")
        let third = try KedgeProcess(["run", file])
        let watch = try KedgeProcess(["watch", "sensors", "-b", broker.bootstrap, "--from", "beginning"])
        #expect(KedgeProcess.wait(within: 60) { values(watch.outputLines).count > left + 10 })
        #expect(try third.stop() == 0)
        _ = try watch.stop()
        #expect(Array(values(watch.outputLines).prefix(left)) == values(dump))
        // Three starts, each counting from 0.
        #expect(values(watch.outputLines).filter { $0 == 0 }.count == 3)
        let after = try stat(folder)
        #expect(after["records"] as? Int == 0)
        #expect(after["fsyncs"] as? Int ?? 0 > 0)
    }

    @Test func recoverAndDrop() throws {
        let port = try freePort()
        let folder = try TemporaryFolder()
        let agent = try KedgeProcess(["run", try configuration(folder, "127.0.0.1:\(port)", ", durability: always")])
        #expect(KedgeProcess.wait(within: 30) { ((try? stat(folder))?["records"] as? Int ?? 0) > 20 })
        // It would send what it has in memory all the same.
        let refused = try KedgeProcess.run("outbox", "drop", "--yes", "--path", "\(folder.path)/outbox.db")
        #expect(refused.code == 1)
        #expect(refused.output == [])
        #expect(refused.errors.first?.contains("an agent has it") == true, "\(refused.errors)")
        #expect(try agent.stop() == 0)
        let left = try #require(try stat(folder)["records"] as? Int)
        #expect(left > 20)
        let recover = try KedgeProcess.run(
            "outbox", "recover", "--path", "\(folder.path)/outbox.db", "--to", "\(folder.path)/new.db", "--json")
        #expect(recover.code == 0)
        #expect(recover.output.first?.contains("\"recovered\":\(left),") == true)
        let drop = try KedgeProcess.run("outbox", "drop", "--yes", "--path", "\(folder.path)/outbox.db")
        #expect(drop.code == 0)
        #expect(drop.output == ["\(left) records dropped"])
        let dropped = try stat(folder)
        #expect(dropped["records"] as? Int == 0)
        #expect(dropped["gaps"] as? Bool == true)
        let missing = try KedgeProcess.run("outbox", "stat", "--path", "\(folder.path)/none.db")
        #expect(missing.code == 1)
        #expect(missing.errors.first?.contains("No such file or directory") == true)
    }

    /// As a kill leaves it that came while the file was being made.
    @Test(arguments: ["stat", "verify", "dump"])
    func aFileThatWasNeverFinishedHasNothingInIt(_ action: String) throws {
        let folder = try TemporaryFolder()
        let path = try folder.file("outbox.db", "")
        let look = try KedgeProcess.run("outbox", action, "--path", path)
        #expect(look.code == 0)
        #expect(look.output.isEmpty)
        #expect(look.errors == ["\(path): open: nothing is in it yet: the agent ended while it made it (SQLite 16)"])
    }
}
