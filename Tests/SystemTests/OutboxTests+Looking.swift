import Foundation
import Testing

/// `kedge outbox` with a file that is in use, damaged or not to be had.
extension OutboxTests {
    /// Without a broker, so that everything stays; at least so many records.
    private func fill(_ folder: TemporaryFolder, _ count: Int) throws -> KedgeProcess {
        let file = try configuration(folder, "127.0.0.1:1", ", durability: always")
        let text = try String(contentsOfFile: file, encoding: .utf8)
        try text.replacingOccurrences(of: "every: 20ms", with: "every: 2ms")
            .write(toFile: file, atomically: true, encoding: .utf8)
        let agent = try KedgeProcess(["run", file])
        #expect(KedgeProcess.wait(within: 60) { ((try? stat(folder))?["records"] as? Int ?? 0) >= count })
        return agent
    }

    /// A reader's place in the log keeps the agent from ever beginning it anew.
    @Test func aDumpThatNobodyReadsHoldsNothing() throws {
        let folder = try TemporaryFolder()
        // More than the pipe takes.
        let agent = try fill(folder, 2_000)
        let words = KedgeProcess.command + ["outbox", "dump", "--path", "\(folder.path)/outbox.db"]
        let dump = Process()
        dump.executableURL = URL(fileURLWithPath: words[0])
        dump.arguments = Array(words.dropFirst())
        let pipe = Pipe()
        dump.standardOutput = pipe
        try dump.run()
        defer { kill(dump.processIdentifier, SIGKILL) }
        let descriptor = pipe.fileHandleForReading.fileDescriptor
        #expect(
            KedgeProcess.wait(within: 60) {
                var waiting: Int32 = 0
                return ioctl(descriptor, UInt(FIONREAD), &waiting) == 0 && waiting > 60_000
            })
        // A read transaction is a lock on one of these five bytes of the log's index (sqlite.org/walformat.html, section 2.3.1).
        let isFree = KedgeProcess.wait(within: 10) {
            let locks = (try? String(contentsOfFile: "/proc/locks", encoding: .utf8)) ?? ""
            return !locks.split(separator: "\n").contains { line in
                let words = line.split(separator: " ")
                return words.count > 6 && words[4] == "\(dump.processIdentifier)"
                    && (123...127).contains(Int(words[6]) ?? 0)
            }
        }
        #expect(isFree)
        #expect(try agent.stop() == 0)
    }

    /// What is behind the first bad page is there, too, and is to be known.
    @Test func verifyCountsWhatIsBehindABadPage() throws {
        let folder = try TemporaryFolder()
        #expect(try fill(folder, 2_000).stop() == 0)
        let all = try #require(try stat(folder)["records"] as? Int)
        let path = "\(folder.path)/outbox.db"
        let file = try #require(FileHandle(forWritingAtPath: path))
        for page in [12, 30] {
            try file.seek(toOffset: UInt64(page) * 4_096)
            try file.write(contentsOf: [UInt8](repeating: 0, count: 4_096))
        }
        try file.close()
        let verified = try KedgeProcess.run("outbox", "verify", "--path", path)
        #expect(verified.code == 1)
        let words = try #require(verified.output.first).split(separator: " ")
        let sound = try #require(Int(words[0]))
        #expect(sound < all && sound > all * 9 / 10, "\(sound) of \(all)")
        #expect(verified.errors.contains("\(all - sound) records cannot be read"), "\(verified.errors)")
        #expect(verified.errors.contains { $0.hasPrefix("the database is damaged: ") })
        let dump = try KedgeProcess.run("outbox", "dump", "--path", path)
        #expect(dump.code == 1)
        #expect(dump.output.count == sound)
        let recovered = try KedgeProcess.run("outbox", "recover", "--json", "--path", path, "--to", path + ".new")
        #expect(recovered.output.first?.contains("\"recovered\":\(sound),") == true, "\(recovered.output)")
    }

    /// Such files are made where the agent runs, which need not be where its configuration is checked.
    @Test func checkWarnsOfFilesThatCannotBe() throws {
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder.path + "/claims", withIntermediateDirectories: false)
        let file = try folder.file(
            "kedge.yaml",
            """
            node: pi-01
            stop_within: 1s
            kafka: { all: { bootstrap.servers: "127.0.0.1:1" } }
            outbox: { path: \(folder.path)/none/outbox.db, durability: always }
            commands: { path: \(folder.path)/claims }
            sensors: [{ id: a, driver: sim }]
            """)
        let result = try KedgeProcess.run("check", file)
        #expect(result.code == 0)
        #expect(
            result.errors == [
                "warning: \(file):4:17: outbox.path: there is no folder \(folder.path)/none here",
                "warning: \(file):5:19: commands.path: \(folder.path)/claims is a folder here",
            ])
        let json = try KedgeProcess.run("check", "--json", file)
        #expect(json.output.first?.contains("\"warnings\":[{\"line\":4,\"column\":17,") == true, "\(json.output)")
        let agent = try KedgeProcess(["run", file])
        try agent.errorLine(with: "outbox.path: \(folder.path)/none/outbox.db: open: ")
        _ = try agent.stop()
    }
}
