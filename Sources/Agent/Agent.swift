import Actuators
import Commands
import Hardware
import Kafka
import Outbox
import Platform
import Records
import Sensors
import Storage

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
    private let clock: ClockWatch
    private let producer: LastingProducer
    private let sampler: Sampler
    /// The threads that sensors and actuators share.
    private let buses: BusThreads
    private let commands: CommandPath?
    private let heartbeat: Heartbeat?
    private var stopTimer: TimerID?
    private var onStopped: ((Int) -> Void)?
    private var isSending = true
    private var hasConcluded = false
    /// Until when a stop waits for actuators' states.
    private var statesUntil: Instant?

    /// Makes everything and touches the actuators' lines, which are at their safe values from then on. Nothing is
    /// sampled or received before `start`.
    /// - Parameters:
    ///   - stateDirectory: where the service may keep files; `commands.path` is in it unless it is set.
    ///   - wallClock: what the kernel says of the wall clock, where the configuration wants to know; `nil` asks it.
    ///   - closing: where Kafka clients end that are replaced; `nil` is a thread for each path.
    /// - Throws: `AgentError` for what would not be right later either: a thread that is not to be had, properties
    ///   that librdkafka refuses, another agent that has the file of the claims. Absent brokers, buses, sensors and actuators are waited for.
    public init(
        settings: AgentSettings, hardware: any Hardware, stateDirectory: String? = nil, loop: any Loop, log: Log,
        wallClock: (any WallClock)? = nil, closing: (any WorkQueue)? = nil
    ) throws(AgentError) {
        self.settings = settings
        self.loop = loop
        self.log = log
        let word = settings.clock.source == .trust ? nil : wallClock ?? KernelWallClock(loop: loop)
        clock = ClockWatch(settings: settings.clock, wallClock: word, loop: loop, log: log)
        let client = "kedge-\(settings.node)"
        // A node without actuators listens only where it is told to.
        let takesCommands = !settings.actuators.isEmpty || settings.commands.isExplicit
        let claims = try Self.claims(takesCommands, settings, stateDirectory)
        do throws(KafkaError) {
            producer = try LastingProducer(
                name: client, kafka: settings.kafka, delivery: settings.delivery,
                positionTopic: settings.records.topic, closing: closing, loop: loop, log: log)
        } catch {
            throw .kafka(error)
        }
        var disk: Disk?
        do throws(SystemError) {
            disk = try Self.disk(settings, producer, loop)
        } catch {
            throw .system(error)
        }
        do throws(KafkaError) {
            outbox = Outbox(
                settings: settings.outbox, node: settings.node, boot: bootIdentifier(), transport: producer,
                disk: disk, loop: loop, log: log)
            telemetry = try Self.telemetry(settings, producer, outbox, clock, loop)
            let outbox = outbox
            producer.onGone = { [unowned(unsafe) outbox] doubtful, isInUse in
                outbox.offerAgain(except: doubtful, isInUse: isInUse)
            }
            if settings.delivery.mode == .exactlyOnce, disk != nil { producer.follow(outbox) }
        } catch {
            throw .kafka(error)
        }
        let telemetry = telemetry
        buses = BusThreads(settings.buses, hardware: hardware, loop: loop, log: log)
        sampler = Sampler(loop: loop, log: log, seed: UInt64(truncatingIfNeeded: loop.time.now.nanoseconds)) {
            telemetry.accept($0)
        }
        do throws(SystemError) {
            try sampler.add(settings.sensors, buses: buses, hardware: hardware, loop: loop)
        } catch {
            throw .system(error)
        }
        do throws(SystemError) {
            actuators = try ActuatorPlan.start(settings.actuators, on: hardware, buses: buses, loop: loop, log: log)
        } catch {
            throw .system(error)
        }
        heartbeat = settings.heartbeat.map { [actuators] in
            Heartbeat($0, gpio: hardware.gpio, actuators: actuators, loop: loop, log: log)
        }
        guard takesCommands else {
            commands = nil
            return
        }
        commands = try CommandPath(
            settings: settings, client: client, claims: claims, actuators: actuators, producer: producer,
            outbox: outbox, closing: closing, loop: loop, log: log)
    }

    /// Where claims are kept; `nil` is in memory only.
    /// - Throws: `AgentError` when another agent has the file. Before an actuator is touched: it may be the other's.
    private static func claims(
        _ takesCommands: Bool, _ settings: AgentSettings, _ stateDirectory: String?
    ) throws(AgentError) -> ClaimDatabase? {
        guard takesCommands, let path = settings.commands.path ?? stateDirectory.map({ joined($0, "/commands.db") })
        else { return nil }
        let claims = ClaimDatabase(path: path)
        do throws(StorageError) {
            try claims.lock()
        } catch {
            throw .storage(error)
        }
        return claims
    }

    /// The disk with its thread; `nil` where nothing goes there.
    private static func disk(
        _ settings: AgentSettings, _ producer: LastingProducer, _ loop: any Loop
    ) throws(SystemError) -> Disk? {
        guard let path = settings.outbox.path, settings.usesDisk else { return nil }
        return Disk(
            path: path, maxSize: settings.outbox.maxSize, queue: try Worker(name: "kedge-disk", loop: loop),
            topics: producer)
    }

    private static func telemetry(
        _ settings: AgentSettings, _ producer: LastingProducer, _ outbox: Outbox, _ clock: ClockWatch, _ loop: any Loop
    ) throws(KafkaError) -> TelemetryPath {
        var lanes: [TelemetryPath.Lane] = []
        for sensor in settings.sensors {
            let series = sensor.plan.series
            for index in 0..<min(series.count, sensor.channels.count) {
                let channel = sensor.channels[index]
                lanes.append(
                    TelemetryPath.Lane(
                        series: series[index], filters: channel.filters,
                        topic: try producer.topic(named: channel.topic),
                        durability: sensor.durability))
            }
        }
        return TelemetryPath(
            lanes: lanes, settings: settings.records, outbox: outbox, time: loop.time, clock: clock,
            maxWaiting: settings.clock.maxMemory)
    }

    /// Begins to sample and to take commands.
    public func start() {
        log.info(
            "node \(settings.node): \(settings.sensors.count) sensors, \(settings.channelCount) channels, "
                + "\(actuators.count) actuators")
        sampler.start()
        commands?.start()
    }

    /// Called when another agent has taken this node's place at the brokers (only where delivery is exactly once): nothing
    /// is sent any more. Stop, and do not start again before that is settled.
    public var onFenced: ((KafkaError) -> Void)? {
        get { producer.onFenced }
        set { producer.onFenced = newValue }
    }

    /// Called with a topic of commands when what is sent to it is received from now on.
    public var onReceiving: ((String) -> Void)? {
        get { commands?.onReceiving }
        set { commands?.onReceiving = newValue }
    }

    /// Ends in order: the actuators go to their safe values, sampling and commands end, then what is queued is sent for
    /// at most `stop_within`, and what is left of it goes to the disk.
    /// - Parameters:
    ///   - sending: `false` when nothing can be sent any more: what is queued goes to the disk alone.
    ///   - done: gets the number of records that are lost with the process, from the loop.
    public func stop(sending: Bool = true, _ done: @escaping (Int) -> Void) {
        guard onStopped == nil else { return }
        onStopped = done
        // Before all that takes time.
        for actuator in actuators { actuator.stop() }
        sampler.stop()
        telemetry.finish()
        commands?.stop()
        isSending = sending
        let deadline = loop.time.now + settings.stopWithin
        if sending, outbox.owedCount > 0 { log.info("sending the last \(outbox.owedCount) records") }
        flush(until: deadline)
    }

    /// How much later than `stop_within` the end may be because brokers do not answer to the leaving of the group.
    private static var leavingTime: Interval { .seconds(-4) }
    /// How long states are waited for once the actuators are safe. Nothing is lost without them: the next start publishes
    /// all anew.
    private static var stateTime: Interval { .seconds(2) }

    private func conclude() {
        if hasConcluded { return }
        hasConcluded = true
        if let stopTimer { loop.cancel(stopTimer) }
        stopTimer = nil
        onStopped?(outbox.unstoredCount)
    }

    /// The producer knows of what it was handed; the outbox may have more, an actuator may yet be on its way to its safe
    /// value or answer a command, and what was answered may wait for the disk.
    private func flush(until deadline: Instant) {
        let left = deadline - loop.time.now
        outbox.tellGaps()
        // One that was switched on is tried again for as long as there is time; one that was never reached is not.
        let areActuatorsSafe = actuators.allSatisfy { $0.isSafe || ($0.isOutOfHand && !$0.hasLeft) }
        if areActuatorsSafe, statesUntil == nil { statesUntil = loop.time.now + Self.stateTime }
        let isEmpty = outbox.isEmpty || outbox.owedCount == 0 && statesUntil.map { loop.time.now >= $0 } ?? false
        let isQuiet = (isEmpty || !isSending) && telemetry.waitingCount == 0 && areActuatorsSafe
        // Only now is it known which replies have arrived, and that is written down, too.
        if isQuiet { commands?.noteDeliveries() }
        // A group that is not left keeps the next start waiting for session.timeout.ms.
        let isLeaving = commands?.isLeaving == true && left > Self.leavingTime
        guard isLeaving || (!isQuiet || commands?.isIdle == false) && left > .zero else {
            heartbeat?.stop()
            telemetry.finishAtOnce()
            // A disk may hang for good; the service manager's patience ends later than this.
            stopTimer = loop.after(.seconds(15)) { [unowned(unsafe) self] in
                stopTimer = nil
                log.error("the disk does not answer: going without it")
                conclude()
            }
            outbox.store { [unowned(unsafe) self] in conclude() }
            return
        }
        if isEmpty || !isSending {
            loop.after(.milliseconds(5)) { [unowned(unsafe) self] in flush(until: deadline) }
            return
        }
        producer.flush(within: min(left, .milliseconds(200))) { [unowned(unsafe) self] _ in
            loop.after(.milliseconds(1)) { [unowned(unsafe) self] in flush(until: deadline) }
        }
    }

    /// Ends the clients. After `stop`, or instead of it when there is no time.
    public func close() {
        for actuator in actuators { actuator.stop() }
        sampler.stop()
        heartbeat?.stop()
        telemetry.finishAtOnce()
        commands?.close()
        producer.close()
    }

    /// Records that would be lost if the process ended now.
    public var unstoredCount: Int { outbox.unstoredCount + telemetry.waitingCount }

    /// What has been done, in words: "1500 samples, 1500 acknowledged …". It begins with the number of samples.
    public var status: String {
        var counters = outbox.counters(of: .record)
        for lane in [Outbox.Lane.memory, .backlog] {
            let more = outbox.counters(of: lane)
            counters.acknowledged += more.acknowledged
            counters.failed += more.failed
            counters.dropped += more.dropped
            counters.refused += more.refused
            counters.oversized += more.oversized
        }
        var causes = ""
        for entry in outbox.failures.entries { causes = joined(causes, " ", entry.name, ":", decimal(entry.count)) }
        return joined(
            decimal(telemetry.samples), " samples, ", decimal(telemetry.filtered), " filtered, ",
            decimal(counters.acknowledged), " acknowledged, ", decimal(counters.failed), " failed", causes, ", ",
            decimal(counters.dropped + counters.refused + counters.oversized), " dropped, ",
            decimal(outbox.owedCount + telemetry.waitingCount), " waiting", missingStatus, diskStatus,
            commands.map { $0.counters.words } ?? "")
    }

    /// What was never measured, where there is such.
    private var missingStatus: String {
        let missing = sampler.missing
        return joined(
            missing.slots == 0 ? "" : joined(", ", decimal(missing.slots), " slots missed"),
            missing.edges == 0 ? "" : joined(", ", decimal(missing.edges), " edges lost"))
    }

    /// What the disk has, and what it has cost so far: an SD card wears by it.
    private var diskStatus: String {
        guard let disk = outbox.diskStatus else { return "" }
        let state: StaticString
        switch disk.state {
        case .opening: state = " (opening)"
        case .up, .closed: state = ""
        case .down: state = " (does not work)"
        case .silent: state = " (does not answer)"
        }
        let silences = disk.silences == 0 ? "" : joined(", no answer from it: ", decimal(disk.silences))
        return joined(
            ", ", decimal(disk.records), " on disk", String(state), ", ", decimal(disk.written.bytes / 1_000),
            " kB and ", decimal(disk.written.syncs), " fsyncs written", silences)
    }
}
