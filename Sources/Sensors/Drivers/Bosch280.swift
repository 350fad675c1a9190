import CShim
import Configuration
import Hardware
import Platform
import Records

/// The environmental sensors BMP280 and BME280 of Bosch Sensortec over I2C, one measurement at a time (forced mode).
///
/// Sections: "BMP280" of BST-BMP280-DS001, "BME280" of BST-BME280-DS002.
final class Bosch280: SensorDriver {
    enum Model {
        case bmp280
        case bme280
    }

    struct Settings: Equatable {
        var model: Model
        var address: UInt8
        /// As the registers count: 1 to 5 for 1, 2, 4, 8, 16 conversions (BME280 5.4.3 and 5.4.5, BMP280 4.3.4).
        var temperature: UInt8 = 1
        var pressure: UInt8 = 1
        var humidity: UInt8 = 1
        /// As the register counts: 0 off, 1 to 4 for a coefficient of 2, 4, 8, 16 (BME280 5.4.6, BMP280 3.3.3).
        var filter: UInt8 = 0
    }

    // BME280 5.3, BMP280 4.2.
    private enum Register {
        static let id: UInt8 = 0xD0
        static let reset: UInt8 = 0xE0
        static let controlHumidity: UInt8 = 0xF2
        static let status: UInt8 = 0xF3
        static let controlMeasurement: UInt8 = 0xF4
        static let configuration: UInt8 = 0xF5
        // From 0xF7 on: pressure, temperature, humidity.
    }

    private static let resetWord: UInt8 = 0xB6
    private static let forcedMode: UInt8 = 0b01
    private static let isMeasuring: UInt8 = 1 << 3
    private static let isCopying: UInt8 = 1 << 0
    /// A standby time, which forced mode does not use (BME280 5.4.6, BMP280 3.6.3): a chip that has it was set up by us
    /// and not reset since, for after a reset it is zero.
    private static let mark: UInt8 = 0b101 << 5

    private let bus: any I2CBus
    private let settings: Settings
    private var calibration = BoschCalibration()

    init(bus: any I2CBus, settings: Settings) {
        self.bus = bus
        self.settings = settings
    }

    func prepare() throws(SensorError) {
        try identify()
        try write(Register.reset, Self.resetWord)
        try awaitStart()
        // I2C has no checksum, and a calibration that was read wrong would falsify every value from then on.
        calibration = try readCalibration()
        guard try readCalibration() == calibration else {
            throw .invalidData("the calibration reads differently twice")
        }
        if calibration.isBlank { throw .invalidData("the calibration is blank") }
        try write(Register.configuration, configuration)
        if settings.model == .bme280 { try write(Register.controlHumidity, settings.humidity) }
    }

    func trigger() throws(SensorError) -> Interval {
        try write(
            Register.controlMeasurement, settings.temperature << 5 | settings.pressure << 2 | Self.forcedMode)
        return longestMeasurement
    }

