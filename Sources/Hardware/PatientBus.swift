import Platform

/// A bus that need not be there yet: it is opened by the first transfer, and again after it went away, so that an
/// agent starts before its bus does and outlives a removed adapter. A transfer that finds no bus fails with the
/// errno of the opening.
///
/// Where the configuration names the lines of the bus, a device that holds SDA low is looked for after transfers that
/// look like it, and clocked free.
public final class PatientBus: I2CBus {
    public let name: String
    private let settings: BusSettings
    private let hardware: any Hardware
    private let time: any TimeSource
    private let wait: (Interval) -> Void
    private var bus: (any I2CBus)?
    /// Transfers in a row that look as if SDA were held low.
    private var suspicions = 0
    /// When the lines may be looked at again, and how long to wait after that.
    private var nextLook: Instant?
    private var patience = shortestPatience
    /// What kind of outcome the last attempt had; at first, that there was nothing to do.
    private var known = 0

    private static var shortestPatience: Interval { .seconds(1) }
    private static var longestPatience: Interval { .seconds(16) }

    /// - Parameters:
    ///   - time: spaces attempts to free the bus; read on the bus's thread.
    ///   - wait: lets time pass on the calling thread, between the edges of such an attempt; `nil` sleeps.
    public init(
        _ settings: BusSettings, hardware: any Hardware, time: any TimeSource = SystemTime(),
        wait: ((Interval) -> Void)? = nil
    ) {
        name = settings.name
        self.settings = settings
        self.hardware = hardware
        self.time = time
        self.wait = wait ?? { sleep($0) }
    }

    /// What came of the latest attempt to free the bus, unless it is what came of the one before; once.
    func takeOutcome() -> RecoveryOutcome? {
        defer { news = nil }
        return news
    }
    private var news: RecoveryOutcome?

    private func opened(_ address: UInt8) throws(I2CError) -> any I2CBus {
        if let bus { return bus }
        do throws(SystemError) {
            let opened = try hardware.openBus(settings)
            bus = opened
            return opened
        } catch {
            throw I2CError(bus: name, address: address, register: nil, code: error.code)
        }
    }

    /// Does one transfer; a bus whose adapter is gone is opened anew by the next.
    private func on<Result>(
        _ address: UInt8, _ transfer: (any I2CBus) throws(I2CError) -> Result
    ) throws(I2CError) -> Result {
        let bus = try opened(address)
        do throws(I2CError) {
            return try transfer(bus)
        } catch {
            if error.isBusGone { self.bus = nil }
            if error.mayBeStuck { suspect(atLeast: 1) }
            throw error
        }
    }

    /// Takes note of what was read. A controller that does not look at SDA while it sends takes a line that is held
    /// low for an acknowledge and reads nothing but zeros; so do devices that have nothing else to say.
    private func note(isZero: Bool) {
        if isZero { suspect(atLeast: 2) } else { suspicions = 0 }
    }

    /// Looks at the lines once there are `count` suspicions, and not again for a while.
    private func suspect(atLeast count: Int) {
        guard let lines = settings.recovery else { return }
        suspicions += 1
        if suspicions < count { return }
        let now = time.now
        if let nextLook, now < nextLook { return }
        let result = BusRecovery(lines, gpio: hardware.gpio, wait: wait).run()
        if result.kind == RecoveryOutcome.freedKind {
            patience = Self.shortestPatience
            suspicions = 0
        } else {
            patience = min(patience * 2, Self.longestPatience)
        }
        nextLook = now + patience
        // What is as it was is no news, but that the bus was freed is, each time.
        let kind = result.kind
        if kind == RecoveryOutcome.freedKind || kind != known { news = result }
        known = kind
    }

    public func transfer(
        _ address: UInt8, write: UnsafeRawBufferPointer, read: UnsafeMutableRawBufferPointer
    ) throws(I2CError) {
        try on(address) { (bus) throws(I2CError) in try bus.transfer(address, write: write, read: read) }
        if read.count > 0 { note(isZero: read.allSatisfy { $0 == 0 }) }
    }

    public var functions: BusFunctions { bus?.functions ?? .all }

    public func quick(_ address: UInt8) throws(I2CError) {
        try on(address) { (bus) throws(I2CError) in try bus.quick(address) }
    }

    public func readByte(_ address: UInt8) throws(I2CError) -> UInt8 {
        let value = try on(address) { (bus) throws(I2CError) in try bus.readByte(address) }
        note(isZero: value == 0)
        return value
    }

    public func writeByte(_ address: UInt8, _ value: UInt8) throws(I2CError) {
        try on(address) { (bus) throws(I2CError) in try bus.writeByte(address, value) }
    }

    public func readByte(_ address: UInt8, register: UInt8) throws(I2CError) -> UInt8 {
        let value = try on(address) { (bus) throws(I2CError) in try bus.readByte(address, register: register) }
        note(isZero: value == 0)
        return value
    }

    public func writeByte(_ address: UInt8, register: UInt8, _ value: UInt8) throws(I2CError) {
        try on(address) { (bus) throws(I2CError) in try bus.writeByte(address, register: register, value) }
    }

    public func readWord(_ address: UInt8, register: UInt8) throws(I2CError) -> UInt16 {
        let value = try on(address) { (bus) throws(I2CError) in try bus.readWord(address, register: register) }
        note(isZero: value == 0)
        return value
    }

    public func writeWord(_ address: UInt8, register: UInt8, _ value: UInt16) throws(I2CError) {
        try on(address) { (bus) throws(I2CError) in try bus.writeWord(address, register: register, value) }
    }

    public func readBlock(
        _ address: UInt8, register: UInt8, into buffer: UnsafeMutableRawBufferPointer
    ) throws(I2CError) {
        try on(address) { (bus) throws(I2CError) in try bus.readBlock(address, register: register, into: buffer) }
        note(isZero: buffer.allSatisfy { $0 == 0 })
    }

    public func writeBlock(_ address: UInt8, register: UInt8, _ bytes: UnsafeRawBufferPointer) throws(I2CError) {
        try on(address) { (bus) throws(I2CError) in try bus.writeBlock(address, register: register, bytes) }
    }
}
