import Platform
import Records
import TestSupport
import Testing

@testable import Outbox

@Suite struct FullTests {
    private let padding = String(repeating: "x", count: 200)
    private func text(_ number: Int) -> String { "\(number) \(padding)" }

    @Test func dropOldestKeepsTheNewestInOrder() {
        let bench = Bench(maxMemory: 128_000, room: 0)
        for number in 0..<5_000 { #expect(bench.append(text(number))) }
        #expect(bench.outbox.allocatedBytes <= 128_000)
        let dropped = Int(bench.records.dropped)
        let kept = bench.outbox.pendingCount
        #expect(dropped + kept == 5_000)
        // Room for five slabs, less what the last drop emptied.
        #expect(kept > 4 * 60)
        bench.makeRoom()
        bench.transport.deliverAll()
        #expect(bench.transport.log == (dropped..<5_000).map { text($0) })
        #expect(bench.records.refused == 0)
    }

    @Test func dropNewestKeepsTheOldestInOrder() {
        let bench = Bench(maxMemory: 128_000, whenFull: .dropNewest, room: 0)
        var kept = 0
        for number in 0..<5_000 where bench.append(text(number)) {
            #expect(number == kept)
            kept += 1
        }
        #expect(kept > 300)
        #expect(bench.records.refused == UInt64(5_000 - kept))
        #expect(bench.records.dropped == 0)
        bench.makeRoom()
        #expect(bench.transport.held.allSatisfy { $0.isIntact })
        bench.transport.deliverAll()
        #expect(bench.transport.log == (0..<kept).map { text($0) })
    }

    /// A transport with a larger queue than ours, and the broker away: it gets half, the newest are kept behind it.
    @Test func aTransportThatTakesEverythingDoesNotTurnDropOldestIntoDropNewest() {
        let bench = Bench(maxMemory: 128_000)
        for number in 0..<5_000 { #expect(bench.append(text(number))) }
        let held = bench.transport.held.count
        #expect(bench.transport.log == (0..<held).map { text($0) })
        #expect(held * 230 < 5 * 16_384 / 2 + 300)
        #expect(held > 150)
        #expect(bench.transport.held.allSatisfy { $0.isIntact })
        bench.transport.deliverAll()
        let sent = bench.transport.log.compactMap { Int($0.prefix { $0 != " " }) }
        // What shares a slab with records of the transport is kept, as dropping it would win nothing; then the newest.
        let kept = sent.dropFirst(held)
        let shared = kept.enumerated().prefix { $1 == held + $0 }.count
        let newest = kept.count - shared
        #expect(shared < 16_384 / 230)
        #expect(newest > 60)
        #expect(Array(kept.suffix(newest)) == Array(5_000 - newest..<5_000))
        #expect(bench.records.refused == 0)
        #expect(Int(bench.records.dropped) == 5_000 - sent.count)
    }

    /// One record of each slab that is not reported pins it: then the newest has to go, whatever the policy.
    @Test func whatIsHandedOverIsNeverDropped() {
        let bench = Bench(maxMemory: 128_000)
        var pinned: [FakeTransport.Taken] = []
        var number = 0
        while bench.append(text(number)) {
            // One of forty stays with the transport.
            if number % 40 != 0 { bench.transport.deliver(bench.transport.held.count - 1) }
            number += 1
            if number > 10_000 { break }
        }
        pinned = bench.transport.held
        #expect(number < 1_000)
        #expect(bench.records.dropped == 0)
        #expect(bench.records.refused == 1)
        #expect(pinned.allSatisfy { $0.isIntact })
        bench.transport.deliverAll()
        #expect(bench.append(text(number)))
    }

    @Test func oneLineWhenItBeginsAndOneWhenItEnds() {
        let bench = Bench(maxMemory: 1_000_000, room: 0)
        for number in 0..<20_000 { bench.append(text(number)) }
        #expect(
            bench.lines.lines == ["warning: outbox: 884 kB of records wait (max_memory): the oldest are being dropped"])
        bench.makeRoom()
        // A little room is not the end of it.
        bench.transport.deliver()
        #expect(bench.lines.lines.count == 1)
        bench.transport.deliverAll()
        // Nor is it said at once.
        bench.loop.advance(by: .seconds(59))
        #expect(bench.lines.lines.count == 1)
        bench.loop.advance(by: .seconds(1))
        #expect(
            bench.lines.lines.dropFirst() == [
                "warning: outbox: room again; \(bench.records.dropped) records were dropped"
            ])
    }

    /// A lane that is full twice a second.
    @Test func twoLinesAMinuteAtMost() {
        let bench = Bench(maxMemory: 128_000, room: 0)
        var number = 0
        for _ in 0..<360 {
            for _ in 0..<600 {
                bench.append(text(number))
                number += 1
            }
            bench.makeRoom()
            bench.transport.deliverAll()
            bench.transport.room = 0
            bench.loop.advance(by: .milliseconds(500))
        }
        bench.loop.advance(by: .seconds(60))
        #expect(bench.lines.lines.count == 6)
        // No record goes uncounted.
        let said = bench.lines.lines.compactMap { line in
            line.contains("room again") ? line.split(separator: " ").compactMap { Int($0) }.first : nil
        }
        #expect(said.reduce(0, +) == Int(bench.records.dropped))
        #expect(bench.records.dropped > 50_000)
    }

    @Test func dropNewestSaysSoToo() {
        let bench = Bench(maxMemory: 128_000, whenFull: .dropNewest, room: 0)
        for number in 0..<1_000 { bench.append(text(number)) }
        #expect(
            bench.lines.lines == ["warning: outbox: 81 kB of records wait (max_memory): the newest are being dropped"])
    }

    /// Tiny records: the number in a slab is bounded by what a token can name.
    @Test func aSlabHoldsNoMoreRecordsThanATokenCanName() {
        let bench = Bench(maxMemory: 128_000_000, room: 0)
        for _ in 0..<5_000 { bench.append("", key: "") }
        #expect(bench.outbox.allocatedBytes == 5 * 131_072)
        bench.makeRoom()
        #expect(Set(bench.transport.held.map { $0.token }).count == 5_000)
        bench.transport.deliverAll()
        #expect(bench.outbox.isEmpty)
        #expect(bench.outbox.strayReports == 0)
    }

    @Test func everyMemorySizeIsKept() {
        for memory in [128_000, 999_999, 1_000_000, 4_000_000, 64_000_000, 64_000_001, 256_000_000] {
            let table = SlabTable(maxMemory: memory)
            #expect(table.capacity * table.slabSize <= memory)
            #expect(table.capacity * table.slabSize > memory - 131_072)
            #expect(table.capacity <= SlabTable.mostSlabs)
            let last = DeliveryToken(slab: table.capacity - 1, record: SlabTable.mostRecords - 1, nonce: .max)
            #expect(last.slab == table.capacity - 1)
            #expect(last.record == SlabTable.mostRecords - 1)
            #expect(last.nonce == DeliveryToken.nonceMask)
        }
    }
}
