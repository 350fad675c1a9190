import Platform
import Records
import Storage
import TestSupport
import Testing

@testable import Outbox

@Suite struct SpillTests {
    @Test func nothingIsWrittenWhileTheBrokerAnswers() {
        let bench = DiskBench()
        let before = bench.status.written
        let jobs = bench.queue.jobs
        for number in 0..<2_000 {
            bench.append("\(number)", lane: number % 100 == 0 ? .reply : .record)
            bench.pass(.milliseconds(100))
            bench.transport.deliverAll()
        }
        #expect(bench.queue.jobs == jobs)
        #expect(bench.status.written == before)
        #expect(bench.transport.log.count == 2_000)
    }

    @Test func whatIsNotAcknowledgedInTimeIsStoredInOneCommit() throws {
        let bench = DiskBench()
        bench.append(0..<100)
        bench.pass(.milliseconds(1_900))
        #expect(try bench.stored() == [])
        let before = bench.status.written.syncs
        bench.pass(.milliseconds(200))
        #expect(try bench.stored() == (0..<100).map { "pi/b1/\($0 + 1) \($0)" })
        #expect(bench.status.written.syncs - before <= 2)
        // The transport has them all the while; they are offered once.
        #expect(bench.transport.log == (0..<100).map { "\($0)" })
        bench.transport.deliverAll()
        bench.pass(.seconds(2))
        #expect(try bench.stored() == [])
        #expect(bench.outbox.isEmpty)
        #expect(bench.status.records == 0)
    }

    @Test func aStopStoresWhatIsLeftAndTheNextStartSendsItWithItsId() throws {
        let folder = Folder()
        do {
            let bench = DiskBench(folder, room: 3)
            bench.append(0..<10)
            bench.transport.deliver()
            bench.append("reply", lane: .reply)
            bench.stop()
            #expect(bench.outbox.unstoredCount == 0)
            #expect(bench.status.written.syncs > 0)
            // The log went into the file.
            #expect(folder.names == ["outbox.db", "outbox.db.lock"])
        }
        let bench = DiskBench(folder, boot: "b2")
        bench.append("live", key: "k1")
        #expect(bench.transport.held.map(\.id) == (2...11).map { "pi/b1/\($0)" } + ["pi/b2/1"])
        #expect(bench.transport.log == (1..<10).map { "\($0)" } + ["reply", "live"])
        let positions = bench.transport.held.map(\.position)
        #expect(positions.prefix(10) == positions.prefix(10).sorted()[...])
        #expect(Set(positions.prefix(10)).count == 10)
        bench.deliverAll()
        #expect(try bench.stored() == [])
    }

    /// A clock that was not known in the start that took a record never will be.
    @Test func whatAnEarlierStartLeftUnsyncedIsUncertain() throws {
        let folder = Folder()
        let unsynced = #"{"sensorID":"a","value":1,"timestamp":3.5,"clock":"unsynced"}"#
        do {
            let bench = DiskBench(folder, room: 0)
            bench.append(unsynced, key: "a")
            bench.append(#"{"value":2}"#, key: "a")
            bench.stop()
        }
        let bench = DiskBench(folder, boot: "b2")
        bench.append(unsynced, key: "b")
        #expect(bench.transport.held.count == 3)
        #expect(
            bench.transport.log == [
                #"{"sensorID":"a","value":1,"timestamp":3.5,"clock":"uncertain"}"#, #"{"value":2}"#, unsynced,
            ])
    }

    /// What was acknowledged before the last commit does not come again.
    @Test func theDurableCursor() throws {
        let folder = Folder()
        do {
            let bench = DiskBench(folder, room: 0)
            bench.append(0..<3_000)
            bench.stop()
        }
        do {
            let bench = DiskBench(folder, boot: "b2", room: 50)
            for _ in 0..<40 {
                while !bench.transport.held.isEmpty { bench.transport.deliver() }
                bench.makeRoom(50)
                bench.queue.run()
            }
            bench.pass(.seconds(1))
            #expect(try bench.stored().count <= 1_000)
            // kill -9
        }
        let bench = DiskBench(folder, boot: "b3")
        #expect(bench.transport.log.first.flatMap { Int($0) } ?? 0 >= 2_000)
        bench.deliverAll()
        #expect(bench.transport.log.last == "2999")
    }

    @Test func anOutageThatIsLargerThanMemoryKeepsTheOrderOfEachKey() throws {
        let bench = DiskBench(room: 40) { $0.maxMemory = 256_000 }
        var number = 0
        // 2 MB of records through 256 kB of memory.
        for _ in 0..<200 {
            for _ in 0..<100 {
                bench.append("\(number) " + String(repeating: "x", count: 90), key: "k\(number % 5)")
                number += 1
            }
            bench.pass(.milliseconds(100))
        }
        #expect(bench.outbox.counters(of: .record).dropped == 0)
        #expect(bench.outbox.counters(of: .record).refused == 0)
        #expect(bench.outbox.allocatedBytes <= 256_000)
        #expect(bench.outbox.counters(of: .record).evicted > 10_000)
        // Live ones come while the backlog goes.
        bench.transport.room = 400
        for round in 0..<3_000 {
            if round % 3 == 0 {
                bench.append("\(number) live", key: "k\(number % 5)")
                number += 1
            }
            for _ in 0..<20 where !bench.transport.held.isEmpty { bench.transport.deliver() }
            bench.transport.onRoom?()
            bench.pass(.milliseconds(10))
        }
        bench.deliverAll()
        #expect(bench.transport.log.map { Int($0.split(separator: " ")[0]) } == (0..<number).map { Optional($0) })
        #expect(Set(bench.transport.log).count == number)
        #expect(bench.outbox.isEmpty)
        #expect(try bench.stored() == [])
    }

