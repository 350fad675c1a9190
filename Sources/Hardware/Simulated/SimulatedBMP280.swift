import Platform

/// Trimming values of a Bosch BMP280 or BME280, named as in the data sheets
/// (BMP280 3.11.2; BME280 4.2.2).
public struct BoschTrimming: Equatable, Sendable {
    public var t1: UInt16 = 27504
    public var t2: Int16 = 26435
    public var t3: Int16 = -1000
    public var p1: UInt16 = 36477
    public var p2: Int16 = -10685
    public var p3: Int16 = 3024
    public var p4: Int16 = 2855
    public var p5: Int16 = 140
    public var p6: Int16 = -7
    public var p7: Int16 = 15500
    public var p8: Int16 = -14600
    public var p9: Int16 = 6000
    public var h1: UInt8 = 75
    public var h2: Int16 = 370
    public var h3: UInt8 = 0
    /// 12 bits.
    public var h4: Int16 = 313
    /// 12 bits.
    public var h5: Int16 = 50
    public var h6: Int8 = 30

    /// The example of the BMP280's data sheet (section 3.12), and humidity values of a typical BME280.
    public init() {}
}

/// What surrounds a simulated sensor.
public struct SimulatedAir: Equatable, Sendable {
    /// In °C, -40…85.
    public var temperature: Double
    /// In Pa, 30,000…110,000.
    public var pressure: Double
    /// Relative, in %.
    public var humidity: Double

    public init(temperature: Double = 21.5, pressure: Double = 101_325, humidity: Double = 45) {
        self.temperature = temperature
        self.pressure = pressure
        self.humidity = humidity
    }
}

/// What pressure and temperature read when they were not sampled, and before the first measurement.
private let skippedReading: UInt32 = 0x80000

/// A Bosch BMP280 in its registers (data sheet BST-BMP280-DS001, section 4).
///
/// Modelled: id, soft reset, status, sleep/forced/normal mode, oversampling with its resolution and "skipped" values,
/// conversion time, writes as register/value pairs, trimming values, data registers. Not modelled: the IIR filter's
/// history (only its 20-bit resolution), standby time (in normal mode each read finds a new measurement), SPI.
open class SimulatedBMP280: SimulatedRegisterFile {
    /// What the next conversion measures.
    public var air = SimulatedAir()
    /// Where set, asked for `air` at the start of each conversion, on the thread of the bus.
    public var airNow: (() -> SimulatedAir)?
    public let trimming: BoschTrimming
    /// Conversions made since it was made.
    public private(set) var conversions: UInt64 = 0

    let time: (any TimeSource)?
    private final var ready: Instant?
    private final var copiesTrimming = false

    enum Register {
        static let id: UInt8 = 0xD0
        static let reset: UInt8 = 0xE0
        static let controlHumidity: UInt8 = 0xF2
        static let status: UInt8 = 0xF3
        static let control: UInt8 = 0xF4
        static let configuration: UInt8 = 0xF5
        static let data: UInt8 = 0xF7
        static let humidity: UInt8 = 0xFD
    }

    /// - Parameter time: with it a conversion takes its typical time (data sheet 3.8.1) and shows in `status`; without, none.
    public init(trimming: BoschTrimming = BoschTrimming(), time: (any TimeSource)? = nil) {
        self.trimming = trimming
        self.time = time
        super.init()
        powerOn()
    }

    var identity: UInt8 { 0x58 }

    /// Power-on values (section 4.2); the trimming values come out of the chip's own memory.
    func powerOn() {
        for index in 0..<256 { registers[index] = 0 }
        registers[Int(Register.id)] = identity
        ready = nil
        let words: [UInt16] = [
            trimming.t1, UInt16(bitPattern: trimming.t2), UInt16(bitPattern: trimming.t3), trimming.p1,
            UInt16(bitPattern: trimming.p2), UInt16(bitPattern: trimming.p3), UInt16(bitPattern: trimming.p4),
            UInt16(bitPattern: trimming.p5), UInt16(bitPattern: trimming.p6), UInt16(bitPattern: trimming.p7),
            UInt16(bitPattern: trimming.p8), UInt16(bitPattern: trimming.p9),
        ]
        for (index, word) in words.enumerated() {
            registers[0x88 + 2 * index] = UInt8(truncatingIfNeeded: word)
            registers[0x89 + 2 * index] = UInt8(word >> 8)
        }
        setData(Register.data, skippedReading)
        setData(Register.data + 3, skippedReading)
    }

    // MARK: The wire

