import Actuators
import Commands
import Hardware
import Kafka
import Outbox
import Platform
import Records
import Sensors

/// Wires the two paths together and takes them through start and stop. It knows all stages; they do not know each
/// other. Everything here runs on the loop's thread.
public final class Agent {
    /// The path from sensors to Kafka.
    public let telemetry: TelemetryPath
    /// Where records and replies wait.
    public let outbox: Outbox
    /// What the actuators are, in the order of the configuration.
    public let actuators: [Actuator]

    private let settings: AgentSettings
    private let loop: any Loop
    private let log: Log
    private let producer: LastingProducer
    private let sampler: Sampler
    private let commands: CommandPath?
    private var stopTimer: TimerID?
    private var onStopped: ((Int) -> Void)?

    /// Makes everything and touches the actuators' lines, which are at their safe values from then on. Nothing is
    /// sampled or received before `start`.
    /// - Throws: `AgentError` for what would not be right later either: a thread that is not to be had, properties
    ///   that librdkafka refuses. Absent brokers, buses, sensors and actuators are waited for.
    public init(
        settings: AgentSettings, hardware: any Hardware, loop: any Loop, log: Log
    ) throws(AgentError) {
        self.settings = settings
        self.loop = loop
        self.log = log
        let client = "kedge-\(settings.node)"
        do throws(KafkaError) {
            producer = try LastingProducer(
                name: client, properties: settings.kafka.producer, loop: loop, log: log)
            outbox = Outbox(
                settings: settings.outbox, node: settings.node, boot: bootIdentifier(), transport: producer,
                loop: loop, log: log)
            telemetry = try Self.telemetry(settings, producer, outbox, loop)
        } catch {
            throw .kafka(error)
        }
        let telemetry = telemetry
        sampler = Sampler(loop: loop, log: log, seed: UInt64(truncatingIfNeeded: loop.time.now.nanoseconds)) {
            telemetry.accept($0)
        }
        do throws(SystemError) {
            try sampler.add(settings.sensors, buses: settings.buses, hardware: hardware, loop: loop)
        } catch {
            throw .system(error)
        }
        var actuators: [Actuator] = []
        for plan in settings.actuators { actuators.append(plan.start(on: hardware, loop: loop, log: log)) }
        self.actuators = actuators
        // A node without actuators listens only where it is told to.
        guard !actuators.isEmpty || settings.commands.isExplicit else {
            commands = nil
            return
        }
        do throws(KafkaError) {
            commands = try CommandPath(
                settings: settings, client: client, actuators: actuators, producer: producer, outbox: outbox,
                loop: loop,
                log: log)
        } catch {
            throw .kafka(error)
        }
    }

    private static func telemetry(
        _ settings: AgentSettings, _ producer: LastingProducer, _ outbox: Outbox, _ loop: any Loop
    ) throws(KafkaError) -> TelemetryPath {
        var lanes: [TelemetryPath.Lane] = []
        for sensor in settings.sensors {
            let series = sensor.plan.series
            for index in 0..<min(series.count, sensor.channels.count) {
                let channel = sensor.channels[index]
                lanes.append(
                    TelemetryPath.Lane(
                        series: series[index], filters: channel.filters, topic: try producer.topic(named: channel.topic)
                    ))
            }
        }
        return TelemetryPath(lanes: lanes, settings: settings.records, outbox: outbox, time: loop.time)
    }

    /// Begins to sample and to take commands.
    public func start() {
        log.info(
            "node \(settings.node): \(settings.sensors.count) sensors, \(settings.channelCount) channels, "
                + "\(actuators.count) actuators")
        sampler.start()
    }

    /// Called with a topic of commands when what is sent to it is received from now on.
    public var onReceiving: ((String) -> Void)? {
        get { commands?.onReceiving }
        set { commands?.onReceiving = newValue }
    }

    /// Ends in order: sampling and commands at once, then the actuators go to their safe values, then what is queued
    /// is sent for at most `stop_within`.
    /// - Parameter done: gets the number of records that were left, from the loop.
    public func stop(_ done: @escaping (Int) -> Void) {
        guard onStopped == nil else { return }
        onStopped = done
        sampler.stop()
        commands?.close()
        for actuator in actuators { actuator.stop() }
        let deadline = loop.time.now + settings.stopWithin
        if !outbox.isEmpty { log.info("sending the last \(outbox.pendingCount) records") }
        flush(until: deadline)
    }

    /// The producer knows of what it was handed; the outbox may have more, and an actuator may yet answer a command.
    private func flush(until deadline: Instant) {
        let left = deadline - loop.time.now
        guard !outbox.isEmpty, left > .zero else {
            onStopped?(outbox.pendingCount)
            return
        }
        producer.flush(within: min(left, .milliseconds(200))) { [unowned(unsafe) self] _ in
            loop.after(.milliseconds(1)) { [unowned(unsafe) self] in flush(until: deadline) }
        }
    }

    /// Ends the clients. After `stop`, or instead of it when there is no time.
    public func close() {
        sampler.stop()
        for actuator in actuators { actuator.stop() }
        commands?.close()
        producer.close()
    }

    /// What has been done, in words: "1500 samples, 1500 acknowledged …". It begins with the number of samples.
    public var status: String {
        let counters = outbox.counters(of: .record)
        var causes = ""
        for entry in outbox.failures.entries { causes = joined(causes, " ", entry.name, ":", decimal(entry.count)) }
        return joined(
            decimal(telemetry.samples), " samples, ", decimal(telemetry.filtered), " filtered, ",
            decimal(counters.acknowledged), " acknowledged, ", decimal(counters.failed), " failed", causes, ", ",
            decimal(counters.dropped + counters.refused + counters.oversized), " dropped, ",
            decimal(outbox.pendingCount), " waiting")
    }
}
