import CShim
import Platform

/// A line that the kernel holds for us.
///
/// `read` of a debounced line gives the level that lasted: the kernel's debouncer does (libgpiod 2), and so
/// does ours (1.6). `lostEdges` counts gaps in the kernel's numbering of the line's edges; 1.6 has none, so that there a full
/// FIFO is all that can be noticed.
final class KernelLine: GPIOLine {
    private let handle: OpaquePointer
    private let reference: LineReference
    private let settings: LineSettings
    private let time: any TimeSource
    private var debouncer: Debouncer?
    private var timer: SettlingTimer?
    private var sequence: UInt32 = 0
    private(set) var lostEdges: UInt64 = 0
    private(set) var overruns: UInt64 = 0

    /// What the FIFO of the kernel's first interface holds, too.
    private static let capacity = 16
    private let events = UnsafeMutablePointer<kedge_gpio_event>.allocate(capacity: capacity)

    init(
        owning handle: OpaquePointer, _ reference: LineReference, _ settings: LineSettings, _ time: any TimeSource
    ) {
        self.handle = handle
        self.reference = reference
        self.settings = settings
        self.time = time
    }

    deinit {
        timer = nil
        kedge_gpio_release(handle)
        events.deallocate()
    }

    /// Second step of a request: what may fail when the line is ours already.
    func startDebouncing() throws(GPIOError) {
        guard settings.needsDebouncer else { return }
        debouncer = Debouncer(interval: settings.debounce, level: try measure())
        do throws(SystemError) {
            timer = try SettlingTimer.merged(with: kedge_gpio_descriptor(handle))
        } catch {
            throw GPIOError(line: reference, cause: .system(error))
        }
    }

    private func measure() throws(GPIOError) -> Bool {
        do throws(SystemError) {
            return try systemCall("gpiod_line_get_value", on: reference.description) { kedge_gpio_read(handle) } != 0
        } catch {
            throw GPIOError(line: reference, cause: .system(error))
        }
    }

    func read() throws(GPIOError) -> Bool {
        guard debouncer != nil else { return try measure() }
        // With edges, whoever takes them keeps the debouncer's level up to date; without, nobody else does.
        if settings.edges == .none { try collect { _ in } }
        return debouncer?.level ?? false
    }

    func write(_ active: Bool) throws(GPIOError) {
        guard settings.direction != .input else {
            throw GPIOError(line: reference, cause: .unsupported("driving an input"))
        }
        do throws(SystemError) {
            try systemCall("gpiod_line_set_value", on: reference.description) { kedge_gpio_write(handle, active) }
        } catch {
            throw GPIOError(line: reference, cause: .system(error))
        }
    }

    var eventDescriptor: Int32? {
        guard settings.edges != .none else { return nil }
        return timer?.descriptor ?? kedge_gpio_descriptor(handle)
    }

    func takeEdges(_ body: (EdgeEvent) -> Void) throws(GPIOError) {
        guard settings.edges != .none else { return }
        try collect(body)
    }

    private func collect(_ body: (EdgeEvent) -> Void) throws(GPIOError) {
        do throws(SystemError) {
            // Bounded, so that a line that oscillates does not hold up the loop; the descriptor stays readable.
            for _ in 0..<8 {
                let count = try systemCallUnlessBlocking("gpiod_line_event_read", on: reference.description) {
                    kedge_gpio_take(handle, events, Self.capacity)
                }
                guard let count, count > 0 else { break }
                for index in 0..<Int(count) { accept(events[index], body) }
                // Our debouncer measures the level at the end: to it a missing bounce is none.
                if count == Self.capacity, events[0].sequence == 0, debouncer == nil { overruns += 1 }
                if count < Self.capacity { break }
            }
        } catch {
            throw GPIOError(line: reference, cause: .system(error))
        }
        if debouncer != nil { try settle(body) }
    }

    private func accept(_ event: kedge_gpio_event, _ body: (EdgeEvent) -> Void) {
        if event.sequence != 0 {
            lostEdges += UInt64(event.sequence &- sequence &- 1)
            sequence = event.sequence
        }
        let edge = EdgeEvent(
            active: event.active, timestamp: Instant(nanoseconds: Int64(clamping: event.timestamp)))
        if debouncer == nil {
            body(edge)
        } else if let settled = debouncer?.note(edge), settings.edges.include(settled.active) {
            body(settled)
        }
    }

    private func settle(_ body: (EdgeEvent) -> Void) throws(GPIOError) {
        let now = time.now
        if let deadline = debouncer?.deadline, deadline <= now {
            let level = try measure()
            if let settled = debouncer?.settle(at: now, level: level), settings.edges.include(settled.active) {
                body(settled)
            }
        }
        do throws(SystemError) {
            try timer?.set(debouncer?.deadline)
        } catch {
            throw GPIOError(line: reference, cause: .system(error))
        }
    }
}
