import Foundation
import Platform
import Records
import Storage
import TestSupport
import Testing

@testable import Outbox

/// A folder of its own for a test, which goes with it.
final class Folder {
    let path: String

    init() {
        // In memory where there is such a place: these tests are about what is written, not about how long it takes.
        let memory = "/dev/shm"
        let parent =
            FileManager.default.isWritableFile(atPath: memory)
            ? memory : FileManager.default.temporaryDirectory.path
        path = "\(parent)/kedge-\(UUID().uuidString)"
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }
    var names: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }
    func bytes(_ name: String) -> [UInt8]? { FileManager.default.contents(atPath: file(name)).map { Array($0) } }
}

/// A work queue whose jobs run when a test says so, on the test's own thread.
final class StepQueue: WorkQueue {
    private var waiting: [(job: () -> Void, completion: () -> Void)] = []
    private var done: [() -> Void] = []
    var pending: Int { waiting.count + done.count }
    private(set) var jobs = 0

    func perform(_ job: @escaping () -> Void, completion: @escaping () -> Void) {
        waiting.append((job, completion))
    }

    /// Runs one job, not its completion.
    func runJob() {
        guard !waiting.isEmpty else { return }
        let next = waiting.removeFirst()
        next.job()
        jobs += 1
        done.append(next.completion)
    }

    /// What waits is not done any more, as when the process ends.
    func abandon() {
        waiting = []
        done = []
    }

    func complete() {
        let completions = done
        done = []
        for completion in completions { completion() }
    }

    /// Runs jobs and completions until there are none, which includes those that completions ask for.
    func run() {
        // A bound keeps a defect from hanging the test.
        var turns = 0
        while pending > 0, turns < 100_000 {
            runJob()
            complete()
            turns += 1
        }
    }
}

final class FakeTopics: TopicDirectory {
    var names = ["sensors", "other", "third"]
    func topicName(_ topic: TopicID) -> String? { names.indices.contains(topic.index) ? names[topic.index] : nil }
    func topicID(_ name: String) -> TopicID? { names.firstIndex(of: name).map { TopicID($0) } }
}

/// An outbox with a disk and everything around it. `stop` and `crash` end it; a new one on the same folder is the next start.
final class DiskBench {
    let folder: Folder
    let transport = FakeTransport()
    let loop = ManualLoop()
    let lines = LogRecorder()
    let queue = StepQueue()
    let topics = FakeTopics()
    let outbox: Outbox
    var path: String { folder.file("outbox.db") }

    init(
        _ folder: Folder = Folder(), boot: String = "b1", room: Int = .max, opens: Bool = true,
        fileSystem: String? = nil,
        _ change: (inout OutboxSettings) -> Void = { _ in }
    ) {
        self.folder = folder
        transport.room = room
        var settings = OutboxSettings(durability: .spill)
        settings.maxMemory = 1_000_000
        settings.drainRate = 0
        settings.gapTimestamp = .millis
        change(&settings)
        outbox = Outbox(
            settings: settings, node: "pi", boot: boot, transport: transport,
            disk: Disk(
                path: folder.file("outbox.db"), maxSize: settings.maxSize, queue: queue, topics: topics,
                fileSystem: fileSystem), loop: loop, log: lines.log)
        if opens { queue.run() }
    }

    deinit { queue.abandon() }

    @discardableResult
    func append(
        _ text: String, key: String = "k", topic: Int = 0, lane: Outbox.Lane = .record, _ durability: Durability? = nil
    ) -> Bool {
        Array(key.utf8).withUnsafeBytes { key in
            outbox.append(
                topic: TopicID(topic), key: key, lane: lane, durability: durability, maximumBytes: text.utf8.count
            ) { $0.write(utf8: text) }
        }
    }

    func append(_ numbers: Range<Int>, key: String? = nil) {
        for number in numbers { append("\(number)", key: key ?? "k\(number % 5)") }
    }

    func makeRoom(_ room: Int = .max) {
        transport.room = room
        transport.onRoom?()
    }

    /// Lets time pass in steps, and the disk keep up.
    func pass(_ interval: Interval) {
        var left = interval
        while left > .zero {
            loop.advance(by: min(left, .milliseconds(100)))
            left = left - .milliseconds(100)
            queue.run()
        }
    }

    /// Delivers everything, also what is read back meanwhile.
    func deliverAll() {
        makeRoom()
        for _ in 0..<100_000 {
            queue.run()
            if transport.held.isEmpty { loop.advance(by: .milliseconds(100)) }
            queue.run()
            if transport.held.isEmpty, (outbox.diskStatus?.records ?? 0) == 0 || outbox.disk?.backlog.isEmpty == true {
                break
            }
            transport.deliverAll()
        }
        pass(.seconds(2))
    }

    func stop() {
        var isDone = false
        outbox.store { isDone = true }
        queue.run()
        // A disk that fails is tried again for a while.
        if !isDone { pass(Disk.stopPatience + Disk.stopPause) }
        if !isDone { Issue.record("the outbox did not stop") }
    }

    /// What is in the file now, by an eye of its own.
    func stored() throws -> [String] {
        let file = try OutboxFile.open(path, access: .readOnly)
        var found: [String] = []
        try file.read(from: 0, through: .max) { record in
            found.append("\(record.origin)/\(record.sequence) \(String(decoding: record.payload, as: UTF8.self))")
            return true
        }
        return found
    }

    var status: DiskStatus { outbox.diskStatus ?? DiskStatus() }
}
