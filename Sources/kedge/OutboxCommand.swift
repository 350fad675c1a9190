import Agent
import CShim
import Configuration
import Outbox
import Platform
import Records
import Storage

extension Subcommand {
    static var outbox: Subcommand {
        Subcommand(
            name: "outbox", summary: "look at what waits on the disk",
            synopsis: "[options] stat|verify|dump|recover|drop",
            description: """
                stat     how many records wait, what the file takes and what was written to it
                verify   read every record and the database's own structure; what cannot be read
                         is counted, and what is behind it is read all the same
                dump     print every record, one line each, in the order of their positions
                recover  copy what can be read into a new file (--to), as the agent does by
                         itself when it finds the file damaged; the old one is not changed
                drop     delete all records (--yes); they are not sent any more, and the next
                         start of the agent tells consumers how many are missing

                The file is that of CONFIG (--config, /etc/kedge/kedge.yaml) or --path. All but
                drop may be done while the agent runs, and does not hold it up. Exits with 1
                when verify, dump or recover found damage.
                """,
            options: [
                Options.Option("config", "FILE", letter: "c", "the agent's configuration, which names the file"),
                Options.Option("path", "FILE", "the outbox's file"),
                Options.Option("to", "FILE", "recover: the new file, which must not exist"),
                Options.Option(flag: "yes", "drop: really"),
                Options.Option(flag: "json", "print JSON objects"),
            ],
            operands: 1...1,
            examples: """
                kedge outbox stat
                kedge outbox dump --path /var/lib/kedge/outbox.db --json | head
                kedge outbox recover --path outbox.db.damaged-20261121T094748Z --to outbox.db
                """,
            body: runOutbox)
    }

    private static func runOutbox(_ options: Options) -> ExitCode {
        let action = options.operands[0]
        let isRecovery = action.isEqual(to: "recover")
        let isDrop = action.isEqual(to: "drop")
        guard isRecovery || isDrop || contains(["stat", "verify", "dump"], action) else {
            return Subcommand.outbox.wrongUsage(joined("no such action: ", action))
        }
        if isRecovery, options.value("to") == nil { return Subcommand.outbox.wrongUsage("recover needs --to FILE") }
        if isDrop, !options.has("yes") {
            return Subcommand.outbox.wrongUsage("drop deletes every record that waits; say so with --yes")
        }
        var found = options.value("path")
        if found == nil {
            guard let settings = loadConfiguration(options.value("config") ?? defaultConfiguration) else {
                return .configuration
            }
            // The service's manager gives the agent a place for a file that a shell does not know of.
            guard settings.usesDisk || settings.outbox.path.map({ OutboxFile.exists($0) }) ?? false else {
                writeLine("nothing goes to a disk with this configuration (outbox.durability)", to: 2)
                return .failure
            }
            found = settings.outbox.path
        }
        guard let path = found else { return .configuration }
        let look = OutboxLook(path: path, asJSON: options.has("json"))
        do throws(StorageError) {
            if action.isEqual(to: "stat") { return try look.stat() }
            if action.isEqual(to: "verify") { return try look.verify() }
            if isRecovery { return try look.recover(to: options.value("to") ?? "") }
            return try isDrop ? look.drop() : look.dump()
        } catch {
            writeLine(error.description, to: 2)
            if error.isReadOnly || error.isUnopenable, OutboxFile.exists(path + "-wal") {
                writeLine("it has a log: the user that the agent runs as, or root, may open it", to: 2)
            }
            // Nothing was lost, and nothing can be shown.
            if error.code == StorageError.nothing { return .success }
            if error.isDamage { writeLine("it is damaged: kedge outbox recover, or start the agent", to: 2) }
            return .failure
        }
    }
}

/// What `kedge outbox` does with a file.
private struct OutboxLook {
    let path: String
    let asJSON: Bool

    private func open() throws(StorageError) -> OutboxFile { try OutboxFile.openToLook(path) }

    func stat() throws(StorageError) -> ExitCode {
        let file = try open()
        let state = try file.state()
        let oldest = try file.time(of: state.first)
        let newest = try file.time(of: state.last)
        if asJSON {
            var line = joined("{\"path\":", quotedJSON(path), ",\"identity\":", quotedJSON(state.identity))
            line += joined(",\"records\":", decimal(state.count), ",\"first\":", decimal(state.first))
            line += joined(",\"last\":", decimal(state.last), ",\"used\":", decimal(state.usedBytes))
            line += joined(",\"size\":", decimal(state.fileBytes), ",\"written\":", decimal(state.writtenBytes))
            line += joined(",\"fsyncs\":", decimal(state.syncs), ",\"gaps\":", state.hasGaps ? "true" : "false")
            if let oldest, let newest {
                line += joined(",\"oldest\":", oldest.json, ",\"newest\":", newest.json)
            }
            writeLine(line + "}", to: 1)
            return .success
        }
        writeLine(joined("records   ", decimal(state.count)), to: 1)
        if let oldest, let newest {
            writeLine(joined("sampled   ", oldest.json, " to ", newest.json), to: 1)
            writeLine(joined("positions ", decimal(state.first), " to ", decimal(state.last)), to: 1)
        }
        writeLine(
            joined("size      ", decimal(state.usedBytes), " bytes in use, ", decimal(state.fileBytes), " in all"),
            to: 1)
        writeLine(
            joined("written   ", decimal(state.writtenBytes), " bytes, ", decimal(state.syncs), " fsyncs"), to: 1)
        return .success
    }