    func collect(into values: inout [Value]) throws(SensorError) {
        // Settings and readings in one burst: it keeps the readings of one measurement (BME280 4, BMP280 3.9), and the
        // settings are its witnesses. A chip that lost its power, another in its place and a bus that reads garbage would
        // have other ones.
        let hasHumidity = settings.model == .bme280
        let first = hasHumidity ? Register.controlHumidity : Register.status
        let raw = try withUnsafeBytesOfRegisters(first, count: hasHumidity ? 13 : 10) { bytes in
            let start = hasHumidity ? 1 : 0
            return (
                isOurs: (!hasHumidity || bytes[0] & 7 == settings.humidity)
                    && bytes[start + 1] & 0xFC == settings.temperature << 5 | settings.pressure << 2
                    && bytes[start + 2] & 0xFD == configuration,
                isMeasuring: bytes[start] & Self.isMeasuring != 0,
                pressure: Self.twentyBits(bytes, at: start + 4), temperature: Self.twentyBits(bytes, at: start + 7),
                humidity: hasHumidity ? Int32(bytes[11]) << 8 | Int32(bytes[12]) : 0
            )
        }
        if !raw.isOurs { throw .invalidData("the chip does not have the settings that were written to it") }
        if raw.isMeasuring { throw .invalidData("still measuring after the longest time of the data sheet") }
        // What the registers hold before the first measurement (BME280 5.4.7 and 5.4.9, BMP280 3.3). Each alone is an
        // ordinary reading: 0x80000 is about 21 degrees Celsius.
        if raw.temperature == 0x80000, raw.pressure == 0x80000, !hasHumidity || raw.humidity == 0x8000 {
            throw .invalidData("nothing was measured")
        }

        let fine = calibration.fineTemperature(raw.temperature)
        let temperature = calibration.temperature(fine: fine)
        // The operating ranges (BME280 1.1 to 1.4, BMP280 1).
        guard temperature >= -40, temperature <= 85 else {
            throw .invalidData("a temperature outside -40 to 85 degrees Celsius")
        }
        guard let pressure = calibration.pressure(raw.pressure, fine: fine), pressure >= 30_000, pressure <= 110_000
        else { throw .invalidData("a pressure outside 300 to 1100 hPa") }
        values.append(.number(Self.rounded(temperature, to: 100)))
        values.append(.number(Self.rounded(pressure, to: 10)))
        guard hasHumidity else { return }
        // A converter at its stop is no humidity, though the formula would make 0 or 100 % of it.
        if raw.humidity == 0 || raw.humidity == 0xFFFF { throw .invalidData("a humidity reading at its limit") }
        values.append(.number(Self.rounded(calibration.humidity(raw.humidity, fine: fine), to: 100)))
    }

    private var configuration: UInt8 { Self.mark | settings.filter << 2 }

    /// To what the chip resolves: 0.01 degrees Celsius, 0.1 Pa (0.16 at best) and 0.01 %RH (BME280 1.2 to 1.4). The digits
    /// beyond would be the formula's alone, and three times the bytes of the record's value.
    private static func rounded(_ value: Double, to parts: Double) -> Double { (value * parts).rounded() / parts }

    /// BME280 9.1, BMP280 3.8.1: 1.25 ms, 2.3 ms for each conversion, 0.575 ms more for pressure and for humidity.
    private var longestMeasurement: Interval {
        func conversions(_ oversampling: UInt8) -> Int64 { 2_300 << (Int64(oversampling) - 1) }
        var microseconds = 1_250 + conversions(settings.temperature) + conversions(settings.pressure) + 575
        if settings.model == .bme280 { microseconds += conversions(settings.humidity) + 575 }
        return .microseconds(microseconds)
    }

    /// BME280 5.4.1, BMP280 4.3.1; 0x56 and 0x57 are BMP280 samples.
    private func identify() throws(SensorError) {
        let id = try read(Register.id)
        switch settings.model {
        case .bme280: if id == 0x60 { return }
        case .bmp280: if id == 0x58 || id == 0x56 || id == 0x57 { return }
        }
        let found: StaticString
        switch id {
        case 0x55: found = " (a BMP180)"
        case 0x56, 0x57, 0x58: found = " (a BMP280)"
        case 0x60: found = " (a BME280)"
        case 0x61: found = " (a BME680)"
        case 0x00, 0xFF: found = " (nothing that drives the bus)"
        default: found = ""
        }
        let name = String(found)
        throw .wrongChip(
            expected: settings.model == .bme280 ? "0x60 (a BME280)" : "0x58 (a BMP280)", found: hexadecimal(id) + name)
    }

    /// Waits until the chip has copied its calibration after the reset (BME280 5.4.4, BMP280 4.3.3). Start-up takes 2 ms
    /// at most (BME280 table 1, BMP280 table 2), in which the chip may not answer, or not yet show that it copies.
    /// A status read takes 95 us on the fastest bus that a Pi has (400 kHz), so 24 clear ones in a row are 2 ms.
    private func awaitStart() throws(SensorError) {
        var clear = 0
        var silent = 0
        for _ in 0..<400 {
            do throws(I2CError) {
                let status = try bus.readByte(settings.address, register: Register.status)
                clear = status & Self.isCopying == 0 ? clear + 1 : 0
                if clear == 24 { return }
            } catch {
                // Only a missing acknowledge is expected; anything else may take long and is a failure now.
                silent += 1
                clear = 0
                guard error.code == ENXIO || error.code == EREMOTEIO, silent <= 24 else { throw .i2c(error) }
            }
        }
        throw .invalidData("the chip does not finish copying its calibration")
    }

