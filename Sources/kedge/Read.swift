import Agent
import CShim
import Hardware
import Platform
import Records
import Sensors

extension Subcommand {
    static var read: Subcommand {
        Subcommand(
            name: "read", summary: "sample every sensor once and print it, without Kafka",
            synopsis: "[options] [CONFIG]",
            description: """
                Measures every sensor of CONFIG (/etc/kedge/kedge.yaml) once, now, and prints
                one line a channel: its sensorID, value and unit, or why there is none. With
                --json each line is the record as the agent would send it. Filters are not
                applied. Not while the agent runs: its GPIO lines are taken.

                Exits with 69 when any sensor failed.
                """,
            options: [
                Options.Option("sensor", "ID", letter: "s", "only this sensor; may be repeated"),
                Options.Option(flag: "json", "print records"),
            ],
            operands: 0...1,
            examples: """
                kedge read kedge.yaml
                kedge read kedge.yaml --sensor greenhouse --json
                """,
            body: runRead)
    }

    private static func runRead(_ options: Options) -> ExitCode {
        guard let settings = loadConfiguration(options.operands.first ?? defaultConfiguration) else {
            return .configuration
        }
        var sensors = settings.sensors
        let wanted = options.all("sensor")
        for id in wanted where !sensors.contains(where: { sameBytes($0.plan.id, id) }) {
            return Subcommand.read.wrongUsage("the configuration has no sensor \(id)")
        }
        if !wanted.isEmpty { sensors = sensors.filter { contains(wanted, $0.plan.id) } }
        return withLoop(level: .error) { loop, log in
            guard let readings = readOnce(sensors, settings, loop, log) else { return .failure }
            let isKnown = settings.clock.source == .trust || KernelWallClock.isSynchronised
            let printer = ReadingPrinter(
                settings: settings.records, time: loop.time, clock: isKnown ? .synchronised : .unsynced,
                asJSON: options.has("json"))
            for index in 0..<min(readings.count, sensors.count) { printer.print(sensors[index].plan, readings[index]) }
            return printer.failures == 0 ? .success : .unavailable
        }
    }

    /// Measures `sensors` on this machine's hardware and waits for all of them.
    static func readOnce(
        _ sensors: [AgentSettings.SensorSettings], _ settings: AgentSettings, _ loop: EventLoop, _ log: Log
    ) -> [SensorReading]? {
        let hardware = KernelHardware(time: loop.time, attach: attachSimulatedDevices)
        let sampler = Sampler(loop: loop, log: log) { _ in }
        do throws(SystemError) {
            let buses = BusThreads(settings.buses, hardware: hardware, loop: loop)
            try sampler.add(sensors, buses: buses, hardware: hardware, loop: loop)
        } catch {
            log.error(error.description)
            return nil
        }
        var result: [SensorReading]?
        // From within the loop, so that `stop` finds it running.
        loop.after(.zero) {
            sampler.readAll {
                result = $0
                loop.stop()
            }
        }
        loop.runUntilStopped(after: nil, log: log)
        sampler.stop()
        return result
    }
}

/// Prints readings as lines for people, or as records.
private final class ReadingPrinter {
    private(set) var failures = 0
    private let settings: RecordSettings
    private let time: any TimeSource
    private let clock: ClockState
    private let asJSON: Bool
    private let output = LineWriter()

    init(settings: RecordSettings, time: any TimeSource, clock: ClockState, asJSON: Bool) {
        self.clock = clock
        self.settings = settings
        self.time = time
        self.asJSON = asJSON
    }

    func print(_ plan: SensorPlan, _ reading: SensorReading) {
        let series = plan.series
        for channel in 0..<series.count where plan.channels[channel].isEnabled {
            let sample: Sample
            switch reading.outcome {
            case .values(let values, let taken):
                guard channel < values.count else { continue }
                sample = Sample(series: SeriesID(0), value: values[channel], taken: taken)
            case .failed(let error):
                sample = Sample(
                    series: SeriesID(0), value: .integer(0), quality: .bad(reason: error.code), taken: time.now)
            }
            if asJSON {
                write(sample, of: series[channel])
            } else {
                writeLine(line(sample, reading, series[channel]), to: 1)
            }
        }
        if case .failed = reading.outcome { failures += 1 }
    }

    private func write(_ sample: Sample, of series: Series) {
        let encoder = RecordEncoder(settings: settings, series: [series])
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: encoder.maximumBytes(for: sample), alignment: 1)
        defer { memory.deallocate() }
        var writer = ByteWriter(memory)
        encoder.encode(sample, wallTime: time.wallTime(at: sample.taken), clock: clock, into: &writer)
        _ = output.write(writer.written)
    }

    private func line(_ sample: Sample, _ reading: SensorReading, _ series: Series) -> String {
        let start = padded(series.sensorID, to: 32)
        if case .failed(let error) = reading.outcome { return "\(start)failed: \(error.description)" }
        let unit = series.unit.map { " \($0)" } ?? ""
        switch sample.value {
        case .number(let number): return "\(start)\(number)\(unit)"
        case .integer(let integer): return "\(start)\(integer)\(unit)"
        case .boolean(let boolean): return "\(start)\(boolean)\(unit)"
        case .text(let text): return "\(start)\(text)"
        }
    }
}
