import Configuration
import Platform

/// What `clock:` says: whose word is taken for the wall clock, and how long samples wait for it.
public struct ClockSettings: Equatable, Sendable {
    public enum Source: Equatable, Sendable {
        /// The kernel's: right when NTP or the like keeps it so.
        case kernel
        /// The clock is right by itself: a real-time clock with a battery, the host of a container.
        case trust
    }

    public var source: Source
    /// From the start of the machine, not of the agent: one that has been up for longer without synchronisation is not
    /// likely to get it in the next minute, and a restarted agent need not wait again.
    public var wait: Interval
    /// Bytes that waiting samples may take.
    public var maxMemory: Int

    public init(source: Source = .kernel, wait: Interval = .seconds(60), maxMemory: Int = 512_000) {
        self.source = source
        self.wait = wait
        self.maxMemory = maxMemory
    }

    /// Reads `kernel`, `trust`, or `{ source: kernel | trust, wait: 60s, max_memory: 512kB }`; what is absent or wrong
    /// keeps its default.
    public static func decode(_ field: Field) -> ClockSettings {
        var settings = ClockSettings()
        let sources: [StaticString] = ["kernel", "trust"]
        if case .scalar = field.node {
            if field.choice(sources) == 1 { settings.source = .trust }
            return settings
        }
        let reader = field.reader()
        if reader.choice("source", sources) == 1 { settings.source = .trust }
        if let wait = reader.interval("wait", in: .zero...Interval.seconds(86_400)) { settings.wait = wait }
        if let memory = reader.size("max_memory", in: 16_000...64_000_000) { settings.maxMemory = Int(memory) }
        reader.finish()
        return settings
    }
}
