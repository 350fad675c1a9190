import Configuration
import Hardware
import Platform
import Records

/// The level of a GPIO line, 0 or 1: at the start, at each edge with the kernel's time, and periodically if asked.
/// Every edge is reported; nothing is merged.
final class GPIOLevel: EventDriver {
    struct Settings: Equatable {
        var input: GPIOInput
        /// Also report the level this often; `nil` is only at edges.
        var every: Interval?
    }

    /// The longest that a line which is only waited for is not asked whether it is still there.
    private static let patience = Interval.seconds(10)

    private let gpio: any GPIO
    private let settings: Settings
    private var loop: (any Loop)?
    private var report: ((SensorEvent) -> Void)?
    private var line: (any GPIOLine)?
    private var watched: Int32?
    private var timer: TimerID?
    private var grid = Grid(first: Instant(nanoseconds: 0), every: .seconds(1))
    private var lost: UInt64 = 0
    private var overruns: UInt64 = 0
    /// Edges went missing since the last report, so that the next level may not follow from the one before.
    private var hasGap = false
    /// When the last reported level was so: reports never go back in time.
    private var latest = Instant(nanoseconds: 0)

    init(gpio: any GPIO, settings: Settings) {
        self.gpio = gpio
        self.settings = settings
    }

    deinit { stop() }

    func start(on loop: any Loop, report: @escaping (SensorEvent) -> Void) throws(SensorError) {
        stop()
        // The first level carries the time before the request, so that no edge can be older than it.
        let begin = loop.time.now
        let line = try settings.input.request(from: gpio)
        let level = try line.level()
        self.loop = loop
        self.report = report
        self.line = line
        lost = line.lostEdges
        overruns = line.overruns
        hasGap = false
        latest = begin
        if let descriptor = line.eventDescriptor {
            do throws(SystemError) {
                try loop.watch(descriptor) { [unowned(unsafe) self] in self.takeEdges() }
            } catch {
                throw .system(error)
            }
            watched = descriptor
        }
        try reportStart(line, level: level, at: begin)
        guard self.line != nil else { return }
        guard let every = settings.every else { return lookAgain() }
        grid = Grid(first: begin + every, every: every)
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

    func read(into values: inout [Value]) throws(SensorError) {
        if let line {
            values.append(.integer(try line.level() ? 1 : 0))
            return
        }
        var input = settings.input
        input.edges = .none
        input.debounce = .zero
        let line = try input.request(from: gpio)
        values.append(.integer(try line.level() ? 1 : 0))
    }

    /// Edges that came between the request and the read are already in the level: what was there before them is
    /// what the first one left.
    private func reportStart(_ line: any GPIOLine, level: Bool, at begin: Instant) throws(SensorError) {
        var isFirst = true
        if line.eventDescriptor != nil {
            try line.edges { edge in
                if isFirst { say(!edge.active, at: begin) }
                isFirst = false
                say(edge.active, at: edge.timestamp)
            }
        }
        if isFirst { say(level, at: begin) }
    }

    private func takeEdges() {
        guard let line else { return }
        do throws(SensorError) {
            try line.edges { edge in
                noticeLoss(line)
                say(edge.active, at: edge.timestamp)
            }
            noticeLoss(line)
        } catch {
            report?(.failed(error))
        }
    }

    private func reportPeriodically() {
        timer = nil
        guard let loop, let report else { return }
        let missed = grid.catchUp(to: loop.time.now)
        if missed > 0 { report(.missed(missed)) }
        // Edges that wait are older than this report.
        let now = loop.time.now
        if watched != nil { takeEdges() }
        guard let line else { return }
        do throws(SensorError) {
            let level = try line.level()
            say(level, at: now)
        } catch {
            report(.failed(error))
            return
        }
        guard self.line != nil else { return }
        _ = grid.advance(notBefore: loop.time.now)
        arm()
    }

    /// Older kernels (6.1 is one) do not wake who waits for the edges of a chip that is gone: who asks learns of it.
    private func lookAgain() {
        timer = loop?.after(Self.patience) { [unowned(unsafe) self] in
            self.timer = nil
            self.takeEdges()
            if self.line != nil { self.lookAgain() }
        }
    }

    private func arm() {
        timer = loop?.at(grid.slot) { [unowned(unsafe) self] in self.reportPeriodically() }
    }

    private func noticeLoss(_ line: any GPIOLine) {
        let dropped = line.lostEdges &- lost
        guard dropped > 0 || line.overruns != overruns else { return }
        lost = line.lostEdges
        overruns = line.overruns
        hasGap = true
        report?(.lost(dropped))
    }

    private func say(_ level: Bool, at instant: Instant) {
        latest = max(latest, instant)
        let quality: Quality = hasGap ? .uncertain(reason: "lost-edges") : .good
        hasGap = false
        report?(.value(channel: 0, .integer(level ? 1 : 0), quality, latest))
    }
}

extension GPIOLevel {
    static func decode(_ reader: Reader, every: Interval?) -> DriverPlan? {
        let input = GPIOInput.decode(
            reader, edges: ["both", "rising", "falling", "none"], [.both, .rising, .falling, .none])
        guard let input else { return nil }
        if input.edges == .none, every == nil {
            // A wrong one has been reported already.
            if !reader.has("every") {
                reader.diagnostics.report(
                    reader.mark(of: "edges"), "edges: none without every",
                    expected: "every, such as 10s, or edges to report")
            }
            return nil
        }
        let settings = Settings(input: input, every: every)
        return DriverPlan(
            channels: [Channel("", unit: nil)], claims: [.line(input.line, reader.mark(of: "line"))],
            make: .events { GPIOLevel(gpio: $0, settings: settings) })
    }
}
