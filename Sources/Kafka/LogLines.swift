import CRdkafka
import CShim
import Platform

/// librdkafka's log lines on their way to the agent's log, no more than so many in a while.
struct LogLines {
    private let name: String
    private let loop: any Loop
    private let log: Log
    private var windowEnd: Instant
    private var left = Self.linesPerWindow
    private var dropped = 0

    private static let linesPerWindow = 30
    private static let window = Interval.seconds(10)

    init(name: StaticString, loop: any Loop, log: Log) {
        self.name = "kafka \(name.text)"
        self.loop = loop
        self.log = log
        windowEnd = loop.time.now + Self.window
    }

    mutating func take(_ event: OpaquePointer) {
        var facility: UnsafePointer<CChar>?
        var text: UnsafePointer<CChar>?
        var severity: Int32 = 7
        guard rd_kafka_event_log(event, &facility, &text, &severity) == 0, let text else { return }
        var level = Self.level(severity: severity)
        // Of the embedded broker, which calls itself that old.
        if level == .warning, let facility, strcmp(facility, "AUTOCREATE") == 0 { level = .debug }
        guard level <= log.level else { return }
        if loop.time.now >= windowEnd {
            flush()
            windowEnd = loop.time.now + Self.window
            left = Self.linesPerWindow
        }
        guard left > 0 else {
            dropped += 1
            return
        }
        left -= 1
        let line = "\(name): \(facility.map { String(cString: $0) + ": " } ?? "")\(String(cString: text))"
        switch level {
        case .error: log.error(line)
        case .warning: log.warning(line)
        default: log.debug(line)
        }
    }

    /// Says how many lines were left out.
    mutating func flush() {
        if dropped > 0 { log.debug("\(name): \(dropped) more lines of librdkafka left out") }
        dropped = 0
    }

    /// syslog severities. Errors (3) come as events too, where they are said once: as lines they are for debugging.
    private static func level(severity: Int32) -> Log.Level {
        switch severity {
        case ...2: .error
        case 4: .warning
        default: .debug
        }
    }
}
