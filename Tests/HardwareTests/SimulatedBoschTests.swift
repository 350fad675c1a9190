import Platform
import TestSupport
import Testing

@testable import Hardware

@Suite struct SimulatedBoschTests {
    private let bus = SimulatedI2CBus(name: "i2c-1")
    private let loop = ManualLoop()

    private func read(_ register: UInt8, _ count: Int = 1) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        try bytes.withUnsafeMutableBytes { try bus.readBlock(0x76, register: register, into: $0) }
        return bytes
    }

    private func write(_ register: UInt8, _ value: UInt8) throws { try bus.writeByte(0x76, register: register, value) }

    private struct Readings {
        var pressure, temperature, humidity: Double
    }

    private func readings() throws -> Readings {
        let bytes = try read(0xF7, 8).map { UInt32($0) }
        return Readings(
            pressure: Double(bytes[0] << 12 | bytes[1] << 4 | bytes[2] >> 4),
            temperature: Double(bytes[3] << 12 | bytes[4] << 4 | bytes[5] >> 4),
            humidity: Double(bytes[6] << 8 | bytes[7]))
    }

    @Test func theFormulasGiveTheDataSheetsExample() {
        // BMP280 data sheet, section 3.12.
        let trimming = BoschTrimming()
        let fine = BoschCompensation.fineTemperature(519_888, trimming)
        #expect(abs(fine - 128_422) < 1)
        #expect(abs(BoschCompensation.temperature(519_888, trimming) - 25.08) < 0.005)
        #expect(abs(BoschCompensation.pressure(415_148, fine, trimming) - 100_653.27) < 0.02)
    }

    @Test func theDataSheetsReadingsComeBackFromTheirQuantities() throws {
        let chip = SimulatedBMP280()
        bus.attach(chip, at: 0x76)
        let fine = BoschCompensation.fineTemperature(519_888, chip.trimming)
        chip.air.temperature = fine / 5_120
        chip.air.pressure = BoschCompensation.pressure(415_148, fine, chip.trimming)
        try write(0xF4, 5 << 5 | 5 << 2 | 1)
        let found = try readings()
        #expect(found.temperature == 519_888)
        #expect(found.pressure == 415_148)
    }

    @Test func identityAndTrimmingLieWhereTheDataSheetsSay() throws {
        bus.attach(SimulatedBMP280(), at: 0x76)
        #expect(try read(0xD0) == [0x58])
        #expect(try read(0x88, 6) == [0x70, 0x6B, 0x43, 0x67, 0x18, 0xFC])
        #expect(try read(0x8E, 2) == [0x7D, 0x8E])
        #expect(try read(0x9E, 2) == [0x70, 0x17])
        #expect(try read(0xF7, 6) == [0x80, 0, 0, 0x80, 0, 0])

        bus.attach(SimulatedBME280(), at: 0x76)
        #expect(try read(0xD0) == [0x60])
        #expect(try read(0xA1) == [75])
        // H2 = 370, H3 = 0, H4 = 313 = 0x139, H5 = 50 = 0x032, H6 = 30
        #expect(try read(0xE1, 7) == [0x72, 0x01, 0x00, 0x13, 0x29, 0x03, 0x1E])
        #expect(try read(0xFD, 2) == [0x80, 0])
    }

    @Test(arguments: [
        SimulatedAir(temperature: -40, pressure: 30_000, humidity: 0.5),
        SimulatedAir(temperature: 0, pressure: 98_000, humidity: 99.5),
        SimulatedAir(temperature: 21.537, pressure: 101_325, humidity: 45.25),
        SimulatedAir(temperature: 85, pressure: 110_000, humidity: 12),
    ])
    func aForcedMeasurementHoldsTheAirWithinTheResolution(_ air: SimulatedAir) throws {
        let chip = SimulatedBME280()
        bus.attach(chip, at: 0x76)
        chip.air = air
        try write(0xF2, 1)
        try write(0xF4, 5 << 5 | 5 << 2 | 1)
        #expect(try read(0xF4) == [5 << 5 | 5 << 2])  // asleep again
        let found = try readings()
        let fine = BoschCompensation.fineTemperature(found.temperature, chip.trimming)
        #expect(abs(fine / 5_120 - air.temperature) < 0.001)
        #expect(abs(BoschCompensation.pressure(found.pressure, fine, chip.trimming) - air.pressure) < 0.2)
        #expect(abs(BoschCompensation.humidity(found.humidity, fine, chip.trimming) - air.humidity) < 0.01)
        #expect(chip.conversions == 1)
    }

    @Test func whatIsNotSampledReadsAsSkipped() throws {
        bus.attach(SimulatedBME280(), at: 0x76)
        try write(0xF4, 1 << 5 | 1)
        var found = try readings()
        #expect(found.pressure == 0x80000 && found.temperature != 0x80000 && found.humidity == 0x8000)
        // Humidity's control counts only from the next write of the other one.
        try write(0xF2, 1)
        #expect(try read(0xFD, 2) == [0x80, 0])
        try write(0xF4, 1 << 2 | 1)
        found = try readings()
        #expect(found.pressure != 0x80000 && found.temperature == 0x80000 && found.humidity != 0x8000)
    }

    @Test func oneSampleGivesSixteenBitsAndTheFilterTwenty() throws {
        let chip = SimulatedBMP280()
        bus.attach(chip, at: 0x76)
        chip.air.temperature = 21.5371
        try write(0xF4, 1 << 5 | 1 << 2 | 1)
        #expect(try read(0xFC) == [0])
        #expect(try read(0xF9) == [0])
        try write(0xF5, 1 << 2)
        try write(0xF4, 1 << 5 | 1 << 2 | 1)
        #expect(try read(0xFC) != [0])
    }

    @Test func aConversionTakesItsTimeAndShows() throws {
        bus.attach(SimulatedBME280(time: loop), at: 0x76)
        try write(0xF2, 1)
        try write(0xF4, 1 << 5 | 1 << 2 | 1)
        #expect(try read(0xF3) == [0x08])
        #expect(try read(0xF7, 3) == [0x80, 0, 0])
        loop.advance(by: .microseconds(7_999))
        #expect(try read(0xF3) == [0x08])
        loop.advance(by: .microseconds(1))
        #expect(try read(0xF3) == [0])
        #expect(try read(0xF7, 3) != [0x80, 0, 0])
    }

    @Test func normalModeMeasuresByItself() throws {
        let chip = SimulatedBMP280()
        bus.attach(chip, at: 0x76)
        var celsius = 10.0
        chip.airNow = {
            celsius += 1
            return SimulatedAir(temperature: celsius)
        }
        try write(0xF4, 1 << 5 | 1 << 2 | 3)
        let first = BoschCompensation.temperature(try readings().temperature, chip.trimming)
        let second = BoschCompensation.temperature(try readings().temperature, chip.trimming)
        #expect(abs(second - first - 1) < 0.01)
        // Ignored while it measures.
        try write(0xF5, 0xFF)
        #expect(try read(0xF5) == [0])
    }

    @Test func aResetForgetsEverythingAndCopiesTheTrimmingAgain() throws {
        bus.attach(SimulatedBME280(), at: 0x76)
        try write(0xF2, 1)
        try write(0xF5, 0x10)
        try write(0xF4, 1 << 5 | 1 << 2 | 1)
        try write(0xE0, 0x00)
        #expect(try read(0xF5) == [0x10])
        try write(0xE0, 0xB6)
        #expect(try read(0xF3) == [0x01])
        #expect(try read(0xF3) == [0x00])
        #expect(try read(0xF2, 4) == [0, 0, 0, 0])
        #expect(try read(0xF7, 8) == [0x80, 0, 0, 0x80, 0, 0, 0x80, 0])
        #expect(try read(0x88) == [0x70])
    }

    @Test func writesAreRegisterValuePairsAndTheRestIsReadOnly() throws {
        bus.attach(SimulatedBME280(), at: 0x76)
        // ctrl_hum, config and ctrl_meas (asleep) in one message.
        let pairs: [UInt8] = [0x02, 0xF5, 0x10, 0xF4, 0x24]
        try pairs.withUnsafeBytes { try bus.writeBlock(0x76, register: 0xF2, $0) }
        #expect(try read(0xF2) == [2])
        #expect(try read(0xF4, 2) == [0x24, 0x10])
        for register: UInt8 in [0x88, 0xA1, 0xD0, 0xE1, 0xF7] {
            let before = try read(register)
            try write(register, ~before[0])
            #expect(try read(register) == before)
        }
    }
}