    /// Pairs of register and value (section 5.2.1): the register does not advance by itself.
    open override func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        finishConversion()
        var index = 0
        while index < bytes.count {
            pointer = bytes[index]
            if index + 1 < bytes.count { store(pointer, bytes[index + 1]) }
            index += 2
        }
        return true
    }

    open override func willSend() {
        finishConversion()
        if mode == 3 && pointer >= Register.data { convert() }
    }

    open override func load(_ register: UInt8) -> UInt8 {
        guard register == Register.status else { return super.load(register) }
        // The copy of the trimming values after a reset shows once: whoever does not look misses it.
        let copying: UInt8 = copiesTrimming ? 0x01 : 0
        copiesTrimming = false
        return copying | (ready != nil ? 0x08 : 0)
    }

    open override func store(_ register: UInt8, _ value: UInt8) {
        switch register {
        case Register.reset where value == 0xB6:
            powerOn()
            copiesTrimming = true
        case Register.configuration:
            // "May be ignored" in normal mode (section 4.3.4): a driver must not count on it.
            if mode != 3 { registers[Int(register)] = value }
        case Register.control:
            registers[Int(register)] = value
            latchHumidityControl()
            if value & 3 == 1 || value & 3 == 2 { startForced() }
        default: break  // The rest can only be read.
        }
    }

    func latchHumidityControl() {}

    // MARK: Conversions

    private final var mode: UInt8 { registers[Int(Register.control)] & 3 }
    private final var temperatureOversampling: Int { oversampling(registers[Int(Register.control)] >> 5) }
    private final var pressureOversampling: Int { oversampling(registers[Int(Register.control)] >> 2) }

    /// Samples a conversion takes: 0 is skipped, codes from 5 on are 16.
    final func oversampling(_ code: UInt8) -> Int {
        let code = code & 7
        return code == 0 ? 0 : 1 << (min(code, 5) - 1)
    }

    /// In microseconds: 1 ms, 2 ms a sample, and 0.5 ms for pressure.
    func conversionTime() -> Int64 {
        let pressure = pressureOversampling
        return 1_000 + 2_000 * Int64(temperatureOversampling)
            + (pressure > 0 ? 2_000 * Int64(pressure) + 500 : 0)
    }

    private final func startForced() {
        if let time {
            ready = time.now + .microseconds(conversionTime())
        } else {
            convert()
            registers[Int(Register.control)] &= ~3
        }
    }

    private final func finishConversion() {
        guard let time, let ready, ready <= time.now else { return }
        self.ready = nil
        convert()
        registers[Int(Register.control)] &= ~3
    }

    private final func convert() {
        conversions += 1
        if let airNow { air = airNow() }
        let exact = inverse(of: air.temperature, bits: 20) { BoschCompensation.temperature($0, trimming) }
        // Pressure and humidity are compensated with the temperature that the chip reports.
        var measured = exact
        if temperatureOversampling > 0 {
            measured = rounded(exact, samples: temperatureOversampling)
            setData(Register.data + 3, measured)
        } else {
            setData(Register.data + 3, skippedReading)
        }
        let fine = BoschCompensation.fineTemperature(Double(measured), trimming)
        if pressureOversampling > 0 {
            // Falls as the reading rises.
            let raw = inverse(of: -air.pressure, bits: 20) { -BoschCompensation.pressure($0, fine, trimming) }
            setData(Register.data, rounded(raw, samples: pressureOversampling))
        } else {
            setData(Register.data, skippedReading)
        }
        convertHumidity(fine)
    }

    func convertHumidity(_ fine: Double) {}

    /// 16 bits with one sample, one more for each doubling; 20 with the IIR filter (section 3.3.3).
    private final func rounded(_ raw: UInt32, samples: Int) -> UInt32 {
        if registers[Int(Register.configuration)] >> 2 & 7 != 0 { return raw }
        let missing = UInt32(max(0, 4 - samples.trailingZeroBitCount))
        return (raw >> missing) << missing
    }

    private final func setData(_ register: UInt8, _ raw: UInt32) {
        let index = Int(register)
        registers[index] = UInt8(truncatingIfNeeded: raw >> 12)
        registers[index + 1] = UInt8(truncatingIfNeeded: raw >> 4)
        registers[index + 2] = UInt8(truncatingIfNeeded: raw << 4)
    }

    /// The reading of `bits` bits whose value comes nearest to `target`.
    /// - Parameter forward: rises with the reading.
    final func inverse(of target: Double, bits: Int, _ forward: (Double) -> Double) -> UInt32 {
        var low: UInt32 = 0
        var high: UInt32 = (1 << UInt32(bits)) - 1
        while low < high {
            let middle = (low + high) / 2
            if forward(Double(middle)) < target { low = middle + 1 } else { high = middle }
        }
        guard low > 0 else { return 0 }
        let above = forward(Double(low)) - target
        let below = target - forward(Double(low - 1))
        return below < above ? low - 1 : low
    }
}
