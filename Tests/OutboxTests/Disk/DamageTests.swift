import Foundation
import Platform
import Records
import Storage
import TestSupport
import Testing

@testable import Outbox

@Suite struct DamageTests {
    private func text(_ number: Int) -> String {
        "\(number) " + String(repeating: Character(Unicode.Scalar(UInt8(97 + number % 26))), count: number * 31 % 400)
    }

    /// The files of an outbox with 600 records, with its log or without.
    private func original(withLog: Bool) throws -> [(name: String, bytes: [UInt8])] {
        let folder = Folder()
        let bench = DiskBench(folder, room: 0)
        for number in 0..<600 { bench.append(text(number), key: "k\(number % 5)") }
        if withLog { bench.pass(.seconds(3)) } else { bench.stop() }
        return ["outbox.db", "outbox.db-wal"].compactMap { name in folder.bytes(name).map { (name, $0) } }
    }

    private func damage(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
        guard !bytes.isEmpty else { return }
        let place = Int.random(in: 0..<bytes.count, using: &random)
        let length = min(Int.random(in: 1...9_000, using: &random), bytes.count - place)
        switch random.next() % 5 {
        case 0: bytes.removeLast(bytes.count - place)
        case 1: for index in place..<(place + length) { bytes[index] = UInt8(truncatingIfNeeded: random.next()) }
        case 2: for index in place..<(place + length) { bytes[index] = 0 }
        case 3: bytes[place] ^= 1 << UInt8(random.next() % 8)
        default:
            // A page that was written in the wrong place.
            let pages = max(bytes.count / 4_096, 1)
            let from = Int(random.next() % UInt64(pages)) * 4_096
            let to = Int(random.next() % UInt64(pages)) * 4_096
            let end = min(4_096, bytes.count - max(from, to))
            if end > 0 { bytes.replaceSubrange(to..<(to + end), with: Array(bytes[from..<(from + end)])) }
        }
    }

    @Test(arguments: [false, true])
    func tornDatabases(_ withLog: Bool) throws {
        var random = SeededGenerator(seed: withLog ? 11 : 12)
        let files = try original(withLog: withLog)
        #expect(files.count == (withLog ? 2 : 1))
        let all = Set((0..<600).map { text($0) })
        var setAside = 0
        var recovered = 0
        for variant in 0..<150 {
            let folder = Folder()
            let target = Int(random.next() % UInt64(files.count))
            for (index, file) in files.enumerated() {
                var bytes = file.bytes
                if index == target { for _ in 0...(random.next() % 3) { damage(&bytes, &random) } }
                try Data(bytes).write(to: URL(fileURLWithPath: folder.file(file.name)))
            }
            let bench = DiskBench(folder, boot: "b2")
            for number in 0..<20 { bench.append("live \(number)", key: "live") }
            bench.deliverAll()
            let sent = bench.transport.log
            for line in sent where !line.hasPrefix("live ") && !all.contains(line) && !line.contains("\"gap\"") {
                Issue.record("variant \(variant) sent what was not appended: \(line.prefix(80))")
            }
            #expect(sent.filter { $0.hasPrefix("live ") }.count == 20, "variant \(variant)")
            #expect(Set(sent).count == sent.count, "variant \(variant)")
            recovered += sent.filter { all.contains($0) }.count
            if folder.names.contains(where: { $0.contains(".damaged-") }) { setAside += 1 }
        }
        // Damage in the log is no damage of the database: SQLite ends the log there.
        #expect(setAside > 20 || withLog)
        // A third of the variants have lost the first page, the end of the file or the beginning of the log.
        #expect(recovered > 150 * 600 * 2 / 5, "\(recovered) of \(150 * 600)")
    }

    @Test func whatIsSetAsideIsDatedAndSaid() throws {
        let folder = Folder()
        var (name, bytes) = try original(withLog: false)[0]
        bytes.replaceSubrange(0..<50, with: [UInt8](repeating: 0xFF, count: 50))
        try Data(bytes).write(to: URL(fileURLWithPath: folder.file(name)))
        let bench = DiskBench(folder, boot: "b2")
        #expect(folder.names.filter { $0.contains("damaged") } == ["outbox.db.damaged-20261120T165202Z"])
        #expect(folder.bytes("outbox.db.damaged-20261120T165202Z") == bytes)
        #expect(bench.lines.lines.contains { $0.contains("is damaged; it was set aside as ") })
        bench.append("live")
        bench.deliverAll()
        #expect(bench.transport.log.last == "live")
        name = ""
    }

    @Test(arguments: [0, 18, 100, 600, 4_000])
    func aFirstPageThatIsGone(_ start: Int) throws {
        let folder = Folder()
        var bytes = try original(withLog: false)[0].bytes
        bytes.replaceSubrange(start..<4_096, with: [UInt8](repeating: 0, count: 4_096 - start))
        try Data(bytes).write(to: URL(fileURLWithPath: folder.file("outbox.db")))
        let bench = DiskBench(folder, boot: "b2")
        bench.deliverAll()
        #expect(bench.transport.log == (0..<600).map { text($0) })
        #expect(bench.transport.log.count == 600)
    }

    /// Numbers that no outbox ever gave out, in a database that is sound to SQLite.
    @Test(arguments: [
        "UPDATE records SET position=9223372036854775807 WHERE position=600",
        "UPDATE records SET position=-9223372036854775808 WHERE position=1",
        "UPDATE state SET next=9223372036854775807",
        "UPDATE state SET next=-9223372036854775808",
        "INSERT INTO names VALUES(65537,'another')",
    ])
    func numbersThatCannotBe(_ statement: String) throws {
        let folder = Folder()
        let bytes = try original(withLog: false)[0].bytes
        try Data(bytes).write(to: URL(fileURLWithPath: folder.file("outbox.db")))
        do { try Database(folder.file("outbox.db")).execute(statement) }
        let bench = DiskBench(folder, boot: "b2")
        bench.deliverAll()
        #expect(folder.names.contains { $0.contains(".damaged-") && !$0.contains("wal") })
        #expect(bench.transport.log.count >= 599)
        #expect(Set(bench.transport.log).count == bench.transport.log.count)
        bench.append("live")
        bench.deliverAll()
        #expect(bench.transport.log.last == "live")
    }

