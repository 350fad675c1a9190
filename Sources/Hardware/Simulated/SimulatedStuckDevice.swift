import Platform

/// A device that was interrupted in the middle of a read and holds SDA low until it has been clocked through the rest
/// of its byte; its bus is free again once a STOP has followed.
public final class SimulatedStuckDevice {
    /// Rising edges of SCL that it has seen since `hang`.
    public private(set) var clocks = 0
    /// Whether the bus hangs.
    public private(set) var isStuck = false

    private let bus: SimulatedI2CBus
    private let gpio: SimulatedGPIO
    private let sda: LineReference
    private var needed = 0
    private var isClockHigh = true
    private var isDataHigh = true

    /// - Parameter lines: where the bus's lines can be reached.
    public init(_ bus: SimulatedI2CBus, _ gpio: SimulatedGPIO, _ lines: RecoveryLines) throws(GPIOError) {
        self.bus = bus
        self.gpio = gpio
        sda = lines.sda
        try gpio.onOutput(lines.scl) { [unowned(unsafe) self] in clock(high: $0 ?? true) }
        try gpio.onOutput(lines.sda) { [unowned(unsafe) self] in data(high: $0 ?? true) }
    }

    /// Holds SDA from now on, until so many clocks have come.
    /// - Parameter fault: what becomes of transfers meanwhile.
    public func hang(clocks needed: Int, _ fault: SimulatedI2CFault = .timeout) {
        self.needed = needed
        clocks = 0
        isStuck = true
        bus.fault = { _ in fault }
        drive(high: false)
    }

    private func clock(high: Bool) {
        defer { isClockHigh = high }
        guard isStuck, high, !isClockHigh else { return }
        clocks += 1
        if clocks == needed { drive(high: nil) }
    }

    private func data(high: Bool) {
        defer { isDataHigh = high }
        guard isStuck, high, !isDataHigh, isClockHigh, clocks >= needed else { return }
        isStuck = false
        bus.fault = nil
    }

    private func drive(high: Bool?) {
        do throws(GPIOError) {
            try gpio.drive(sda, high: high)
        } catch {
            // The line is gone, and with it what could free the bus.
        }
    }
}
