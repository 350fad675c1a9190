import Foundation
import Testing

/// A broker of its own for a test, in another process.
final class BrokerProcess {
    let process: KedgeProcess
    let bootstrap: String

    init(_ arguments: String...) throws {
        process = try KedgeProcess(["broker"] + arguments)
        let line = try process.outputLine(with: "bootstrap.servers=")
        bootstrap = String(line.dropFirst("bootstrap.servers=".count))
    }
}

/// A record as a consumer reads it.
struct ReceivedRecord: Decodable {
    let sensorID: String
    let value: Double?
    let timestamp: Double
}

private func records(_ lines: [String]) -> [ReceivedRecord] {
    lines.compactMap { try? JSONDecoder().decode(ReceivedRecord.self, from: Data($0.utf8)) }
}

/// A port that nobody listens on now.
func freePort() throws -> Int {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
        }
    }
    try #require(bound)
    return Int(UInt16(bigEndian: address.sin_port))
}

/// The two paths through real processes: broker, agent, consumer and sender apart from each other.
@Suite(.serialized) struct PathTests {
    @Test func theDemoShowsRecordsAndACommandsWayAndEndsByItself() throws {
        let result = try KedgeProcess.run("demo", "--for", "4s")
        #expect(result.code == 0, "\(result.errors)")
        let text = result.output.joined(separator: "\n")
        #expect(text.contains(#"{"sensorID":"greenhouse.temperature","value":"#))
        #expect(text.contains(#"{"sensorID":"door","value":"#))
        #expect(text.contains(#""actuator":"pump","status":"done","value":1,"#))
        #expect(text.contains(" ms"))
    }

