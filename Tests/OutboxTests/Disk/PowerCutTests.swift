import CSQLite
import Foundation
import Platform
import Storage
import TestSupport
import Testing

@testable import Outbox

/// Serialised: they share the recording file system.
@Suite(.serialized) struct PowerCutTests {
    /// What had been promised when so many steps were done.
    private struct Promise {
        let steps: Int
        let there: Set<Int64>
    }

    private func payload(_ position: Int64) -> [UInt8] {
        Array("payload \(position) ".utf8)
            + [UInt8](repeating: UInt8(position % 26) + 97, count: Int(position * 37 % 300))
    }

    private func insert(_ position: Int64, into file: OutboxFile) throws(StorageError) {
        var failure: StorageError?
        let key = Array("key \(position % 3)".utf8)
        payload(position).withUnsafeBytes { payload in
            key.withUnsafeBytes { key in
                do throws(StorageError) {
                    try file.insert(
                        StoreItem(
                            position: position, origin: 1, topic: 2, sequence: UInt64(position), time: position,
                            key: key,
                            payload: payload))
                } catch {
                    failure = error
                }
            }
        }
        if let failure { throw failure }
    }

    /// Works on an outbox, and notes after each commit what must survive from then on, and before it what may.
    private func work(_ path: String, random: inout SeededGenerator) throws -> (promises: [Promise], ever: Set<Int64>) {
        RecordingFileSystem.steps = []
        var promises: [Promise] = []
        var there: Set<Int64> = []
        var ever: Set<Int64> = []
        var next: Int64 = 1
        for _ in 0..<4 {
            let file = try OutboxFile.open(path, access: .create, fileSystem: RecordingFileSystem.name)
            try file.commit { () throws(StorageError) in
                try file.add(DiskNames.Entry(number: 1, text: "pi/b1"))
                try file.add(DiskNames.Entry(number: 2, text: "sensors"))
            }
            for _ in 0..<40 {
                let new = next..<(next + Int64.random(in: 0...40, using: &random))
                next = new.upperBound
                let oldest = there.sorted().prefix(Int.random(in: 0...35, using: &random))
                // What is being deleted may or may not be there after a cut in this commit.
                promises.append(Promise(steps: RecordingFileSystem.steps.count, there: there.subtracting(oldest)))
                try file.commit { () throws(StorageError) in
                    if let first = oldest.first, let last = oldest.last {
                        _ = try file.delete(PositionRanges.Range(first: first, last: last))
                    }
                    for position in new { try insert(position, into: file) }
                    try file.noteChange(count: Int64(new.count) - Int64(oldest.count), next: next)
                }
                there.subtract(oldest)
                there.formUnion(new)
                ever.formUnion(new)
                promises.append(Promise(steps: RecordingFileSystem.steps.count, there: there))
                if random.next() % 6 == 0 { try file.database.checkpoint(truncating: random.next() % 4 == 0) }
            }
        }
        return (promises, ever)
    }

    /// The files as a power cut after so many steps may leave them: everything synced, and any of the rest.
    private func files(_ steps: ArraySlice<RecordingFileSystem.Step>, _ random: inout SeededGenerator) -> [String:
        [UInt8]]
    {
        var durable: [String: [UInt8]] = [:]
        var unsynced: [String: [RecordingFileSystem.Step]] = [:]
        for step in steps {
            switch step {
            case .open(let name): if durable[name] == nil { durable[name] = [] }
            case .write(let name, _, _), .truncate(let name, _): unsynced[name, default: []].append(step)
            case .sync(let name):
                for step in unsynced[name] ?? [] { apply(step, to: &durable[name, default: []]) }
                unsynced[name] = []
            case .delete(let name):
                durable[name] = nil
                unsynced[name] = nil
            }
        }
        for (name, steps) in unsynced {
            let share = random.next() % 101
            for step in steps where random.next() % 100 < share {
                guard case .write(_, let offset, let bytes) = step else {
                    apply(step, to: &durable[name, default: []])
                    continue
                }
                // A sector at a time.
                for start in stride(from: 0, to: bytes.count, by: 512) where random.next() % 10 != 0 {
                    let part = Array(bytes[start..<min(start + 512, bytes.count)])
                    apply(.write(name, offset: offset + start, part), to: &durable[name, default: []])
                }
            }
        }
        return durable
    }

    private func apply(_ step: RecordingFileSystem.Step, to bytes: inout [UInt8]) {
        switch step {
        case .write(_, let offset, let new):
            if bytes.count < offset + new.count {
                bytes += [UInt8](repeating: 0, count: offset + new.count - bytes.count)
            }
            bytes.replaceSubrange(offset..<(offset + new.count), with: new)
        case .truncate(_, let size): if bytes.count > size { bytes.removeLast(bytes.count - size) }
        default: break
        }
    }

    @Test func whatWasCommittedIsThereAfterAnyCut() throws {
        #expect(RecordingFileSystem.isRegistered)
        var random = SeededGenerator(seed: 2_026)
        let folder = Folder()
        let (promises, ever) = try work(folder.file("outbox.db"), random: &random)
        let steps = RecordingFileSystem.steps
        var cuts = 0
        var unfinished = 0
        while cuts < 1_200 {
            let count = Int.random(in: 0...steps.count, using: &random)
            let cut = Folder()
            for (name, bytes) in files(steps[..<count], &random) {
                let last = name.split(separator: "/").last.map(String.init) ?? ""
                try Data(bytes).write(to: URL(fileURLWithPath: cut.file(last)))
            }
            cuts += 1
            let opened = try OutboxFile.openOrRecover(
                cut.file("outbox.db"), maxSize: 0, at: WallTime(nanoseconds: 0))
            #expect(opened.recovery == nil, "cut \(cuts) at step \(count) was taken for damage")
            var found: Set<Int64> = []
            try opened.file.read(
                from: 0, through: .max, damaged: { _ in Issue.record("a damaged record at cut \(cuts)") },
                { record in
                    found.insert(record.position)
                    if !record.payload.elementsEqual(payload(record.position)) {
                        Issue.record("\(record.position) is not what was appended")
                    }
                    return true
                })
            let promise = promises.last { $0.steps <= count }
            #expect(promise?.there.isSubset(of: found) ?? true, "cut \(cuts) at step \(count) lost what was committed")
            #expect(found.isSubset(of: ever))
            if found != promise?.there { unfinished += 1 }
            #expect(try opened.file.count() == Int64(found.count))
            #expect(try opened.file.state().next > (found.max() ?? 0))
        }
        // Cuts fell into commits, too.
        #expect(unfinished > 50)
        #expect(ever.count > 1_000)
    }
}
