import Platform

/// A line as the configuration names it: a chip by name, label or path, and a line by offset or name.
public struct LineReference: Equatable, Sendable {
    public enum Line: Equatable, Sendable {
        case offset(UInt32)
        case name(String)

        public static func == (left: Line, right: Line) -> Bool {
            switch (left, right) {
            case (.offset(let left), .offset(let right)): left == right
            case (.name(let left), .name(let right)): sameBytes(left, right)
            default: false
            }
        }
    }

    /// Such as `gpiochip0`, `pinctrl-bcm2711` or `/dev/gpiochip0`; `nil` looks on every chip
    /// (the first chip, for an offset). A label is safest: chip numbers moved on the Pi 5.
    public let chip: String?
    public let line: Line

    public init(chip: String?, line: Line) {
        self.chip = chip
        self.line = line
    }

    public static func == (left: LineReference, right: LineReference) -> Bool {
        guard left.line == right.line else { return false }
        guard let leftChip = left.chip, let rightChip = right.chip else { return left.chip == nil && right.chip == nil }
        return sameBytes(leftChip, rightChip)
    }

    /// Whether the two are one line as far as their words tell: `/dev/gpiochip1` is `gpiochip1`, and an offset without a chip
    /// is one of `gpiochip0`. Labels and names are the hardware's to resolve (`GPIO.inspect`).
    public func isSameLine(as other: LineReference) -> Bool {
        guard line == other.line else { return false }
        guard let chip = namedChip, let otherChip = other.namedChip else {
            return namedChip == nil && other.namedChip == nil
        }
        return sameBytes(chip, otherChip)
    }

    /// The chip as the kernel calls it, if that is how it is named.
    private var namedChip: String? {
        guard let chip else {
            if case .offset = line { return "gpiochip0" }
            return nil
        }
        guard chip.utf8.first == 47 else { return chip }
        let path = normalisedPath(chip)
        guard path.hasBeginning("/dev/") else { return path }
        return String(decoding: Array(path.utf8).dropFirst(5), as: UTF8.self)
    }

    /// Such as `pinctrl-bcm2711 17`, or `GPIO17` where any chip will do.
    public var description: String {
        switch line {
        case .offset(let offset): return "\(chip ?? "gpiochip0") \(offset)"
        case .name(let name): return chip.map { "\($0) \(name)" } ?? name
        }
    }
}

public enum Bias: Sendable { case asIs, disabled, pullUp, pullDown }
public enum Edges: Sendable { case none, rising, falling, both }

/// How an output drives its line.
public enum Drive: Sendable {
    /// High and low.
    case pushPull
    /// Low only: for high it lets go, and what pulls the line up, or another device, decides.
    case openDrain
}

/// How a line is requested.
public struct LineSettings: Equatable, Sendable {
    public enum Direction: Equatable, Sendable {
        case input
        /// Driven from the request on with this level (logical: after `activeLow`), so that nothing glitches.
        case output(active: Bool)
    }

    public var direction: Direction
    public var bias: Bias
    public var activeLow: Bool
    public var edges: Edges
    /// Shortest time that a level must last; zero is off. The kernel does it (libgpiod 2) or we do (1.6).
    public var debounce: Interval
    /// Of an output.
    public var drive: Drive

    public init(
        direction: Direction, bias: Bias = .asIs, activeLow: Bool = false, edges: Edges = .none,
        debounce: Interval = .zero, drive: Drive = .pushPull
    ) {
        self.direction = direction
        self.bias = bias
        self.activeLow = activeLow
        self.edges = edges
        self.debounce = debounce
        self.drive = drive
    }
}

/// A change of a line's level, as the kernel saw it.
public struct EdgeEvent: Equatable, Sendable {
    /// The logical level after the edge.
    public let active: Bool
    /// The kernel's time stamp. For a debounced line, when the new level had lasted long enough.
    /// (libgpiod 1.6 on a kernel before 5.7 stamps with the wall clock instead.)
    public let timestamp: Instant

    public init(active: Bool, timestamp: Instant) {
        self.active = active
        self.timestamp = timestamp
    }
}

/// A requested line; it is released when the last reference goes.
public protocol GPIOLine: AnyObject {
    /// The logical level (after `activeLow`). For an output, the level as read back; for a debounced input,
    /// the level that lasted.
    func read() throws(GPIOError) -> Bool
    /// Drives an output to the logical level.
    func write(_ active: Bool) throws(GPIOError)
    /// Readable when an edge waits; `nil` for a line requested without edges.
    var eventDescriptor: Int32? { get }
    /// Hands over the edges that wait, oldest first, without blocking. After a burst some may be left;
    /// the descriptor then stays readable.
    func takeEdges(_ body: (EdgeEvent) -> Void) throws(GPIOError)
    /// Edges that the kernel dropped because nobody read in time, where it tells (libgpiod 2).
    var lostEdges: UInt64 { get }
    /// Times that the kernel's store of edges was found full where it does not tell what it dropped (libgpiod 1.6):
    /// edges after those may be missing, and nobody knows how many.
    var overruns: UInt64 { get }
}

