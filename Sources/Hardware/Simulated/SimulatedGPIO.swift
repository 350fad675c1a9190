import CShim
import Platform

/// A level that a simulated line took.
public struct SimulatedLevel: Equatable, Sendable {
    /// The physical level; `nil` when the output was released.
    public let high: Bool?
    public let timestamp: Instant

    public init(high: Bool?, timestamp: Instant) {
        self.high = high
        self.timestamp = timestamp
    }
}

/// GPIO chips in memory, and the world at their pins.
///
/// Levels named `high` are physical, levels named `active` are logical, as the line's request sees them.
/// Everything happens on the loop's thread.
public final class SimulatedGPIO: GPIO {
    private final class Chip {
        let name: String
        let label: String
        let pins: [SimulatedPin]
        var present = true

        init(name: String, label: String, pins: [SimulatedPin]) {
            self.name = name
            self.label = label
            self.pins = pins
        }

        func answers(to wanted: String) -> Bool {
            sameBytes(wanted, name) || sameBytes(wanted, label) || sameBytes(wanted, "/dev/" + name)
        }
    }

    private let loop: any Loop
    private var chips: [Chip] = []

    /// - Parameter loop: its clock stamps the edges, its timers debounce.
    public init(loop: any Loop) { self.loop = loop }

    /// - Parameter lines: a name for each line, in the order of their offsets; empty for a line without one.
    public func addChip(name: String, label: String, lines: [String]) {
        chips.append(Chip(name: name, label: label, pins: lines.map { SimulatedPin(name: $0, time: loop.time) }))
    }

    /// - Throws: `GPIOError` as the kernel's chips would.
    public func request(_ line: LineReference, _ settings: LineSettings) throws(GPIOError) -> any GPIOLine {
        if let contradiction = settings.contradiction {
            throw GPIOError(line: line, cause: .unsupported(contradiction))
        }
        let pin = try find(line)
        if let consumer = pin.consumer { throw GPIOError(line: line, cause: .busy(consumer: consumer)) }
        let event: Descriptor
        do throws(SystemError) {
            event = try Descriptor.event()
        } catch {
            throw GPIOError(line: line, cause: .system(error))
        }
        return SimulatedLine(on: pin, line, settings, loop: loop, event: event)
    }

    public func inspect(_ line: LineReference) throws(GPIOError) -> LineInfo {
        let pin = try find(line)
        for chip in chips {
            for (offset, other) in chip.pins.enumerated() where other === pin {
                return LineInfo(
                    chip: chip.name, offset: UInt32(truncatingIfNeeded: offset), consumer: pin.consumer)
            }
        }
        throw GPIOError(line: line, cause: .noSuchLine)
    }

    public func survey() -> [FoundChip] {
        chips.filter { $0.present }.map { chip in
            var lines: [FoundChip.Line] = []
            for (offset, pin) in chip.pins.enumerated() {
                lines.append(
                    FoundChip.Line(
                        offset: UInt32(truncatingIfNeeded: offset), name: pin.name, consumer: pin.consumer,
                        isOutput: pin.isOutput))
            }
            return FoundChip(name: chip.name, label: chip.label, lines: lines)
        }
    }

    private func find(_ line: LineReference) throws(GPIOError) -> SimulatedPin {
        let present = chips.filter { $0.present }
        let candidates = line.chip.map { wanted in present.filter { $0.answers(to: wanted) } } ?? present
        guard let first = candidates.first else { throw GPIOError(line: line, cause: .noSuchChip) }
        switch line.line {
        case .offset(let offset):
            if offset < first.pins.count { return first.pins[Int(offset)] }
        case .name(let name):
            for chip in candidates {
                if let pin = chip.pins.first(where: { sameBytes($0.name, name) }) { return pin }
            }
        }
        throw GPIOError(line: line, cause: .noSuchLine)
    }

    // MARK: The world at the pins

    /// Drives the line from outside to a physical level; `nil` lets it float. Against an output this is a short circuit, which
    /// wins: `read` then gives what is there, not what was written.
    public func drive(_ line: LineReference, high: Bool?) throws(GPIOError) {
        try find(line).drive(high)
    }

    /// Drives the line from outside so that its request reads `active`.
    public func set(_ line: LineReference, active: Bool) throws(GPIOError) {
        let pin = try find(line)
        pin.drive(active != pin.activeLow)
    }

    /// The physical level at the line.
    public func level(_ line: LineReference) throws(GPIOError) -> Bool { try find(line).high }

    /// The physical levels to which the line's requests drove it, beginning with the level at the first request. The latest 1,024.
    public func history(_ line: LineReference) throws(GPIOError) -> [SimulatedLevel] { try find(line).history }

    /// Calls `body` with the physical level that a request of ours drives the line to, whenever it does; `nil` when it lets go.
    public func onOutput(_ line: LineReference, _ body: ((Bool?) -> Void)?) throws(GPIOError) {
        try find(line).onOutput = body
    }

    /// Somebody else takes the line (`nil`: and gives it back). A request of ours that holds it stays.
    public func occupy(_ line: LineReference, by consumer: String?) throws(GPIOError) {
        try find(line).occupant = consumer
    }

    /// Takes a chip away, as when its USB plug is pulled: it is not found any more, and its lines fail with `ENODEV`.
    public func removeChip(_ name: String) {
        for chip in chips where chip.present && chip.answers(to: name) {
            chip.present = false
            for pin in chip.pins { pin.vanish() }
        }
    }

    /// Plugs the chip in again. Lines requested before stay dead; they must be requested anew.
    public func returnChip(_ name: String) {
        for chip in chips where chip.answers(to: name) { chip.present = true }
    }
}

/// The copper of one line.
final class SimulatedPin {
    let name: String
    var occupant: String?
    var onOutput: ((Bool?) -> Void)?
    /// The request that holds it; the line takes itself out when it goes.
    unowned(unsafe) var line: SimulatedLine?
    private(set) var history: [SimulatedLevel] = []
    private let time: any TimeSource
    private var outside: Bool?
    private var inside: Bool?

    init(name: String, time: any TimeSource) {
        self.name = name
        self.time = time
    }

    /// Who has the line.
    var consumer: String? { line != nil ? "kedge" : occupant }

    var activeLow: Bool { line?.settings.activeLow ?? false }

    var isOutput: Bool { line.map { $0.settings.direction != .input } ?? false }

    /// The physical level. A line that nobody drives follows its bias, and is low without one; an open drain is taken to
    /// have a resistor that pulls it up.
    var high: Bool { outside ?? inside ?? (line?.settings.bias == .pullUp || line?.settings.drive == .openDrain) }

    func drive(_ high: Bool?) {
        let before = self.high
        outside = high
        if self.high != before { line?.levelChanged() }
    }

    /// What a request of ours does; `nil` when it ends.
    func output(_ high: Bool?) {
        inside = high
        if history.count == 1_024 { history.removeFirst() }
        history.append(SimulatedLevel(high: high, timestamp: time.now))
        onOutput?(high)
    }

    func vanish() {
        line?.vanish()
        line = nil
        inside = nil
    }
}
