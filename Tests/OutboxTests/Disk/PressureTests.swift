import Platform
import Records
import Storage
import TestSupport
import Testing

@testable import Outbox

/// A small memory and a long outage.
@Suite struct PressureTests {
    private func text(_ number: Int) -> String { "\(number) " + String(repeating: "x", count: 110) }

    /// An SD card wears by its fsyncs. The transport takes half of the memory and reports nothing.
    @Test(arguments: [512_000, 256_000])
    func manyRecordsToAnFsync(_ memory: Int) throws {
        let bench = DiskBench {
            $0.maxMemory = memory
            $0.drainRate = 5_000
        }
        var number = 0
        func live(_ count: Int) {
            for _ in 0..<count {
                bench.append(text(number), key: "k\(number % 5)")
                number += 1
                // 200 a second.
                bench.loop.advance(by: .milliseconds(5))
                bench.queue.run()
            }
        }
        var before = bench.status.written
        for _ in 0..<8 {
            live(2_000)
            let written = bench.status.written
            #expect(2_000 / (written.syncs - before.syncs) >= 80, "\(written.syncs - before.syncs) fsyncs")
            #expect((written.bytes - before.bytes) / 2_000 < 800)
            before = written
        }
        #expect(bench.transport.held.count < 2_000)
        // The broker is back, and takes what there is; what was sent leaves the disk four times a second.
        for _ in 0..<1_000 {
            bench.transport.deliverAll()
            live(2)
        }
        let written = bench.status.written
        #expect(written.syncs - before.syncs < 10 * 6, "\(written.syncs - before.syncs) fsyncs")
        bench.deliverAll()
        let counters = bench.outbox.counters(of: .record)
        #expect(counters.dropped + counters.refused == 0)
        #expect(bench.transport.log.count == number)
        // From here on the disk is not touched.
        let quiet = bench.status.written
        for _ in 0..<500 {
            live(2)
            bench.transport.deliverAll()
        }
        #expect(bench.status.written == quiet)
    }

    /// The transport may have all of these, and then nothing that is stored can leave memory.
    @Test func manyRepliesToAnFsync() {
        let bench = DiskBench { $0.maxMemory = 256_000 }
        let before = bench.status.written.syncs
        var count = 0
        while bench.append(text(count), key: "id\(count)", lane: .reply), count < 1_000 {
            count += 1
            bench.loop.advance(by: .milliseconds(5))
            bench.queue.run()
        }
        #expect(count > 100)
        #expect(bench.status.records > 80)
        #expect(bench.status.written.syncs - before <= 8)
    }

    /// 2,000 records a second, and commits that take their time.
    @Test func whatCanBeStoredIsNotDropped() {
        let bench = DiskBench { $0.maxMemory = OutboxSettings.leastMemoryWithDisk }
        var sinceJob = 0
        for number in 0..<20_000 {
            bench.append(text(number))
            if number % 2 == 0 { bench.loop.advance(by: .milliseconds(1)) }
            sinceJob = bench.queue.pending == 0 ? 0 : sinceJob + 1
            // 20 ms for each.
            if sinceJob == 20 { bench.queue.runJob() }
            if sinceJob == 40 {
                bench.queue.complete()
                sinceJob = 0
            }
        }
        let counters = bench.outbox.counters(of: .record)
        #expect(counters.dropped + counters.refused == 0)
        #expect(counters.evicted > 15_000)
        #expect(bench.lines.lines == [])
        bench.deliverAll()
        #expect(bench.transport.log.elementsEqual((0..<20_000).map { text($0) }))
    }

    /// More live records than `drain_rate` lets stored ones go.
    @Test func theBacklogShrinksUnderALiveLoad() {
        let folder = Folder()
        do {
            let bench = DiskBench(folder, room: 0)
            for number in 0..<8_000 {
                bench.append(text(number))
                if number % 100 == 0 { bench.queue.run() }
            }
            bench.stop()
        }
        let bench = DiskBench(folder, boot: "b2") {
            $0.drainRate = 500
            $0.maxMemory = 512_000
        }
        var number = 8_000
        var left = 8_000
        for second in 1...7 {
            for _ in 0..<200 {
                for _ in 0..<10 {
                    bench.append(text(number))
                    number += 1
                }
                bench.loop.advance(by: .milliseconds(5))
                bench.queue.run()
                bench.transport.deliverAll()
            }
            let now = number - bench.transport.log.count
            // By the rate and no more.
            #expect(left - now >= 400 && left - now <= 600, "\(left - now) in second \(second)")
            left = now
        }
        #expect(bench.outbox.counters(of: .record).evicted > 5_000)
        bench.deliverAll()
        #expect(bench.transport.log.elementsEqual((0..<number).map { text($0) }))
    }

    /// What came in the outage is no reason to send the backlog faster than was asked for.
    @Test func whatCameWhileNothingWentDoesNotCount() {
        let bench = DiskBench(room: 0) {
            $0.drainRate = 500
            $0.maxMemory = 256_000
        }
        for number in 0..<6_000 {
            bench.append(text(number))
            if number % 20 == 0 { bench.pass(.milliseconds(100)) }
        }
        let first = bench.outbox.waitingCount
        bench.makeRoom()
        for _ in 0..<20 {
            bench.transport.deliverAll()
            bench.pass(.milliseconds(100))
        }
        #expect(bench.transport.log.count <= first + 1_200)
        #expect(bench.transport.log.count >= 900)
    }

    // MARK: States

    private func appendState(_ text: String, to bench: DiskBench) -> Bool {
        bench.append(text, key: "pi/pump", topic: 1, lane: .reply, .memory)
    }

