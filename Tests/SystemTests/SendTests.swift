import Foundation
import Testing

/// A reply as a sender reads it.
private struct Answer: Decodable {
    let id: String
    let node: String?
    let actuator: String?
    let status: String
}

private func answers(_ result: (code: Int32, output: [String], errors: [String])) -> [Answer] {
    result.output.compactMap { try? JSONDecoder().decode(Answer.self, from: Data($0.utf8)) }
}

/// `kedge send` and `kedge keygen` against agents and a broker in processes of their own.
@Suite(.serialized) struct SendTests {
    /// A broker and nodes with an actuator `fan`.
    private final class Plant {
        let broker: BrokerProcess
        let folder: TemporaryFolder
        private var agents: [KedgeProcess] = []

        init(nodes: [String], commands: String = "") throws {
            broker = try BrokerProcess("-n", "3", "--topic", "commands")
            folder = try TemporaryFolder()
            for node in nodes {
                let file = try folder.file(
                    "\(node).yaml",
                    """
                    node: \(node)
                    clock: trust
                    kafka: { all: { bootstrap.servers: "\(broker.bootstrap)" } }
                    actuators:
                      - { id: fan, driver: sim, min: 0, max: 100, safe: 0 }
                    commands: { topics: [commands], \(commands) }
                    """)
                agents.append(try KedgeProcess(["run", file]))
            }
            for agent in agents { try agent.errorLine(with: "taking commands from commands") }
        }

        func send(_ arguments: String..., input: String? = nil) throws -> (
            code: Int32, output: [String], errors: [String]
        ) {
            var source: Any = FileHandle.nullDevice
            if let input {
                let file = try folder.file("input-\(UUID().uuidString)", input)
                source = try #require(FileHandle(forReadingAtPath: file))
            }
            let process = try KedgeProcess(
                ["send", "-b", broker.bootstrap, "--timeout", "60s"] + arguments, input: source)
            let code = try process.exitCode()
            return (code, process.outputLines, process.errorLines)
        }
    }

    @Test func manyCommandsFromStandardInput() throws {
        let plant = try Plant(nodes: ["pi-1"])
        var input = ""
        for number in 0..<600 {
            input += "{\"id\":\"c\(number)\",\"actuator\":\"fan\",\"value\":\(number % 101)}\n"
        }
        let many = try plant.send(input: input)
        #expect(many.code == 0, "\(many.errors)")
        #expect(Set(answers(many).map(\.id)) == Set((0..<600).map { "c\($0)" }))
        #expect(answers(many).allSatisfy { $0.status == "done" })
        #expect(many.errors == ["600 commands: 600 done, 0 not, 0 without a reply"])

        let mixed = try plant.send(
            "--json",
            input:
                "{\"actuator\":\"fan\",\"value\":1}\n\n  \n{\"actuator\":\"fan\"}\nnonsense\n{\"id\":\"x\",\"actuator\":\"fan\",\"value\":101}"
        )
        #expect(mixed.code == 1)
        #expect(answers(mixed).map(\.status).sorted() == ["done", "rejected"])
        #expect(mixed.errors.count == 2)
        #expect(mixed.errors.first?.contains("line 4: value is missing") == true)
        #expect(mixed.errors.last?.contains("line 5: ") == true)

        let nothing = try plant.send(input: "")
        #expect(nothing.code == 0)
        #expect(nothing.output.isEmpty)
    }

    @Test func linesOfAPipeAreSentAsTheyCome() throws {
        let plant = try Plant(nodes: ["pi-1"])
        let pipe = Pipe()
        let process = try KedgeProcess(
            ["send", "--json", "-b", plant.broker.bootstrap, "--timeout", "60s"], input: pipe)
        for number in 0..<3 {
            let line = "{\"id\":\"p\(number)\",\"actuator\":\"fan\",\"value\":\(number)}\n"
            pipe.fileHandleForWriting.write(Data(line.utf8))
            #expect(try process.outputLine(with: "\"id\":\"p\(number)\"").contains("\"status\":\"done\""))
        }
        try pipe.fileHandleForWriting.close()
        #expect(try process.exitCode() == 0)
    }

    @Test func aBroadcastIsAnsweredByEveryNode() throws {
        let plant = try Plant(nodes: ["pi-1", "pi-2"])
        let all = try plant.send("fan", "10", "--expect", "2")
        #expect(all.code == 0, "\(all.errors)")
        #expect(answers(all).compactMap(\.node).sorted() == ["pi-1", "pi-2"])
        let missing = try plant.send("fan", "10", "--expect", "3", "--timeout", "3s")
        #expect(missing.code == 69)
        #expect(answers(missing).count == 2)
        let told = missing.errors.first { $0.contains("1 of 3 replies are missing") } ?? ""
        #expect(told.contains(": answered by pi-") && told.contains("pi-1") && told.contains("pi-2"), "\(told)")
        #expect(!told.contains("nobody"))
        let none = try plant.send("fan", "10", "--topic", "nobody", "--timeout", "1s")
        #expect(none.code == 69)
        #expect(none.errors.contains { $0.hasPrefix("error: no reply to ") && $0.contains(" within 1s: ") })
    }

