import Actuators
import Hardware
import Platform
import Records
import TestSupport

/// One line that remembers all that was done to it and fails on demand.
final class FakeLine: GPIOLine {
    enum Event: Equatable {
        case requested(LineReference, LineSettings)
        case wrote(Bool)
        case failedToWrite(Bool)
    }

    var history: [Event] = []
    var level = false
    var writesFail = false
    var readsFail = false
    /// As a short circuit does: the level stays, whatever is written.
    var isStuck = false
    let eventDescriptor: Int32? = nil
    let lostEdges: UInt64 = 0

    /// The levels that the output had, one after the other.
    var levels: [Bool] {
        history.compactMap { event in
            switch event {
            case .requested(_, let settings):
                if case .output(let active) = settings.direction { return active }
                return nil
            case .wrote(let active): return active
            case .failedToWrite: return nil
            }
        }
    }

    static let failure = GPIOError(
        line: LineReference(chip: nil, line: .offset(27)),
        cause: .system(SystemError(call: "ioctl", code: 5)))

    func read() throws(GPIOError) -> Bool {
        if readsFail { throw Self.failure }
        return level
    }

    func write(_ active: Bool) throws(GPIOError) {
        if writesFail {
            history.append(.failedToWrite(active))
            throw Self.failure
        }
        history.append(.wrote(active))
        if !isStuck { level = active }
    }

    func takeEdges(_ body: (EdgeEvent) -> Void) throws(GPIOError) {}
}

final class FakeHardware: Hardware, GPIO {
    let line = FakeLine()
    var refusal: GPIOError.Cause?
    var gpio: any GPIO { self }

    func openBus(_ settings: BusSettings) throws(SystemError) -> any I2CBus {
        throw SystemError(call: "open", code: 2, subject: settings.name)
    }

    func request(_ reference: LineReference, _ settings: LineSettings) throws(GPIOError) -> any GPIOLine {
        if let refusal { throw GPIOError(line: reference, cause: refusal) }
        line.history.append(.requested(reference, settings))
        if case .output(let active) = settings.direction { line.level = active }
        return line
    }

    func inspect(_ reference: LineReference) throws(GPIOError) -> LineInfo {
        if let refusal { throw GPIOError(line: reference, cause: refusal) }
        return LineInfo(chip: "gpiochip0", offset: 0)
    }
}

/// A driver whose every call a test decides.
final class ScriptedDriver: ActuatorDriver {
    var value: Value
    var latency = Interval.zero
    var failsFor: (Value) -> Bool = { _ in false }
    var driven: [Value] = []

    init(_ value: Value) { self.value = value }

    func drive(_ value: Value) throws(ActuatorError) -> Interval {
        if failsFor(value) { throw .simulated }
        driven.append(value)
        self.value = value
        return latency
    }

    func readBack() throws(ActuatorError) -> Value { value }
}

let off = Value.integer(0)
let on = Value.integer(1)

/// A `gpio` actuator on a fake line, and everything that happens to it.
final class Bench {
    let loop = ManualLoop()
    let logged = LogRecorder()
    let hardware = FakeHardware()
    let actuator: Actuator
    var changes: [(Value, ChangeCause)] = []
    var outcomes: [Outcome] = []

    var line: FakeLine { hardware.line }
    var causes: [ChangeCause] { changes.map { $0.1 } }

    init(safe: Bool = false, maxOn: Interval? = nil) throws {
        let settings = GPIOOutput.Settings(line: LineReference(chip: nil, line: .offset(27)), safe: safe)
        let plan = ActuatorPlan(id: "pump", maxOn: maxOn, driver: settings.plan)
        actuator = try plan.open(on: hardware, loop: loop, log: logged.log)
        actuator.onChange = { [unowned self] _, value, cause in changes.append((value, cause)) }
    }

    func order(_ value: Value, for hold: Interval? = nil, id: String = "c") {
        actuator.perform(Order(value: value, hold: hold, command: id)) { [unowned self] in outcomes.append($0) }
    }
}

/// The same with a scripted driver.
final class ScriptedBench {
    let loop = ManualLoop()
    let logged = LogRecorder()
    let driver = ScriptedDriver(.integer(0))
    let actuator: Actuator
    var outcomes: [(String, Outcome)] = []
    var changes: [(Value, ChangeCause)] = []

    init(latency: Interval = .zero, maxOn: Interval? = nil) {
        driver.latency = latency
        let driver = driver
        let plan = DriverPlan(domain: .level, safe: off) { (_) throws(ActuatorError) -> any ActuatorDriver in driver }
        actuator = Actuator(
            ActuatorPlan(id: "valve", maxOn: maxOn, driver: plan), driver: driver, loop: loop, log: logged.log)
        actuator.onChange = { [unowned self] _, value, cause in changes.append((value, cause)) }
    }

    func order(_ value: Value, for hold: Interval? = nil, id: String = "c") {
        actuator.perform(Order(value: value, hold: hold, command: id)) { [unowned self] in outcomes.append((id, $0)) }
    }
}