    @Test func aStateGoesAheadOfTheBacklogAndNotToTheDisk() throws {
        let folder = Folder()
        do {
            let bench = DiskBench(folder, room: 0)
            bench.append(0..<500)
            #expect(appendState("on", to: bench))
            #expect(bench.append("reply", lane: .reply))
            bench.pass(.seconds(10))
            #expect(try bench.stored().count == 501)
            #expect(bench.outbox.pendingReplies == 1)
            #expect(bench.outbox.pendingCount == 502)
            #expect(bench.outbox.unstoredCount == 0)
            bench.stop()
        }
        let bench = DiskBench(folder, boot: "b2", room: 0) { $0.drainRate = 10 }
        #expect(appendState("off", to: bench))
        bench.makeRoom()
        #expect(bench.transport.log.first == "off")
        bench.deliverAll()
        #expect(bench.transport.log == ["off"] + (0..<500).map { "\($0)" } + ["reply"])
    }

    @Test func statesLeaveHalfOfTheRoomToReplies() {
        let bench = DiskBench(room: 0) { $0.maxMemory = 256_000 }
        var states = 0
        while appendState("\(states) " + String(repeating: "s", count: 200), to: bench), states < 1_000 { states += 1 }
        #expect(states > 50 && states < 100)
        for number in 0..<50 { #expect(bench.append("\(number)", lane: .reply)) }
        // The caller tries again; that is no loss.
        #expect(bench.lines.lines == [])
        #expect(bench.outbox.counters(of: .reply).refused == 0)
    }

    // MARK: Gaps

    /// `max_memory` was lowered in between.
    @Test func aRecordThatIsTooLargeNowIsAGap() throws {
        let folder = Folder()
        let large = String(repeating: "x", count: 20_000)
        do {
            let bench = DiskBench(folder, room: 0)
            bench.append("0")
            bench.append(large, key: "large")
            bench.append(large, key: "large")
            bench.append("1")
            bench.stop()
        }
        let bench = DiskBench(folder, boot: "b2") { $0.maxMemory = 256_000 }
        bench.deliverAll()
        bench.pass(.seconds(5))
        bench.deliverAll()
        #expect(bench.transport.log.prefix(2) == ["0", "1"])
        #expect(bench.transport.log.count == 3)
        #expect(bench.transport.log.last?.hasPrefix(#"{"sensorID":"large","value":null"#) == true)
        #expect(bench.transport.log.last?.contains(#""gap":{"count":2,"#) == true)
        #expect(bench.lines.lines.filter { $0.contains("2 records on the disk are larger than") }.count == 1)
        #expect(bench.status.unreadable == 2)
        #expect(try bench.stored() == [])
    }

    /// A bit has changed on the card. The rows around it know the sensor.
    @Test(arguments: ["payload", "key", "time"])
    func aRecordThatCannotBeReadIsAGap(_ column: String) throws {
        let folder = Folder()
        do {
            let bench = DiskBench(folder, room: 0)
            for number in 0..<20 {
                bench.append("\(number)", key: "k\(number % 2)")
                bench.pass(.seconds(1))
            }
            bench.stop()
        }
        do {
            let database = try Database(folder.file("outbox.db"))
            let change = column == "time" ? "9000000000000" : "CAST('zz' AS BLOB)"
            try database.execute("UPDATE records SET \(column)=\(change) WHERE position=9")
        }
        let bench = DiskBench(folder, boot: "b2")
        bench.deliverAll()
        bench.pass(.seconds(5))
        bench.deliverAll()
        #expect(bench.transport.log.prefix(19) == (0..<20).filter { $0 != 8 }.map { "\($0)" }[...])
        let line = bench.lines.lines.first { $0.contains("1 records on the disk cannot be read") }
        #expect(line?.contains("sampled after") == true)
        #expect(bench.status.unreadable == 1)
        #expect(try bench.stored() == [])
        let gap = bench.transport.log.dropFirst(19)
        // What it says of its own sensor is not believed where nobody else does.
        guard column != "key" else {
            #expect(gap == [])
            return
        }
        #expect(gap.count == 1)
        #expect(gap.first?.hasPrefix(#"{"sensorID":"k0","value":null"#) == true)
        #expect(gap.first?.contains(#""gap":{"count":1,"#) == true)
        // A time that cannot be is not told either.
        #expect(gap.first?.contains("9000000000000") == false)
    }

    /// A record about a gap would be the latest one of a state's key, and an answer to nobody's command.
    @Test func someTopicsGetNoGaps() throws {
        let bench = DiskBench(room: 0) {
            $0.maxSize = 1_000_000
            $0.maxMemory = 256_000
            $0.topicsWithoutGaps = ["other", "third"]
        }
        for number in 0..<10_000 {
            bench.append(text(number) + text(number), key: "k\(number % 3)", topic: number % 3)
            if number % 20 == 0 { bench.pass(.milliseconds(200)) }
        }
        bench.deliverAll()
        bench.pass(.seconds(5))
        // One that came from the disk, and is given up.
        bench.transport.room = 0
        bench.append("more", topic: 1)
        bench.pass(.seconds(5))
        bench.makeRoom()
        bench.transport.deliver(bench.transport.held.count - 1, .tooLarge)
        bench.deliverAll()
        bench.pass(.seconds(5))
        #expect(bench.status.dropped > 1_000)
        let gaps = bench.transport.log.filter { $0.contains(#""reason":"gap""#) }
        #expect(!gaps.isEmpty)
        #expect(gaps.allSatisfy { $0.hasPrefix(#"{"sensorID":"k0","#) })
        // Nor are they kept for ever.
        let file = try OutboxFile.open(bench.path, access: .readOnly)
        #expect(try file.gaps().isEmpty)
    }
}