    @Test func recordsReachAConsumerAndCommandsTheirReplies() throws {
        let broker = try BrokerProcess(
            "-n", "3", "--topic", "commands", "--topic", "commands.greenhouse", "--topic", "commands.pi-07")
        let folder = try TemporaryFolder()
        let file = try folder.file(
            "kedge.yaml",
            """
            node: pi-07
            layer: greenhouse
            clock: trust
            kafka:
              all: { bootstrap.servers: "${env:KEDGE_TEST_SERVERS}" }
              producer: { linger.ms: 20 }
            sensors:
              - { id: wave, driver: sim, waveform: sine, amplitude: 5, offset: 20, period: 10s, every: 100ms }
            actuators:
              - { id: fan, driver: sim, min: 0, max: 100, safe: 0 }
            commands: { topics: [commands, "commands.{layer}", "commands.{node}"], replies: replies }
            """)
        let agent = try KedgeProcess(["run", file], environment: ["KEDGE_TEST_SERVERS": broker.bootstrap])
        let watch = try KedgeProcess(["watch", "sensors", "-b", broker.bootstrap, "--from", "beginning"])
        try watch.outputLine(with: #"{"sensorID":"wave","value":"#)
        // A first start begins at the end of a topic, and has that end when it says so.
        for topic in ["commands", "commands.greenhouse", "commands.pi-07"] {
            try agent.errorLine(with: "taking commands from \(topic)")
        }
        for topic in ["commands", "commands.greenhouse", "commands.pi-07"] {
            let sent = try KedgeProcess.run(
                "send", "fan", "42.5", "--topic", topic, "-b", broker.bootstrap, "--timeout", "60s")
            #expect(sent.code == 0, "\(topic): \(sent.errors)")
            #expect(sent.output.contains { $0.contains(#""actuator":"fan","status":"done","value":42.5,"#) })
        }
        let refused = try KedgeProcess.run("send", "fan", "142", "-b", broker.bootstrap, "--timeout", "60s")
        #expect(refused.code == 1)
        #expect(refused.output.contains { $0.contains(#""status":"rejected""#) && $0.contains("100") })
        #expect(try agent.stop() == 0)
        #expect(try watch.stop() == 0)
    }

    @Test func anOrderlyStopLosesNothingThatWasSampled() throws {
        let broker = try BrokerProcess()
        let folder = try TemporaryFolder()
        let sensors = (0..<20).map { "  - { id: count-\($0), driver: sim, waveform: counter, every: 10ms }" }
        let file = try folder.file(
            "kedge.yaml",
            """
            node: pi-01
            clock: trust
            kafka:
              all: { bootstrap.servers: "\(broker.bootstrap)" }
              producer: { linger.ms: 500 }
            buses: { desk: { simulated: true } }
            sensors:
              - { id: bus, driver: bme280, bus: desk, address: 0x76, every: 1s, topic: elsewhere }
              - { id: file, driver: sysfs, path: /proc/sys/kernel/pid_max, every: 1s, topic: elsewhere }
            \(sensors.joined(separator: "\n"))
            """)
        // A bus and a file, so that there are worker threads: the signal must not end the process there.
        let watch = try KedgeProcess(["watch", "sensors", "-b", broker.bootstrap, "--from", "beginning"])
        let agent = try KedgeProcess(["run", file])
        try watch.outputLine(with: #""value":100,"#)
        #expect(try agent.stop() == 0)
        let summary = try agent.errorLine(with: "stopped: ")
        let sampled = try #require(Int(summary.split(separator: " ")[1]))
        #expect(summary.contains(" \(sampled) acknowledged, 0 failed, 0 dropped, 0 waiting"), "\(summary)")
        let elsewhere = try KedgeProcess.run(
            "watch", "elsewhere", "-b", broker.bootstrap, "--from", "beginning", "--for", "2s")
        let expected = sampled - elsewhere.output.count
        #expect(elsewhere.output.count >= 4)
        #expect(KedgeProcess.wait(within: 30) { watch.outputCount >= expected })
        #expect(try watch.stop() == 0)
        let received = records(watch.outputLines)
        #expect(received.count == expected)
        #expect(expected > 2_000)
        // Each sensor's values are 0, 1, 2 …: no gap, no duplicate, no exchange.
        for (sensor, values) in Dictionary(grouping: received, by: \.sensorID) {
            #expect(values.map { $0.value ?? -1 } == (0..<values.count).map(Double.init), "\(sensor)")
        }
    }

    @Test func theAgentOutlivesItsBrokerAndSaysOnceWhatItWaitsFor() throws {
        let port = try freePort()
        let folder = try TemporaryFolder()
        let file = try folder.file(
            "kedge.yaml",
            """
            node: pi-01
            clock: trust
            kafka:
              all: { bootstrap.servers: "127.0.0.1:\(port)", reconnect.backoff.ms: 100, reconnect.backoff.max.ms: 500 }
              producer: { linger.ms: 20 }
            sensors:
              - { id: count, driver: sim, waveform: counter, every: 50ms }
            """)
        let agent = try KedgeProcess(["run", file])
        try agent.errorLine(with: "waiting for")
        #expect(!KedgeProcess.wait(within: 3) { agent.errorLines.filter { $0.contains("waiting for") }.count > 1 })

        var broker = try BrokerProcess("--port", "\(port)")
        let first = try KedgeProcess(["watch", "sensors", "-b", broker.bootstrap, "--from", "beginning"])
        // What was sampled before there was a broker arrives too, from the first sample on.
        try first.outputLine(with: #"{"sensorID":"count","value":0,"#)
        _ = try first.stop()

        broker.process.signal(SIGKILL)
        _ = try broker.process.exitCode()
        try #require(
            KedgeProcess.wait(within: 30) { agent.errorLines.filter { $0.contains("waiting for") }.count == 2 })
        broker = try BrokerProcess("--port", "\(port)")
        let second = try KedgeProcess(["watch", "sensors", "-b", broker.bootstrap, "--from", "beginning"])
        #expect(KedgeProcess.wait(within: 60) { records(second.outputLines).count > 20 })
        #expect(try second.stop() == 0)
        let values = records(second.outputLines).map { $0.value ?? -1 }
        #expect(zip(values, values.dropFirst()).allSatisfy { $1 == $0 + 1 })
        #expect(try agent.stop() == 0)
        #expect(agent.errorLines.filter { $0.contains("waiting for") }.count == 2, "\(agent.errorLines)")
    }

    @Test func whatWasNeverMeasuredIsToldAtTheEnd() throws {
        let broker = try BrokerProcess()
        let folder = try TemporaryFolder()
        let configuration = try folder.file(
            "kedge.yaml",
            """
            node: pi-01
            kafka: { all: { bootstrap.servers: "\(broker.bootstrap)" } }
            sensors:
              - { id: slow, driver: sim, every: 50ms, stall_rate: 1, stall: 300ms }
            """)
        let result = try KedgeProcess.run("run", configuration, "--for", "2s")
        #expect(result.code == 0)
        let summary = try #require(result.errors.last { $0.contains("stopped: ") })
        #expect(summary.contains(" slots missed, "), "\(summary)")
    }

    /// What a file of /proc/PID says of an agent that is connected, which then stops in an orderly way.
    private func told(of name: String) throws -> String {
        let broker = try BrokerProcess()
        let folder = try TemporaryFolder()
        let configuration = try folder.file(
            "kedge.yaml",
            """
            node: pi-01
            kafka: { all: { bootstrap.servers: "\(broker.bootstrap)" } }
            sensors:
              - { id: count, driver: sim, every: 1s }
            """)
        let agent = try KedgeProcess(["run", configuration])
        try agent.errorLine(with: "connected")
        // Of a file without a size Foundation's contentsOfFile reads a part only.
        let file = try #require(FileHandle(forReadingAtPath: "/proc/\(agent.identifier)/\(name)"))
        let text = String(decoding: file.readDataToEndOfFile(), as: UTF8.self)
        #expect(try agent.stop() == 0)
        return text
    }

    /// A plugin is a library in a folder `sasl2`; librdkafka's SASL library itself is `libsasl2`.
    @Test func anAgentLoadsNoPluginsThatItDoesNotUse() throws {
        let maps = try told(of: "maps")
        #expect(maps.contains("/libsasl2.so"))
        #expect(!maps.contains("/sasl2/"))
    }

    /// What the guard does when it rings is tested in PlatformTests; here, that a running agent has one.
    @Test func theAgentHasAnAlarmThatEndsAStandstill() throws {
        let status = try told(of: "status")
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("SigCgt:") })
        let caught = try #require(UInt64(line.split(separator: "\t")[1], radix: 16))
        #expect(caught & 1 << (UInt64(SIGALRM) - 1) != 0)
    }