extension GPIOLine {
    public var overruns: UInt64 { 0 }
}

/// All GPIO chips of a machine, real or simulated.
public protocol GPIO: AnyObject {
    /// Requests a line with "kedge" as its consumer.
    func request(_ line: LineReference, _ settings: LineSettings) throws(GPIOError) -> any GPIOLine

    /// Looks at a line without touching it.
    /// - Throws: `GPIOError` when it is not there.
    func inspect(_ line: LineReference) throws(GPIOError) -> LineInfo

    /// All chips with all their lines, in the order of their numbers; nothing is requested.
    func survey() -> [FoundChip]
}

extension GPIO {
    public func survey() -> [FoundChip] { [] }
}

/// Where a line is, by whatever its reference names it, and who holds it.
public struct LineInfo: Equatable, Sendable {
    /// What the kernel calls its chip, such as `gpiochip0`.
    public let chip: String
    public let offset: UInt32
    /// As the kernel knows it; `nil` while the line is free.
    public let consumer: String?

    public init(chip: String, offset: UInt32, consumer: String? = nil) {
        self.chip = chip
        self.offset = offset
        self.consumer = consumer
    }

    /// Whether the two are one line.
    public func isSameLine(as other: LineInfo) -> Bool { offset == other.offset && sameBytes(chip, other.chip) }

    public static func == (left: LineInfo, right: LineInfo) -> Bool {
        guard left.isSameLine(as: right) else { return false }
        guard let one = left.consumer, let other = right.consumer else {
            return left.consumer == nil && right.consumer == nil
        }
        return sameBytes(one, other)
    }
}

/// A GPIO chip that `survey` has found.
public final class FoundChip: Equatable, Sendable {
    /// A line of it.
    public final class Line: Equatable, Sendable {
        public let offset: UInt32
        /// Empty for a line without one.
        public let name: String
        /// Who holds it, as the kernel knows it; `nil` while it is free.
        public let consumer: String?
        public let isOutput: Bool

        public init(offset: UInt32, name: String, consumer: String?, isOutput: Bool) {
            self.offset = offset
            self.name = name
            self.consumer = consumer
            self.isOutput = isOutput
        }

        public static func == (left: Line, right: Line) -> Bool {
            guard left.offset == right.offset, left.isOutput == right.isOutput, sameBytes(left.name, right.name) else {
                return false
            }
            guard let leftConsumer = left.consumer, let rightConsumer = right.consumer else {
                return left.consumer == nil && right.consumer == nil
            }
            return sameBytes(leftConsumer, rightConsumer)
        }
    }

    /// Such as `gpiochip0`.
    public let name: String
    /// Such as `pinctrl-bcm2711`; empty where the chip could not be opened.
    public let label: String
    public let lines: [Line]
    /// Why it could not be looked at.
    public let failure: SystemError?

    public init(name: String, label: String, lines: [Line], failure: SystemError? = nil) {
        self.name = name
        self.label = label
        self.lines = lines
        self.failure = failure
    }

    public static func == (left: FoundChip, right: FoundChip) -> Bool {
        sameBytes(left.name, right.name) && sameBytes(left.label, right.label) && left.lines == right.lines
            && left.failure == right.failure
    }
}

/// A GPIO operation that failed, and on which line.
public struct GPIOError: Error, Equatable, Sendable {
    public enum Cause: Equatable, Sendable {
        case noSuchChip
        case noSuchLine
        /// Somebody holds it; who, as the kernel knows it.
        case busy(consumer: String)
        case permission
        /// Asked for what this libgpiod, kernel or chip cannot do, such as edges on an output.
        case unsupported(String)
        case system(SystemError)
    }

    public let line: LineReference
    public let cause: Cause

    public init(line: LineReference, cause: Cause) {
        self.line = line
        self.cause = cause
    }

    /// What happened and what may help.
    public var description: String {
        let place = "GPIO \(line.description)"
        switch cause {
        case .noSuchChip:
            return "\(place): no such GPIO chip (one is found by name, label or path; kedge scan lists them)"
        case .noSuchLine: return "\(place): no such line (kedge scan lists them)"
        case .busy(let consumer): return "\(place): in use by \"\(consumer)\""
        case .permission:
            return "\(place): permission denied; " + permissionRemedy("/dev/gpiochip0", group: "gpio")
        case .unsupported(let what): return "\(place): \(what) is not supported"
        case .system(let error): return "\(place): \(error.description)"
        }
    }
}