    /// The identity stays and positions go on far behind what there may have been.
    @Test func positionsAfterARecovery() throws {
        let folder = Folder()
        var bytes = try original(withLog: false)[0].bytes
        // In the middle of the records.
        bytes.replaceSubrange((20 * 4_096)..<(20 * 4_096 + 3_000), with: [UInt8](repeating: 0x5A, count: 3_000))
        try Data(bytes).write(to: URL(fileURLWithPath: folder.file("outbox.db")))
        let bench = DiskBench(folder, boot: "b2") { $0.durability = .always }
        let identity = bench.outbox.storeIdentity
        bench.deliverAll()
        bench.append("new")
        bench.pass(.seconds(1))
        #expect(bench.outbox.storeIdentity == identity)
        // Page 21 has a part of the records; those before it were sampled at the loop's beginning.
        let line = bench.lines.lines.first { $0.contains("were recovered from it; ") } ?? ""
        let numbers = line.split(separator: " ").compactMap { Int($0) }
        #expect(numbers.count == 2 && numbers.reduce(0, +) == 600 && (numbers.last ?? 0) > 5, "\(line)")
        #expect(line.hasSuffix(" were not, the first of them sampled after 2026-11-20T16:52:02.000Z"))
        #expect(bench.transport.held.last?.position ?? 0 > 600)
    }

    /// Of what a recovery finds and cannot believe, the sensor is told where sound rows have it, too.
    @Test func whatARecoveryDoesNotBelieveIsAGap() throws {
        let bench = DiskBench(room: 0)
        bench.append(0..<20)
        bench.stop()
        do {
            let database = try Database(bench.path)
            try database.execute("UPDATE records SET payload=CAST('zz' AS BLOB) WHERE position IN(7,12,13)")
            try database.execute("UPDATE records SET key=CAST('zz' AS BLOB) WHERE position=17")
        }
        let copy = bench.folder.file("copy.db")
        let recovery = try OutboxFile.recover(bench.path, to: copy)
        #expect(recovery.recovered == 16)
        #expect(recovery.damaged == 4)
        #expect(recovery.lost == 4)
        let gaps = try OutboxFile.open(copy, access: .readOnly).gaps()
        #expect(gaps.map { String(decoding: $0.key, as: UTF8.self) } == ["k1", "k2"])
        #expect(gaps.map(\.count) == [2, 1])
    }

    /// Pages are gone, and with them rows: whose they were is known where all around are of one sensor.
    @Test(arguments: [1, 2])
    func whatARecoveryDoesNotFindIsAGap(_ keys: Int) throws {
        let folder = Folder()
        do {
            let bench = DiskBench(folder, room: 0)
            for number in 0..<2_000 {
                bench.append("\(number) " + String(repeating: "x", count: 100), key: "k\(number % keys)")
                if number % 100 == 0 { bench.pass(.milliseconds(100)) }
            }
            bench.stop()
        }
        let path = folder.file("outbox.db")
        var bytes = try #require(folder.bytes("outbox.db"))
        for page in [20, 40] { for place in 0..<4_096 { bytes[page * 4_096 + place] = 0 } }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        let copy = folder.file("copy.db")
        let recovery = try OutboxFile.recover(path, to: copy)
        let lost = try #require(recovery.lost)
        #expect(lost == 2_000 - recovery.recovered)
        #expect(lost > 30 && lost < 100)
        let gaps = try OutboxFile.open(copy, access: .readOnly).gaps()
        #expect(gaps.map(\.count) == (keys == 1 ? [lost] : []))
        #expect(gaps.allSatisfy { $0.first < $0.last })
    }

    /// Whoever reads a file out may want to do so again, with other means.
    @Test func aRecoveryLeavesTheOldFileAndItsLogAsTheyWere() throws {
        let folder = Folder()
        let files = try original(withLog: true)
        for file in files { try Data(file.bytes).write(to: URL(fileURLWithPath: folder.file(file.name))) }
        let recovery = try OutboxFile.recover(folder.file("outbox.db"), to: folder.file("copy.db"))
        #expect(recovery.recovered == 600)
        for file in files { #expect(folder.bytes(file.name) == file.bytes, "\(file.name)") }
    }

    @Test func anothersDatabaseIsLeftAlone() throws {
        let folder = Folder()
        let other = try Database(folder.file("outbox.db"))
        try other.execute("CREATE TABLE accounts(name TEXT)")
        let bench = DiskBench(folder)
        bench.append("a")
        bench.pass(.seconds(10))
        #expect(bench.transport.log == ["a"])
        #expect(bench.lines.lines.contains { $0.contains("not an outbox of kedge; left alone") })
        #expect(try other.number("SELECT count(*) FROM sqlite_schema") == 1)
    }

    @Test func aRecoveryThatWasCutOffBetweenTheNames() throws {
        let folder = Folder()
        let bytes = try original(withLog: false)[0].bytes
        try Data(bytes).write(to: URL(fileURLWithPath: folder.file("outbox.db.recovering")))
        let bench = DiskBench(folder, boot: "b2")
        bench.deliverAll()
        #expect(bench.transport.log == (0..<600).map { text($0) })
    }
}
