import CShim
import Platform

/// A request of a simulated line. Edges wait in a queue of 16 as in the kernel's; when it is full the oldest goes, and
/// `lostEdges` counts it.
final class SimulatedLine: GPIOLine {
    let settings: LineSettings
    private(set) var lostEdges: UInt64 = 0
    private let reference: LineReference
    private let loop: any Loop
    private let event: Descriptor
    /// `nil` once its chip is gone.
    private var pin: SimulatedPin?
    private var queue: [EdgeEvent] = []
    private var debouncer: Debouncer?
    private var timer: TimerID?

    private static let capacity = 16

    init(
        on pin: SimulatedPin, _ reference: LineReference, _ settings: LineSettings, loop: any Loop, event: Descriptor
    ) {
        self.pin = pin
        self.reference = reference
        self.settings = settings
        self.loop = loop
        self.event = event
        pin.line = self
        switch settings.direction {
        case .output(let active): pin.output(level(active))
        case .input:
            if settings.debounce > .zero {
                debouncer = Debouncer(interval: settings.debounce, level: pin.high != settings.activeLow)
            }
        }
    }

    deinit {
        if let timer { loop.cancel(timer) }
        guard let pin else { return }
        pin.line = nil
        if settings.direction != .input { pin.output(nil) }
    }

    /// What the request drives for a logical level; an open drain lets go of what is high.
    private func level(_ active: Bool) -> Bool? {
        let high = active != settings.activeLow
        return high && settings.drive == .openDrain ? nil : high
    }

    private func present() throws(GPIOError) -> SimulatedPin {
        guard let pin else {
            let error = SystemError(call: "ioctl", code: ENODEV, subject: reference.description)
            throw GPIOError(line: reference, cause: .system(error))
        }
        return pin
    }

    func read() throws(GPIOError) -> Bool {
        let active = try present().high != settings.activeLow
        return debouncer?.level ?? active
    }

    func write(_ active: Bool) throws(GPIOError) {
        guard settings.direction != .input else {
            throw GPIOError(line: reference, cause: .unsupported("driving an input"))
        }
        try present().output(level(active))
    }

    var eventDescriptor: Int32? { settings.edges == .none ? nil : event.number }

    func takeEdges(_ body: (EdgeEvent) -> Void) throws(GPIOError) {
        _ = try present()
        event.drain()
        let edges = queue
        queue.removeAll(keepingCapacity: true)
        for edge in edges { body(edge) }
    }

    /// The chip is gone. The descriptor stays readable, as the kernel's does, so that whoever waits finds out.
    func vanish() {
        pin = nil
        if let timer { loop.cancel(timer) }
        timer = nil
        event.signal()
    }

    /// The physical level is another one.
    func levelChanged() {
        guard let pin, settings.direction == .input else { return }
        let edge = EdgeEvent(active: pin.high != settings.activeLow, timestamp: loop.time.now)
        if debouncer == nil {
            enqueue(edge)
        } else {
            if let settled = debouncer?.note(edge) { enqueue(settled) }
            waitForSettling()
        }
    }

    private func waitForSettling() {
        if let timer { loop.cancel(timer) }
        timer = nil
        guard let deadline = debouncer?.deadline else { return }
        timer = loop.at(deadline) { [unowned(unsafe) self] in self.settle() }
    }

    private func settle() {
        timer = nil
        guard let pin else { return }
        let active = pin.high != settings.activeLow
        if let settled = debouncer?.settle(at: loop.time.now, level: active) { enqueue(settled) }
        waitForSettling()
    }

    private func enqueue(_ edge: EdgeEvent) {
        guard settings.edges.include(edge.active) else { return }
        if queue.count == Self.capacity {
            queue.removeFirst()
            lostEdges += 1
        }
        queue.append(edge)
        event.signal()
    }
}