    @Test func newestFirstSendsLiveRecordsAtOnce() throws {
        let folder = Folder()
        do {
            let bench = DiskBench(folder, room: 0)
            bench.append(0..<500)
            bench.stop()
        }
        let bench = DiskBench(folder, boot: "b2", room: 0) { $0.drain = .newestFirst }
        bench.append("live")
        bench.makeRoom(10)
        #expect(bench.transport.log == ["live"] + (0..<9).map { "\($0)" })
        bench.append("more")
        bench.deliverAll()
        #expect(bench.transport.log.count == 502)
        #expect(bench.transport.log.filter { Int($0) != nil } == (0..<500).map { "\($0)" })
    }

    @Test func theDrainIsLimited() throws {
        let folder = Folder()
        do {
            let bench = DiskBench(folder, room: 0)
            bench.append(0..<1_000)
            bench.stop()
        }
        let bench = DiskBench(folder, boot: "b2") { $0.drainRate = 100 }
        for second in 1...5 {
            bench.pass(.seconds(1))
            let count = bench.transport.log.count
            #expect(count >= 100 * second && count <= 100 * second + 10)
            bench.transport.deliverAll()
        }
    }

    @Test func memoryPressureStoresBeforeTheTime() throws {
        let bench = DiskBench(room: 0) { $0.spillAfter = .seconds(3_600) }
        for number in 0..<20_000 {
            bench.append("\(number) " + String(repeating: "x", count: 100))
            if number % 10 == 0 { bench.queue.run() }
        }
        #expect(bench.outbox.counters(of: .record).dropped == 0)
        bench.deliverAll()
        #expect(bench.transport.log.count == 20_000)
    }

    /// A record may be acknowledged, and its slab be due for reuse, while the disk's thread still reads it.
    @Test func whatIsBeingStoredStaysWhereItIs() throws {
        let bench = DiskBench()
        bench.append(0..<100)
        bench.loop.advance(by: .seconds(2))
        #expect(bench.queue.pending == 1)
        bench.transport.deliverAll()
        #expect(bench.outbox.isEmpty)
        bench.append(100..<200)
        bench.queue.runJob()
        #expect(try bench.stored() == (0..<100).map { "pi/b1/\($0 + 1) \($0)" })
        bench.queue.complete()
        bench.transport.deliverAll()
        bench.pass(.seconds(2))
        #expect(try bench.stored() == [])
        #expect(bench.status.records == 0)
    }

    @Test func memoryRecordsStayInMemory() throws {
        let bench = DiskBench(room: 0)
        bench.append("a", key: "1", .memory)
        bench.append("b", key: "2")
        bench.pass(.seconds(10))
        #expect(try bench.stored() == ["pi/b1/2 b"])
        bench.stop()
        #expect(bench.outbox.unstoredCount == 1)
    }

    @Test func settledThroughAPosition() throws {
        let folder = Folder()
        var identity = ""
        do {
            let bench = DiskBench(folder, room: 0) { $0.durability = .always }
            bench.append(0..<10)
            bench.pass(.seconds(1))
            identity = bench.outbox.storeIdentity
            #expect(identity.utf8.count == 16)
            bench.stop()
        }
        let bench = DiskBench(folder, boot: "b2", opens: false)
        bench.outbox.isDrainHeld = true
        bench.queue.run()
        #expect(bench.transport.log == [])
        #expect(!bench.outbox.settle(through: 5, of: "0123456789abcdef"))
        #expect(bench.outbox.settle(through: 5, of: identity))
        bench.outbox.isDrainHeld = false
        bench.queue.run()
        #expect(bench.transport.log == (5..<10).map { "\($0)" })
        #expect(bench.transport.held.map(\.position) == [6, 7, 8, 9, 10])
        #expect(try bench.stored().count == 5)
    }

    /// Positions outlive the records.
    @Test func positionsAreNeverUsedAgain() throws {
        let folder = Folder()
        var last: Int64 = 0
        for start in 0..<5 {
            let bench = DiskBench(folder, boot: "b\(start)") { $0.durability = .always }
            bench.append(0..<20)
            bench.pass(.seconds(1))
            #expect(bench.transport.held.allSatisfy { $0.position > last })
            last = bench.transport.held.map(\.position).max() ?? 0
            bench.deliverAll()
            #expect(try bench.stored() == [])
            if start % 2 == 0 { bench.stop() }
        }
    }
}
