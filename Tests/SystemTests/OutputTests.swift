import Foundation
import Testing

/// What becomes of a command whose output is not taken.
@Suite struct OutputTests {
    private func onAFullDisk(_ arguments: [String]) throws -> (code: Int32, errors: [String]) {
        let process = try KedgeProcess(arguments, output: FileHandle(forWritingAtPath: "/dev/full"))
        return (try process.exitCode(), process.errorLines)
    }

    private func check(_ result: (code: Int32, errors: [String])) {
        #expect(result.code == 1)
        #expect(
            result.errors.last == "kedge: write standard output: No space left on device (errno 28)",
            "\(result.errors)")
    }

    @Test(arguments: [
        ["--help"], ["--version"], ["scan", "--simulated"], ["scan", "--simulated", "--json"],
        ["demo", "--configuration"], ["broker", "--for", "10ms"], ["check", "--json", "/absent/kedge.yaml"],
    ])
    func outputThatIsLostIsAFailure(arguments: [String]) throws {
        check(try onAFullDisk(arguments))
    }

    private func agent(_ folder: TemporaryFolder, _ servers: String) throws -> (KedgeProcess, file: String) {
        let file = try folder.file(
            "kedge.yaml",
            """
            node: pi-01
            stop_within: 1s
            kafka: { all: { bootstrap.servers: "\(servers)" } }
            outbox: { path: \(folder.path)/outbox.db, durability: always }
            sensors:
              - { id: count, driver: sim, waveform: counter, every: 20ms }
            """)
        return (try KedgeProcess(["run", file]), file)
    }

    @Test func theConfigurationsAndTheOutboxsOutputToo() throws {
        let folder = try TemporaryFolder()
        let (agent, file) = try agent(folder, "127.0.0.1:\(try freePort())")
        try agent.errorLine(with: "waiting for")
        #expect(try agent.stop() == 0)
        for arguments in [
            ["check", file], ["check", "--json", file], ["read", file], ["outbox", "stat", "--config", file],
            ["outbox", "stat", "--json", "--config", file], ["outbox", "verify", "--config", file],
            ["outbox", "dump", "--config", file],
        ] {
            check(try onAFullDisk(arguments))
        }
    }

    /// It counted on, as if the records had been printed.
    @Test func watchEndsWhenItsOutputIsNotTaken() throws {
        let broker = try BrokerProcess()
        let folder = try TemporaryFolder()
        let (agent, _) = try agent(folder, broker.bootstrap)
        let watch = ["watch", "sensors", "-b", broker.bootstrap, "--from", "beginning"]
        check(try onAFullDisk(watch + ["-n", "3"]))
        check(try onAFullDisk(watch + ["-n", "100000000", "--json"]))
        // Whoever closes a pipe has seen enough.
        let pipe = Pipe()
        pipe.fileHandleForReading.closeFile()
        let process = try KedgeProcess(watch + ["-n", "100000000"], output: pipe.fileHandleForWriting)
        #expect(try process.exitCode() == 0)
        #expect(!process.errorLines.contains { $0.contains("standard output") })
        #expect(try agent.stop() == 0)
    }
}
