import Hardware
import Platform
import Records
import TestSupport

@testable import Sensors

/// A work queue whose jobs take as long, on the test's clock, as their transfers do: one job at a time, as on a bus's thread.
final class TimedQueue: WorkQueue {
    private var jobs: [(job: () -> Void, completion: () -> Void)] = []
    private let loop: ManualLoop
    private var isBusy = false
    private var elapsed = Interval.zero
    /// How long jobs have been at it, in all.
    private(set) var busy = Interval.zero
    /// When the queue takes no more jobs: the one that it has hangs.
    var isHung = false

    /// - Parameter buses: whose transfers take their time here.
    init(_ loop: ManualLoop, _ buses: SimulatedI2CBus...) {
        self.loop = loop
        for bus in buses { bus.wait = { [unowned self] in elapsed = elapsed + $0 } }
    }

    var pending: Int { jobs.count + (isBusy ? 1 : 0) }

    func perform(_ job: @escaping () -> Void, completion: @escaping () -> Void) {
        jobs.append((job, completion))
        if !isBusy { next() }
    }

    private func next() {
        guard !jobs.isEmpty, !isHung else { return }
        let (job, completion) = jobs.removeFirst()
        isBusy = true
        elapsed = .zero
        job()
        busy = busy + elapsed
        loop.after(elapsed) { [self] in
            isBusy = false
            completion()
            if !isBusy { next() }
        }
    }
}

/// Reads one register of one device; a trigger writes one first, and its conversion takes its time.
final class RegisterDriver: SensorDriver {
    let bus: any I2CBus
    let address: UInt8
    let conversion: Interval
    private(set) var prepared = 0

    init(_ bus: any I2CBus, _ address: UInt8, conversion: Interval = .zero) {
        self.bus = bus
        self.address = address
        self.conversion = conversion
    }

    private func on<Result>(_ transfer: () throws(I2CError) -> Result) throws(SensorError) -> Result {
        do throws(I2CError) { return try transfer() } catch { throw .i2c(error) }
    }

    func prepare() throws(SensorError) {
        prepared += 1
        let id = try on { () throws(I2CError) in try bus.readByte(address, register: 0) }
        if id != 0x5A { throw .wrongChip(expected: "0x5a", found: hexadecimal(id)) }
    }

    func trigger() throws(SensorError) -> Interval {
        if conversion > .zero { try on { () throws(I2CError) in try bus.writeByte(address, register: 1, 1) } }
        return conversion
    }

    func collect(into values: inout [Value]) throws(SensorError) {
        // The id comes with the value and vouches for it.
        var block = [UInt8](repeating: 0, count: 3)
        var failure: I2CError?
        block.withUnsafeMutableBytes { bytes in
            do throws(I2CError) { try bus.readBlock(address, register: 0, into: bytes) } catch { failure = error }
        }
        if let failure { throw .i2c(failure) }
        if block[0] != 0x5A { throw .invalidData("no id") }
        values.append(.integer(Int64(block[2])))
    }
}

/// A device that such a driver understands.
func registerDevice() -> SimulatedRegisterFile {
    let device = SimulatedRegisterFile()
    device.registers[0] = 0x5A
    device.registers[2] = 42
    return device
}