    func verify() throws(StorageError) -> ExitCode {
        let file = try open()
        let survey = try file.look { _ in }
        let problem = try file.structuralProblem()
        let isSound = survey.isSound && problem == nil
        if asJSON {
            writeLine(
                joined(
                    "{\"path\":", quotedJSON(path), ",\"ok\":", isSound ? "true" : "false", ",\"records\":",
                    decimal(survey.sound), ",\"damaged\":", decimal(survey.damaged), ",\"missing\":",
                    decimal(survey.missing),
                    problem.map { joined(",\"problem\":", quotedJSON($0)) } ?? "", "}"), to: 1)
        } else {
            writeLine(joined(decimal(survey.sound), " records are as they were appended"), to: 1)
            if survey.damaged > 0 { writeLine(joined(decimal(survey.damaged), " records are not"), to: 2) }
            if survey.missing > 0 { writeLine(joined(decimal(survey.missing), " records cannot be read"), to: 2) }
            if let problem { writeLine(joined("the database is damaged: ", problem), to: 2) }
        }
        return isSound ? .success : .failure
    }

    func dump() throws(StorageError) -> ExitCode {
        var isWritten = true
        var lines: [String] = []
        // Only while nothing of the file is held: whoever reads the lines may take long.
        func write() -> Bool {
            // Whoever read it may have seen enough.
            for line in lines where isWritten { isWritten = writeLine(line, to: 1) }
            lines = []
            return isWritten
        }
        let survey = try open().look(pause: write) { lines.append(line(of: $0)) }
        _ = write()
        let lost = survey.damaged + survey.missing
        if lost > 0 { writeLine(joined(decimal(lost), " records cannot be read"), to: 2) }
        return survey.isSound && isWritten ? .success : .failure
    }

    private func line(of record: StoredRecord) -> String {
        let key = String(decoding: record.key, as: UTF8.self)
        let payload = String(decoding: record.payload, as: UTF8.self)
        let id = joined(record.origin, "/", decimal(record.sequence))
        if !asJSON { return joined(decimal(record.position), " ", id, " ", record.topic, " ", key, " ", payload) }
        return joined(
            "{\"position\":", decimal(record.position), ",\"id\":", quotedJSON(id), ",\"topic\":",
            quotedJSON(record.topic), ",\"key\":", quotedJSON(key), ",\"value\":", quotedJSON(payload), "}")
    }

    func recover(to copy: String) throws(StorageError) -> ExitCode {
        guard OutboxFile.exists(path) else {
            writeLine(joined(path, ": no such file"), to: 2)
            return .failure
        }
        guard !OutboxFile.exists(copy) else {
            writeLine(joined(copy, " exists already"), to: 2)
            return .failure
        }
        let recovery = try OutboxFile.recover(path, to: copy)
        if asJSON {
            writeLine(
                joined(
                    "{\"path\":", quotedJSON(path), ",\"to\":", quotedJSON(copy), ",\"recovered\":",
                    decimal(recovery.recovered), ",\"damaged\":", decimal(recovery.damaged), "}"), to: 1)
        } else {
            writeLine(
                joined(
                    decimal(recovery.recovered), " records are in ", copy, "; ", decimal(recovery.damaged),
                    " were not as they had been appended"), to: 1)
        }
        return recovery.damaged == 0 ? .success : .failure
    }

    func drop() throws(StorageError) -> ExitCode {
        let lock: FileLock?
        do throws(StorageError) {
            lock = try FileLock.take(path, setting: "outbox.path", creating: false)
        } catch {
            writeLine(
                joined(path, ": an agent has it, and would send what it has in memory all the same: stop it first"),
                to: 2)
            return .failure
        }
        defer { withExtendedLifetime(lock) {} }
        let count = try OutboxFile.open(path, access: .readWrite).dropAll()
        writeLine(
            asJSON ? joined("{\"dropped\":", decimal(count), "}") : joined(decimal(count), " records dropped"), to: 1)
        return .success
    }
}

extension WallTime {
    /// A JSON string of RFC 3339.
    fileprivate var json: String {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: TimestampFormat.maximumBytes, alignment: 1)
        defer { memory.deallocate() }
        var writer = ByteWriter(memory)
        TimestampFormat.rfc3339.write(self, to: &writer)
        return String(decoding: writer.written, as: UTF8.self)
    }
}
