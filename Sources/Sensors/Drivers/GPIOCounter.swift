import Configuration
import Hardware
import Platform
import Records

/// Counts the edges of a GPIO line: rain gauges, flow and energy meters.
///
/// Channels: `count`, the edges of the period that ends at the sample's time, and `total`, those since the agent's
/// start, which lets a consumer bridge a lost record. Both are multiplied by `scale`; with a scale of 1 they are
/// integers. Edges belong to a period by the kernel's time stamp, not by when they were read. Edges that the kernel
/// dropped are counted too where it tells how many (libgpiod 2), and make the period's samples uncertain.
final class GPIOCounter: EventDriver {
    struct Settings: Equatable {
        var input: GPIOInput
        var every: Interval
        var scale: Double = 1
    }

    private let gpio: any GPIO
    private let settings: Settings
    private let factor: Factor
    private var loop: (any Loop)?
    private var report: ((SensorEvent) -> Void)?
    private var line: (any GPIOLine)?
    private var watched: Int32?
    private var timer: TimerID?
    private var grid: Grid
    /// Edges of this period.
    private var count: UInt64 = 0
    /// Edges read already whose time is after this period's end.
    private var early: UInt64 = 0
    private var total: UInt64 = 0
    private var lost: UInt64 = 0
    private var overruns: UInt64 = 0
    private var isUncertain = false
    private var hasStarted = false

    init(gpio: any GPIO, settings: Settings) {
        self.gpio = gpio
        self.settings = settings
        factor = Factor(settings.scale)
        grid = Grid(first: Instant(nanoseconds: 0), every: settings.every)
    }

    deinit { stop() }

    func start(on loop: any Loop, report: @escaping (SensorEvent) -> Void) throws(SensorError) {
        stop()
        let line = try settings.input.request(from: gpio)
        guard let descriptor = line.eventDescriptor else {
            throw .gpio(GPIOError(line: settings.input.line, cause: .unsupported("counting edges")))
        }
        do throws(SystemError) {
            try loop.watch(descriptor) { [unowned(unsafe) self] in self.takeEdges() }
        } catch {
            throw .system(error)
        }
        watched = descriptor
        self.loop = loop
        self.report = report
        self.line = line
        lost = line.lostEdges
        overruns = line.overruns
        // What happened while the line was not held was not counted.
        isUncertain = isUncertain || hasStarted
        hasStarted = true
        grid = Grid(first: loop.time.now + settings.every, every: settings.every)
        arm()
    }

    func stop() {
        if let watched { loop?.unwatch(watched) }
        if let timer { loop?.cancel(timer) }
        watched = nil
        timer = nil
        line = nil
        report = nil
        loop = nil
    }

    /// Ends the period early, so that its edges are not lost with the agent.
    func flush() {
        takeEdges()
        guard let loop, count + early > 0 else { return }
        count += early
        early = 0
        say(at: loop.time.now)
    }

    /// The counts so far; a driver that is not started only proves that it can have the line.
    func read(into values: inout [Value]) throws(SensorError) {
        if let line {
            try count(line)
        } else {
            _ = try settings.input.request(from: gpio)
        }
        values.append(scaled(count + early))
        values.append(scaled(total))
    }

    private func takeEdges() {
        guard let line else { return }
        do throws(SensorError) { try count(line) } catch { report?(.failed(error)) }
    }

    private func count(_ line: any GPIOLine) throws(SensorError) {
        let end = grid.slot
        try line.edges { edge in
            total += 1
            if edge.timestamp > end { early += 1 } else { count += 1 }
        }
        let dropped = line.lostEdges &- lost
        guard dropped > 0 || line.overruns != overruns else { return }
        lost = line.lostEdges
        overruns = line.overruns
        total += dropped
        count += dropped
        isUncertain = true
        report?(.lost(dropped))
    }

    private func endPeriod() {
        timer = nil
        takeEdges()
        guard let loop, let report else { return }
        let missed = grid.catchUp(to: loop.time.now)
        if missed > 0 {
            // The loop was away for more than a period: one sample covers all of it.
            report(.missed(missed))
            count += early
            early = 0
        }
        let end = grid.slot
        _ = grid.advance(notBefore: loop.time.now)
        arm()
        say(at: end)
    }

    /// Reports the period that ends now or ended a moment ago, and begins the next.
    private func say(at end: Instant) {
        guard let report else { return }
        let quality: Quality = isUncertain ? .uncertain(reason: "lost-edges") : .good
        let values = (count: scaled(count), total: scaled(total - early))
        count = early
        early = 0
        isUncertain = false
        report(.value(channel: 0, values.count, quality, end))
        report(.value(channel: 1, values.total, quality, end))
    }

    private func arm() {
        timer = loop?.at(grid.slot) { [unowned(unsafe) self] in self.endPeriod() }
    }

    private func scaled(_ edges: UInt64) -> Value {
        settings.scale == 1 ? .integer(Int64(clamping: edges)) : .number(factor.times(Double(edges)))
    }
}

extension GPIOCounter {
    static func decode(_ reader: Reader, every: Interval?) -> DriverPlan? {
        let input = GPIOInput.decode(reader, edges: ["rising", "falling", "both"], [.rising, .falling, .both])
        let scale = reader.number("scale", in: -1e9...1e9) ?? 1
        let unit = reader.nonEmpty("unit")
        guard let input else { return nil }
        let settings = Settings(input: input, every: every ?? defaultPeriod, scale: scale)
        return DriverPlan(
            channels: [Channel("count", unit: unit), Channel("total", unit: unit)],
            claims: [.line(input.line, reader.mark(of: "line"))],
            make: .events { GPIOCounter(gpio: $0, settings: settings) })
    }
}
