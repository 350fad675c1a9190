import CShim
import Outbox
import Platform
import Records
import Storage

// The outbox alone, with each durability, against a transport that acknowledges at once: what the disk costs. In one run, so that
// the ratios hold on any machine.
//
//     outbox-path FOLDER [RECORDS [BACKLOG]]
//     outbox-path FOLDER fill BACKLOG
//     outbox-path FOLDER drain             in a process of its own, whose memory has not grown before

/// Takes up to 10,000 records and acknowledges them when asked.
final class InstantTransport: RecordTransport {
    var onDelivery: ((DeliveryToken, DeliveryFailure?) -> Void)?
    var onRoom: (() -> Void)?
    var isUp = true
    private var held: [DeliveryToken] = []
    private(set) var acknowledged = 0

    init() { held.reserveCapacity(10_000) }

    func offer(
        topic: TopicID, key: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, id: UnsafeRawBufferPointer,
        position: Int64, token: DeliveryToken
    ) -> Offer {
        if !isUp || held.count >= 10_000 { return .full }
        held.append(token)
        return .taken
    }

    func acknowledge() {
        let batch = held
        held.removeAll(keepingCapacity: true)
        acknowledged += batch.count
        for token in batch { onDelivery?(token, nil) }
        onRoom?()
    }
}

final class OneTopic: TopicDirectory {
    func topicName(_ topic: TopicID) -> String? { "sensors" }
    func topicID(_ name: String) -> TopicID? { TopicID(0) }
}

/// Resident memory now, in KiB.
func residentMemory() -> Int {
    do throws(SystemError) {
        let text = String(decoding: try readFile("/proc/self/statm"), as: UTF8.self)
        let pages = text.split(separator: " ")
        return pages.count > 1 ? (Int(pages[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) / 1_024 : 0
    } catch {
        return 0
    }
}

final class Run {
    let loop: EventLoop
    let transport = InstantTransport()
    let outbox: Outbox
    private let key = Array("greenhouse.temperature".utf8)

    init(_ path: String, _ durability: Durability) throws(SystemError) {
        loop = try EventLoop()
        var settings = OutboxSettings(durability: durability)
        settings.drainRate = 0
        settings.maxSize = 4_000_000_000
        let disk: Disk? =
            durability == .memory
            ? nil
            : Disk(
                path: path, maxSize: settings.maxSize, queue: try Worker(name: "disk", loop: loop), topics: OneTopic())
        outbox = Outbox(
            settings: settings, node: "pi-01", boot: "0123456789ab", transport: transport, disk: disk, loop: loop,
            log: Log.standardError(level: .warning))
        while outbox.diskStatus?.state == .opening { try loop.turn(atMost: .milliseconds(10)) }
    }

    func append(_ number: Int) {
        _ = key.withUnsafeBytes { key in
            outbox.append(topic: TopicID(0), key: key, maximumBytes: 100) { writer in
                writer.write("{\"sensorID\":\"greenhouse.temperature\",\"value\":21.53,\"timestamp\":")
                writer.write(UInt64(1_795_193_522_298 + number))
                writer.write(UInt8(ascii: "}"))
            }
        }
    }

    /// As fast as the outbox takes it, a batch in each turn of the loop.
    func live(_ count: Int) throws(SystemError) -> Double {
        let begin = loop.time.now
        var number = 0
        while transport.acknowledged < count {
            while number < count, outbox.waitingCount < 500 {
                for _ in 0..<min(64, count - number) { append(number + 1) }
                number += min(64, count - number)
            }
            transport.acknowledge()
            try loop.turn(atMost: outbox.waitingCount > 0 ? .milliseconds(1) : .zero)
        }
        return Double(count) / (loop.time.now - begin).seconds
    }

    func fill(_ count: Int) throws(SystemError) {
        transport.isUp = false
        for number in 0..<count {
            append(number)
            if number % 64 == 0 { try loop.turn(atMost: .zero) }
            while outbox.unstoredCount > 4_000 { try loop.turn(atMost: .milliseconds(10)) }
        }
        var isDone = false
        outbox.store { isDone = true }
        while !isDone { try loop.turn(atMost: .milliseconds(10)) }
    }

    func drain() throws(SystemError) -> (rate: Double, memory: Int) {
        let count = Int(outbox.diskStatus?.records ?? 0)
        let idle = residentMemory()
        var most = idle
        let begin = loop.time.now
        while transport.acknowledged < count {
            transport.acknowledge()
            try loop.turn(atMost: .milliseconds(1))
            most = max(most, residentMemory())
        }
        return (Double(count) / (loop.time.now - begin).seconds, most - idle)
    }
}

func drain(_ folder: String) throws(SystemError) {
    let drained = try Run(folder + "/backlog.db", .spill).drain()
    say("drain   \(Int(drained.rate)) records/s; +\(drained.memory) KiB resident")
}

func say(_ text: String) { writeLine(text, to: 1) }

func measure(_ folder: String, _ records: Int, _ backlog: Int) throws(SystemError) {
    let memory = try Run(folder + "/none.db", .memory).live(records)
    say("memory  \(Int(memory)) records/s")
    for (name, durability) in [("spill ", Durability.spill), ("always", .always)] {
        let run = try Run(folder + "/" + (durability == .spill ? "spill.db" : "always.db"), durability)
        let before = run.outbox.diskStatus?.written ?? WriteCounters()
        let count = durability == .spill ? records : records / 10
        let rate = try run.live(count)
        let after = run.outbox.diskStatus?.written ?? WriteCounters()
        let bytes = after.bytes - before.bytes
        let syncs = after.syncs - before.syncs
        let share = Int(rate / memory * 1_000)
        say(
            "\(name)  \(Int(rate)) records/s, \(share) per mille of memory; \(bytes) bytes and \(syncs) fsyncs for \(count) records"
        )
        if syncs > 0 {
            say(
                "        \(bytes / UInt64(count)) bytes a record, \(UInt64(count) / syncs) records and \(bytes / syncs) bytes an fsync"
            )
        }
    }
    try Run(folder + "/backlog.db", .spill).fill(backlog)
    let run = try Run(folder + "/backlog.db", .spill)
    let drained = try run.drain()
    let share = Int(drained.rate / memory * 1_000)
    say(
        "drain   \(Int(drained.rate)) records/s of \(backlog), \(share) per mille of memory; +\(drained.memory) KiB resident"
    )
}

let folder = kedge_argument(1).map { String(cString: $0) } ?? "."
let records = kedge_argument(2).flatMap { Int(String(cString: $0)) } ?? 300_000
let backlog = kedge_argument(3).flatMap { Int(String(cString: $0)) } ?? 1_000_000
do throws(SystemError) {
    let mode = kedge_argument(2).map { String(cString: $0) } ?? ""
    if mode.isEqual(to: "fill") {
        try Run(folder + "/backlog.db", .spill).fill(backlog)
    } else if mode.isEqual(to: "drain") {
        try drain(folder)
    } else {
        try measure(folder, records, backlog)
    }
} catch {
    writeLine(error.description, to: 2)
    exit(1)
}