    private func readCalibration() throws(SensorError) -> BoschCalibration {
        var result = BoschCalibration()
        try withUnsafeBytesOfRegisters(BoschCalibration.commonRegister, count: BoschCalibration.commonCount) {
            result.takeCommon($0)
        }
        guard settings.model == .bme280 else { return result }
        let h1 = try read(BoschCalibration.h1Register)
        try withUnsafeBytesOfRegisters(BoschCalibration.humidityRegister, count: BoschCalibration.humidityCount) {
            result.takeHumidity(h1, $0)
        }
        return result
    }

    /// Three registers: high, middle, and the upper half of the last (BME280 5.4.7, BMP280 4.3.6).
    private static func twentyBits(_ bytes: UnsafeRawBufferPointer, at index: Int) -> Int32 {
        Int32(bytes[index]) << 12 | Int32(bytes[index + 1]) << 4 | Int32(bytes[index + 2] >> 4)
    }

    private func read(_ register: UInt8) throws(SensorError) -> UInt8 {
        do throws(I2CError) { return try bus.readByte(settings.address, register: register) } catch {
            throw .i2c(error)
        }
    }

    private func write(_ register: UInt8, _ value: UInt8) throws(SensorError) {
        do throws(I2CError) { try bus.writeByte(settings.address, register: register, value) } catch {
            throw .i2c(error)
        }
    }

    /// Reads up to 32 consecutive registers.
    private func withUnsafeBytesOfRegisters<Result>(
        _ register: UInt8, count: Int, _ body: (UnsafeRawBufferPointer) -> Result
    ) throws(SensorError) -> Result {
        var block: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        var failure: I2CError?
        let result: Result? = withUnsafeMutableBytes(of: &block) { buffer in
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(count, buffer.count)])
            do throws(I2CError) {
                try bus.readBlock(settings.address, register: register, into: part)
                return body(UnsafeRawBufferPointer(part))
            } catch {
                failure = error
                return nil
            }
        }
        guard let result else {
            throw .i2c(failure ?? I2CError(bus: bus.name, address: settings.address, register: register, code: EIO))
        }
        return result
    }
}

extension Bosch280 {
    static func decodeBMP280(_ reader: Reader, every: Interval?) -> DriverPlan? { decode(reader, .bmp280) }
    static func decodeBME280(_ reader: Reader, every: Interval?) -> DriverPlan? { decode(reader, .bme280) }

    private static func decode(_ reader: Reader, _ model: Model) -> DriverPlan? {
        let bus = reader.requiredNonEmpty("bus")
        let address = reader.address("address", in: 0x76...0x77) ?? 0x76
        var settings = Settings(model: model, address: address)
        if let oversampling = reader.mapping("oversampling") {
            func times(_ key: StaticString) -> UInt8 {
                UInt8(truncatingIfNeeded: (oversampling.choice(key, ["1", "2", "4", "8", "16"]) ?? 0) + 1)
            }
            settings.temperature = times("temperature")
            settings.pressure = times("pressure")
            if model == .bme280 { settings.humidity = times("humidity") }
            oversampling.finish()
        }
        settings.filter = UInt8(truncatingIfNeeded: reader.choice("iir_filter", ["off", "2", "4", "8", "16"]) ?? 0)
        guard let bus else { return nil }
        var channels = [Channel("temperature", unit: "Cel"), Channel("pressure", unit: "Pa")]
        if model == .bme280 { channels.append(Channel("humidity", unit: "%RH")) }
        return DriverPlan(
            channels: channels,
            claims: reader.isRefused("address") ? [] : [.address(bus: bus, address, reader.mark(of: "address"))],
            make: .onBus(bus, reader.mark(of: "bus")) { Bosch280(bus: $0, settings: settings) })
    }
}