    @Test func whatIsLeftAtTheStopIsToldByTheExitCode() throws {
        let port = try freePort()
        let folder = try TemporaryFolder()
        let file = try folder.file(
            "kedge.yaml",
            """
            node: pi-01
            stop_within: 1s
            clock: trust
            kafka:
              all: { bootstrap.servers: "127.0.0.1:\(port)" }
            sensors:
              - { id: count, driver: sim, waveform: counter, every: 50ms }
            """)
        let agent = try KedgeProcess(["run", file])
        try agent.errorLine(with: "waiting for")
        #expect(try agent.stop(within: 30) == 75)
        #expect(agent.errorLines.contains { $0.contains(" are lost") }, "\(agent.errorLines)")
    }

    @Test func aThousandSensorsAtTenHertzAllArriveInBoundedMemory() throws {
        // So many partitions that the embedded broker, which keeps some megabytes of each, drops nothing meanwhile.
        let broker = try BrokerProcess("--topic", "sensors:16")
        let folder = try TemporaryFolder()
        let sensors = (0..<1_000).map { "  - { id: s\($0), driver: sim, waveform: counter, every: 100ms }" }
        let file = try folder.file(
            "kedge.yaml",
            """
            node: pi-01
            clock: trust
            kafka:
              all: { bootstrap.servers: "\(broker.bootstrap)" }
            sensors:
            \(sensors.joined(separator: "\n"))
            """)
        let watch = try KedgeProcess(["watch", "sensors", "-b", broker.bootstrap, "--from", "beginning"])
        let agent = try KedgeProcess(["run", file])
        try watch.outputLine(with: #""value":30,"#)
        let early = try #require(agent.peakMemory)
        try watch.outputLine(with: #""value":80,"#, within: 120)
        let late = try #require(agent.peakMemory)
        // Once running, memory does not grow with the records that pass: 50,000 have since the first look.
        #expect(late - early < 4_096, "from \(early) to \(late) KiB")
        #expect(try agent.stop() == 0)
        let summary = try agent.errorLine(with: "stopped: ")
        let sampled = try #require(Int(summary.split(separator: " ")[1]))
        #expect(KedgeProcess.wait(within: 60) { watch.outputCount >= sampled })
        #expect(records(watch.outputLines).count == sampled)
        #expect(sampled >= 80_000)
        _ = try watch.stop()
    }
}
