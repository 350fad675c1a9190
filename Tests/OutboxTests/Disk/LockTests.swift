import Platform
import Records
import Storage
import TestSupport
import Testing

@testable import Outbox

/// Two agents, one file.
@Suite struct LockTests {
    @Test func theSecondGoesOnFromMemoryAndTakesOverAfterTheFirst() throws {
        let folder = Folder()
        let first = DiskBench(folder, room: 0) { $0.durability = .always }
        let second = DiskBench(folder, boot: "b2") { $0.durability = .always }
        first.append(0..<10)
        second.append(100..<105)
        first.pass(.seconds(1))
        second.pass(.seconds(1))
        #expect(second.transport.log == (100..<105).map { "\($0)" })
        #expect(second.status.state == .down)
        #expect(second.lines.lines.filter { $0.contains("another agent has it") }.count == 1)
        // Whoever only looks sees what is there.
        #expect(try first.stored().count == 10)
        first.stop()
        second.pass(.seconds(11))
        #expect(second.status.state == .up)
        second.deliverAll()
        #expect(second.transport.log.suffix(10) == (0..<10).map { "\($0)" }[...])
    }

    /// A stop within the 10 s after which it would be tried again.
    @Test func aStopTriesAFileThatDidNotOpen() throws {
        let folder = Folder()
        let first = DiskBench(folder)
        let second = DiskBench(folder, boot: "b2", room: 0)
        second.append(0..<10)
        second.pass(.seconds(1))
        #expect(second.status.state == .down)
        first.stop()
        second.stop()
        #expect(second.outbox.unstoredCount == 0)
        #expect(try second.stored().count == 10)
    }

    /// Whoever waits for the file, to learn where its positions stand, hears that there is none for now.
    @Test func aFileThatCannotBeHadIsSaid() {
        let folder = Folder()
        let first = DiskBench(folder)
        let second = DiskBench(folder, boot: "b2", opens: false)
        var isThere: [Bool] = []
        second.outbox.onDisk = { isThere.append(second.outbox.storeIdentity != "") }
        second.queue.run()
        #expect(isThere == [false])
        first.stop()
        second.pass(.seconds(11))
        #expect(isThere == [false, true])
        second.outbox.onDisk = nil
    }
}
