import Actuators
import Configuration
import Hardware
import Platform

/// An output line that changes its level again and again for as long as all is well, for a watchdog relay outside that
/// takes the power from the actuators when it does not.
///
/// It beats on the loop, so a loop that stands still stops it; and it pauses while an actuator should be at its safe
/// value and cannot get there.
final class Heartbeat {
    private let settings: HeartbeatSettings
    private let gpio: any GPIO
    private let actuators: [Actuator]
    private let loop: any Loop
    private let log: Log
    private var line: (any GPIOLine)?
    private var level = false
    private var hasFailed = false
    private var timer: TimerID?

    init(_ settings: HeartbeatSettings, gpio: any GPIO, actuators: [Actuator], loop: any Loop, log: Log) {
        self.settings = settings
        self.gpio = gpio
        self.actuators = actuators
        self.loop = loop
        self.log = log
        beat()
    }

    deinit { stop() }

    /// Leaves the line as it is: the relay lets go after its time.
    func stop() {
        if let timer { loop.cancel(timer) }
        timer = nil
    }

    private func beat() {
        timer = loop.after(Interval(nanoseconds: settings.period.nanoseconds / 2)) { [unowned(unsafe) self] in beat() }
        if actuators.contains(where: { $0.isOutOfHand }) { return }
        do throws(GPIOError) {
            if line == nil {
                line = try gpio.request(settings.line, LineSettings(direction: .output(active: false)))
                level = false
            } else {
                level.toggle()
                try line?.write(level)
            }
            hasFailed = false
        } catch {
            // Requested anew at the next beat: its chip may come back.
            line = nil
            if !hasFailed { log.error("heartbeat: \(error.description); tried again until it succeeds") }
            hasFailed = true
        }
    }
}

/// What `heartbeat:` says.
public struct HeartbeatSettings: Equatable, Sendable {
    public let line: LineReference
    public let mark: Mark
    /// From one rise of the level to the next.
    public let period: Interval

    public init(line: LineReference, mark: Mark = Mark(line: 0, column: 0), period: Interval = .seconds(1)) {
        self.line = line
        self.mark = mark
        self.period = period
    }

    /// Reads `{ chip: pinctrl-bcm2711, line: 4, period: 1s }`; `nil` when the line is missing or wrong.
    static func decode(_ reader: Reader) -> HeartbeatSettings? {
        let line = LineReference.decode(reader)
        let period = reader.interval("period", in: .milliseconds(10)...Interval.seconds(60)) ?? .seconds(1)
        reader.finish()
        return line.map {
            HeartbeatSettings(line: $0, mark: reader.mark(of: "line"), period: period)
        }
    }
}
