import Foundation
import Synchronization

/// A running kedge, as a user would start it. `KEDGE_COMMAND` (words, split at blanks) names what is run, so that the
/// same tests serve the binary of the desk and the cross-built ones under emulation.
final class KedgeProcess {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Lines of one stream, collected by a thread of its own.
    private final class Lines: Sendable {
        private let state = Mutex<(lines: [String], ended: Bool)>(([], false))

        func collect(from handle: FileHandle) {
            Thread {
                var rest: [UInt8] = []
                while true {
                    let data = handle.availableData
                    if data.isEmpty { break }
                    rest.append(contentsOf: data)
                    var lines: [String] = []
                    var start = 0
                    while let end = rest[start...].firstIndex(of: 10) {
                        lines.append(String(decoding: rest[start..<end], as: UTF8.self))
                        start = end + 1
                    }
                    rest.removeFirst(start)
                    self.state.withLock { $0.lines += lines }
                }
                if !rest.isEmpty {
                    let line = String(decoding: rest, as: UTF8.self)
                    self.state.withLock { $0.lines.append(line) }
                }
                self.state.withLock { $0.ended = true }
            }.start()
        }

        /// The first line from `index` on that holds `text`; `index` then stands behind what was looked at.
        func first(with text: String, from index: inout Int) -> String? {
            let lines = state.withLock { $0.lines[min(index, $0.lines.count)...] }
            index += lines.count
            return lines.first { $0.utf8.count >= text.utf8.count && $0.contains(text) }
        }

        var count: Int { state.withLock { $0.lines.count } }
        var snapshot: (lines: [String], ended: Bool) { state.withLock { $0 } }
    }

    private let process = Process()
    private let output = Lines()
    private let errors = Lines()
    private let name: String

    /// What stands before the arguments.
    static var command: [String] {
        if let words = ProcessInfo.processInfo.environment["KEDGE_COMMAND"], !words.isEmpty {
            return words.split(separator: " ").map(String.init)
        }
        // Beside the test bundle lies the product of the same build.
        let products = Bundle.main.executableURL?.deletingLastPathComponent().path ?? ".build/debug"
        let candidates = [products + "/kedge", FileManager.default.currentDirectoryPath + "/.build/debug/kedge"]
        return [candidates.first { FileManager.default.isExecutableFile(atPath: $0) } ?? candidates[1]]
    }

    /// - Parameters:
    ///   - input: what standard input is; nothing by default.
    ///   - output: where standard output goes instead of to `outputLines`.
    init(
        _ arguments: [String], environment: [String: String] = [:], input: Any = FileHandle.nullDevice,
        output elsewhere: FileHandle? = nil
    ) throws {
        name = arguments.joined(separator: " ")
        let words = Self.command + arguments
        process.executableURL = URL(fileURLWithPath: words[0])
        process.arguments = Array(words.dropFirst())
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let outputPipe = Pipe()
        let errorPipe = Pipe()
        process.standardOutput = elsewhere ?? outputPipe
        process.standardError = errorPipe
        process.standardInput = input
        try process.run()
        if elsewhere != nil { outputPipe.fileHandleForWriting.closeFile() }
        output.collect(from: outputPipe.fileHandleForReading)
        errors.collect(from: errorPipe.fileHandleForReading)
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }

    var identifier: Int32 { process.processIdentifier }
    var outputLines: [String] { output.snapshot.lines }
    var errorLines: [String] { errors.snapshot.lines }
    var outputCount: Int { output.count }

    /// Waits for a line on standard output that holds `text`.
    @discardableResult
    func outputLine(with text: String, within limit: TimeInterval = 60) throws -> String {
        try line(with: text, in: output, within: limit)
    }

    /// Waits for a line on standard error that holds `text`.
    @discardableResult
    func errorLine(with text: String, within limit: TimeInterval = 60) throws -> String {
        try line(with: text, in: errors, within: limit)
    }

    private func line(with text: String, in lines: Lines, within limit: TimeInterval) throws -> String {
        var found: String?
        var ended = false
        var looked = 0
        _ = Self.wait(within: limit) {
            // In this order: the last lines come before the end.
            ended = lines.snapshot.ended
            found = lines.first(with: text, from: &looked)
            return found != nil || ended
        }
        if let found { return found }
        throw Failure(
            description: "kedge \(name): no line with \"\(text)\"\(ended ? ", it has ended" : "") - "
                + "output \(outputLines.suffix(20)), errors \(errorLines.suffix(20))")
    }

    /// Waits until SIGSTOP has arrived: signals take their time.
    func waitUntilStopped() throws {
        let path = "/proc/\(process.processIdentifier)/stat"
        let deadline = Date() + 20
        while Date() < deadline {
            let stat = String(
                decoding: FileHandle(forReadingAtPath: path)?.readDataToEndOfFile() ?? Data(), as: UTF8.self)
            if stat.contains(") T ") { return }
            usleep(1_000)
        }
        throw Failure(description: "\(name) does not stop")
    }

    func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    /// Waits for the end and for the last line.
    /// - Returns: the exit code, or minus the signal that ended it.
    func exitCode(within limit: TimeInterval = 60) throws -> Int32 {
        let ended = Self.wait(within: limit) {
            !self.process.isRunning && self.output.snapshot.ended && self.errors.snapshot.ended
        }
        guard ended else {
            throw Failure(
                description: "kedge \(name) does not end - output \(outputLines.suffix(20)), "
                    + "errors \(errorLines.suffix(20))")
        }
        return process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
    }

    /// Asks for an orderly stop and waits for it.
    func stop(within limit: TimeInterval = 60) throws -> Int32 {
        signal(SIGTERM)
        return try exitCode(within: limit)
    }

    /// The process's peak resident memory in KiB (`VmHWM` of proc(5)).
    var peakMemory: Int? {
        guard let status = try? String(contentsOfFile: "/proc/\(identifier)/status", encoding: .utf8) else {
            return nil
        }
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return line.flatMap { Int($0.filter { $0.isNumber }) }
    }

    /// Bytes that the process has caused to be written to storage (`write_bytes` of /proc/PID/io, proc(5)).
    var storageBytes: Int? {
        guard let io = try? String(contentsOfFile: "/proc/\(identifier)/io", encoding: .utf8) else { return nil }
        let line = io.split(separator: "\n").first { $0.hasPrefix("write_bytes:") }
        return line.flatMap { Int($0.filter { $0.isNumber }) }
    }

    /// Looks at `condition` until it holds. This waits for other processes, whose progress nothing announces.
    static func wait(within limit: TimeInterval, for condition: () -> Bool) -> Bool {
        let end = Date().addingTimeInterval(limit)
        while !condition() {
            if Date() > end { return false }
            usleep(10_000)
        }
        return true
    }

    /// Runs to the end.
    static func run(_ arguments: String..., within limit: TimeInterval = 120) throws -> (
        code: Int32, output: [String], errors: [String]
    ) {
        let process = try KedgeProcess(arguments)
        let code = try process.exitCode(within: limit)
        return (code, process.outputLines, process.errorLines)
    }
}

/// A folder of its own for a test's files.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("kedge-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file and returns its path.
    func file(_ name: String, _ text: String) throws -> String {
        let file = path + "/" + name
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        return file
    }
}
