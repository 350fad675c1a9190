import Agent
import CShim
import Filters
import Kafka
import Outbox
import Platform
import Records

// kedge's telemetry path alone, from the sample to the delivery report: path, outbox and producer on the real loop, fed
// with what c-loop.c sends. Same arguments, same line of output:
//
//     telemetry-path BOOTSTRAP TOPIC SENSORS RECORDS RATE [name=value …]
//     records, seconds, CPU seconds, peak resident KiB, acknowledged, failed

/// What there is to send, and how.
struct Load {
    var properties: [Property]
    let topic: String
    let sensors: Int
    let records: Int
    /// Records per second; 0 is as fast as the path takes them.
    let rate: Int64
}

enum Failure: Error {
    case kafka(KafkaError)
    case system(SystemError)

    var description: String {
        switch self {
        case .kafka(let error): error.description
        case .system(let error): error.description
        }
    }
}

func readArguments() -> Load? {
    var words: [String] = []
    while let word = kedge_argument(Int32(words.count + 1)) { words.append(String(cString: word)) }
    guard words.count >= 5, let sensors = Int(words[2]), let records = Int(words[3]), let rate = Int64(words[4]),
        sensors > 0, rate >= 0
    else { return nil }
    var properties = [Property(name: "bootstrap.servers", value: words[0])]
    for word in words[5...] {
        let bytes = Array(word.utf8)
        guard let equals = bytes.firstIndex(of: UInt8(ascii: "=")) else { return nil }
        properties.append(
            Property(
                name: String(decoding: bytes[..<equals], as: UTF8.self),
                value: String(decoding: bytes[(equals + 1)...], as: UTF8.self)))
    }
    return Load(properties: properties, topic: words[1], sensors: sensors, records: records, rate: rate)
}

/// `bench-0000`, `bench-0001` …
func name(of sensor: Int) -> String {
    var digits = "\(sensor)"
    while digits.utf8.count < 4 { digits = "0" + digits }
    return "bench-" + digits
}

/// What is printed, before anything is torn down: the C loop does likewise.
func report(_ load: Load, _ outbox: Outbox, took: Interval) {
    var usage = rusage()
    _ = kedge_resource_usage(&usage)
    let milliseconds =
        Int64(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1_000
        + Int64(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1_000
    let counters = outbox.counters(of: .record)
    let lost = counters.failed + counters.dropped + counters.refused + counters.oversized
    writeLine(
        "\(load.records) \(took.seconds) \(Double(milliseconds) / 1_000) \(usage.ru_maxrss) "
            + "\(counters.acknowledged) \(lost)", to: 1)
}

/// Sends it all.
/// - Returns: whether every record was acknowledged.
func measure(_ load: Load) throws(Failure) -> Bool {
    let log = Log.standardError(level: .warning)
    let loop: EventLoop
    do throws(SystemError) { loop = try EventLoop() } catch { throw .system(error) }
    let producer: Producer
    let topic: TopicID
    do throws(KafkaError) {
        producer = try Producer(name: "kedge-bench", properties: load.properties, loop: loop, log: log)
        topic = try producer.topic(named: load.topic)
    } catch {
        throw .kafka(error)
    }
    let outbox = Outbox(
        settings: OutboxSettings(), node: "bench", boot: "0123456789ab", transport: producer, loop: loop, log: log)
    let path = TelemetryPath(
        lanes: (0..<load.sensors).map {
            TelemetryPath.Lane(
                series: Series(sensorID: name(of: $0), unit: nil), filters: FilterChain(), topic: topic)
        }, settings: RecordSettings(), outbox: outbox, time: loop.time)

    let begin = loop.time.now
    do throws(SystemError) {
        for index in 0..<load.records {
            path.accept(
                Sample(
                    series: SeriesID(index % load.sensors),
                    value: .number(20 + 5 * sin(2 * Double.pi * Double(index) / 1_000)), taken: loop.time.now))
            // The path drops rather than blocks; this source can wait, so it does while the producer is full.
            while outbox.waitingCount > 64 { try loop.turn(atMost: .milliseconds(100)) }
            if load.rate > 0 {
                let due = begin + .nanoseconds(Int64(index + 1) * 1_000_000_000 / load.rate)
                while loop.time.now < due { try loop.turn(atMost: due - loop.time.now) }
            } else if index % 64 == 63 {
                try loop.turn(atMost: .zero)
            }
        }
        let limit = loop.time.now + .seconds(60)
        while !outbox.isEmpty, loop.time.now < limit {
            var isDone = false
            producer.flush(within: .milliseconds(500)) { _ in isDone = true }
            while !isDone { try loop.turn(atMost: .milliseconds(100)) }
        }
    } catch {
        throw .system(error)
    }
    report(load, outbox, took: loop.time.now - begin)
    producer.close()
    return outbox.counters(of: .record).acknowledged == UInt64(load.records)
}

guard let load = readArguments() else {
    writeLine("usage: telemetry-path BOOTSTRAP TOPIC SENSORS RECORDS RATE [name=value ...]", to: 2)
    exit(64)
}
do throws(Failure) {
    exit(try measure(load) ? 0 : 1)
} catch {
    writeLine(error.description, to: 2)
    exit(69)
}
