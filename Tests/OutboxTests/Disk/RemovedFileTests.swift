import Foundation
import Platform
import Storage
import TestSupport
import Testing

@testable import Outbox

/// The file is removed under a running agent, whose connection to it goes on working: what is committed then would be gone
/// with the process.
@Suite struct RemovedFileTests {
    private func bench(_ folder: Folder, boot: String = "b1", room: Int = 0) -> DiskBench {
        DiskBench(folder, boot: boot, room: room) {
            $0.durability = .always
            // Some of it is on the disk alone.
            $0.maxMemory = 256_000
        }
    }

    private func remove(_ bench: DiskBench) throws {
        for name in bench.folder.names { try FileManager.default.removeItem(atPath: bench.folder.file(name)) }
    }

    private func fill(_ bench: DiskBench, _ numbers: Range<Int>) {
        for number in numbers {
            bench.append("\(number)")
            bench.pass(.milliseconds(1))
        }
        bench.pass(.seconds(2))
    }

    /// - Parameter later: records that come after that and before the stop.
    @Test(arguments: [0, 20]) func itIsWrittenAgain(_ later: Int) throws {
        let folder = Folder()
        let first = bench(folder)
        fill(first, 0..<4_000)
        #expect(first.outbox.disk?.backlog.isEmpty == false)
        let identity = first.outbox.storeIdentity
        try remove(first)
        fill(first, 4_000..<(4_000 + later))
        first.stop()
        #expect(first.outbox.unstoredCount == 0)
        #expect(try first.stored().count == 4_000 + later)
        #expect(first.lines.lines.contains { $0.contains("had been removed") })
        let second = bench(folder, boot: "b2")
        #expect(second.outbox.storeIdentity == identity)
        second.deliverAll()
        #expect(second.transport.log == (0..<(4_000 + later)).map { "\($0)" })
    }

    /// It goes on with the new one, under a lock that holds others off.
    @Test func itGoesOn() throws {
        let first = bench(Folder())
        fill(first, 0..<10)
        try remove(first)
        fill(first, 10..<20)
        #expect(try first.stored().count == 20)
        #expect(first.status.state == .up)
        let second = bench(first.folder, boot: "b2")
        #expect(second.lines.lines.contains { $0.contains("another agent has it") })
        first.deliverAll()
        #expect(first.transport.log == (0..<20).map { "\($0)" })
        #expect(try first.stored() == [])
    }

    /// What cannot be written again is not said to be on the disk.
    @Test(arguments: [false, true]) func itCannotBeWrittenAgain(_ isReplaced: Bool) throws {
        let first = bench(Folder())
        fill(first, 0..<4_000)
        try remove(first)
        let other = Array("another".utf8)
        if isReplaced {
            try Data(other).write(to: URL(fileURLWithPath: first.path))
        } else {
            try FileManager.default.removeItem(atPath: first.folder.path)
        }
        fill(first, 4_000..<4_010)
        #expect(first.status.state == .down)
        first.stop()
        #expect(first.outbox.unstoredCount == 4_010)
        if isReplaced {
            #expect(first.folder.bytes("outbox.db") == other)
            #expect(first.lines.lines.contains { $0.contains("another file has taken its place; left alone") })
        }
    }
}