    /// With keys of their own they would be spread over the partitions, and overtake each other.
    @Test func commandsOfOneTopicAreOfOnePartition() throws {
        let plant = try Plant(nodes: ["pi-1"])
        let input = (0..<20).map { "{\"id\":\"c\($0)\",\"actuator\":\"fan\",\"value\":\($0)}" }
        #expect(try plant.send(input: input.joined(separator: "\n")).code == 0)
        #expect(try plant.send("fan", "1").code == 0)
        #expect(try plant.send("*", "--safe").code == 0)
        let watch = try KedgeProcess.run(
            "watch", "commands", "--json", "--from", "beginning", "-n", "22", "-b", plant.broker.bootstrap)
        #expect(watch.code == 0)
        let messages = try watch.output.map { try JSONDecoder().decode(Message.self, from: Data($0.utf8)) }
        #expect(messages.count == 22)
        #expect(Set(messages.map(\.partition)).count == 1)
        #expect(Set(messages.map(\.key)) == ["commands"])
        let ids = messages.compactMap { try? JSONDecoder().decode(Identified.self, from: Data($0.value.utf8)).id }
        #expect(ids.prefix(20) == (0..<20).map { "c\($0)" }[...])
    }

    private struct Message: Decodable {
        let partition: Int
        let key: String
        let value: String
    }

    private struct Identified: Decodable {
        let id: String
    }

    /// Who was told that nobody answered must not see the actuator switched on after all.
    @Test func whatWasGivenUpIsNotSentLater() throws {
        let port = String(try freePort())
        let arguments = ["--port", port, "--topic", "commands", "--topic", "replies"]
        var broker = try KedgeProcess(["broker"] + arguments)
        try broker.outputLine(with: "bootstrap.servers=")
        let pipe = Pipe()
        let sender = try KedgeProcess(
            [
                "send", "-b", "127.0.0.1:" + port, "--timeout", "4s", "-X", "reconnect.backoff.ms=50", "-X",
                "reconnect.backoff.max.ms=200",
            ], input: pipe)
        func give(_ id: String) throws -> String {
            let line = "{\"id\":\"\(id)\",\"actuator\":\"fan\",\"value\":1}\n"
            pipe.fileHandleForWriting.write(Data(line.utf8))
            return try sender.errorLine(with: "no reply to \(id) within 4s: ")
        }
        #expect(try give("g1").hasSuffix(": the command is on commands, nobody has answered"))
        // One that has it, and does not answer.
        broker.signal(SIGSTOP)
        try broker.waitUntilStopped()
        let doubtful = try give("g2")
        #expect(doubtful.contains(": no broker has acknowledged the command; it may yet be carried out"), "\(doubtful)")
        broker.signal(SIGKILL)
        _ = try broker.exitCode()
        let lost = try give("g3")
        #expect(lost.contains(": the command did not reach commands: "), "\(lost)")
        #expect(!lost.contains("carried out"))
        broker = try KedgeProcess(["broker"] + arguments)
        try broker.outputLine(with: "bootstrap.servers=")
        // It may take its time to find the broker again.
        var found = ""
        for number in 4..<20 where !found.hasSuffix("nobody has answered") { found = try give("g\(number)") }
        #expect(found.hasSuffix("nobody has answered"))
        let watch = try KedgeProcess.run(
            "watch", "commands", "--from", "beginning", "--for", "3s", "-b", "127.0.0.1:" + port)
        #expect(!watch.output.isEmpty)
        #expect(watch.output.allSatisfy { !$0.contains("g2") && !$0.contains("g3") }, "\(watch.output)")
        sender.signal(SIGTERM)
    }

    @Test func signedCommands() throws {
        let folder = try TemporaryFolder()
        let shared = folder.path + "/ops.key"
        let pair = folder.path + "/app"
        #expect(try KedgeProcess.run("keygen", "--id", "ops-1", shared).code == 0)
        #expect(try KedgeProcess.run("keygen", "--type", "ed25519", pair).code == 0)
        // Neither is overwritten.
        for arguments in [["keygen", shared], ["keygen", "--type", "ed25519", pair]] {
            let process = try KedgeProcess(arguments)
            #expect(try process.exitCode() == 1)
            #expect(process.errorLines.contains { $0.contains("exists") || $0.contains("is there already") })
        }
        let line = try KedgeProcess.run("keygen", "--id", "ops-2")
        #expect(line.output.count == 1 && line.output[0].hasPrefix("ops-2 "))
        let plant = try Plant(
            nodes: ["pi-1"], commands: "key_file: \"\(shared)\", public_key_file: \"\(pair).pub\"")
        for key in [shared, pair] {
            let sent = try plant.send("fan", "20", "--key-file", key)
            #expect(sent.code == 0, "\(sent.output) \(sent.errors)")
        }
        let lines = try plant.send("-k", pair, input: "{\"actuator\":\"fan\",\"value\":30}\n")
        #expect(lines.code == 0, "\(lines.output) \(lines.errors)")
        let open = try plant.send("fan", "99")
        #expect(open.code == 1)
        #expect(open.output.contains { $0.contains("the command is not signed") })
        let other = folder.path + "/other.key"
        #expect(try KedgeProcess.run("keygen", "--id", "ops-1", other).code == 0)
        let wrong = try plant.send("fan", "99", "--key-file", other)
        #expect(wrong.code == 1)
        #expect(wrong.output.contains { $0.contains("the signature is wrong") })
        let asked = try plant.send("fan", "--query", "--key-file", shared)
        #expect(asked.code == 0)
        #expect(asked.output.contains { $0.contains("\"value\":30") })
        let safe = try plant.send("*", "--safe", "--key-file", pair)
        #expect(safe.code == 0, "\(safe.output)")
        let unknown = try plant.send("fan", "20", "--key-file", shared, "--key-id", "ops-9")
        #expect(unknown.code == 78)
        #expect(unknown.errors.contains { $0.contains("no key \"ops-9\" in it") })
    }
}
