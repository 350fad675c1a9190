import Foundation
import Hardware
import Platform
import Records
import Testing

@testable import Sensors

/// Registers of a real BME280 with a measurement, and what the field's drivers make of it.
struct BoschVector {
    let calibration: [UInt8]
    let humidity: [UInt8]
    let data: [UInt8]

    /// A measurement in a room: 20.56 degrees, 98456 Pa, 54.42 % (test data of a public BME280 driver).
    static let room = BoschVector(
        calibration: [
            0x32, 0x70, 0xd0, 0x68, 0x32, 0x00, 0x3a, 0x8e, 0x1b, 0xd6, 0xd0, 0x0b, 0x15, 0x24, 0x64, 0xff, 0xf9, 0xff,
            0x0c, 0x30, 0x20, 0xd1, 0x88, 0x13, 0x00, 0x4b,
        ],
        humidity: [0x4c, 0x01, 0x00, 0x19, 0x20, 0x03, 0x1e], data: [0x4e, 0xba, 0xc0, 0x7f, 0xe3, 0x00, 0x8e, 0x1a])

    /// 21.43 degrees, 100819 Pa, 47.33 % (likewise).
    static let second = BoschVector(
        calibration: [
            0xe6, 0x6e, 0xcf, 0x66, 0x32, 0x00, 0xfb, 0x90, 0x57, 0xd5, 0xd0, 0x0b, 0xea, 0x1a, 0x7b, 0xff, 0xf9, 0xff,
            0xac, 0x26, 0x0a, 0xd8, 0xbd, 0x10, 0x00, 0x4b,
        ],
        humidity: [0x66, 0x01, 0x00, 0x14, 0x0a, 0x00, 0x1e], data: [0x51, 0xe9, 0x05, 0x7f, 0x92, 0x0b, 0x74, 0x15])

    func bus(id: UInt8 = 0x60) -> FakeBus {
        let bus = FakeBus(address: 0x76)
        bus.registers[0xD0] = id
        bus.registers.replaceSubrange(0x88..<0xA2, with: calibration)
        bus.registers.replaceSubrange(0xE1..<0xE8, with: humidity)
        bus.registers.replaceSubrange(0xF7..<0xFF, with: data)
        return bus
    }
}

/// The data sheet's other formulas, in integers (BMP280 3.11.3, BME280 4.2.3): the oracle for ours.
struct IntegerCompensation {
    let c: BoschCalibration

    func fine(_ raw: Int32) -> Int32 {
        let t1 = Int32(c.t1)
        let first = (((raw >> 3) - (t1 << 1)) * Int32(c.t2)) >> 11
        let second = (((((raw >> 4) - t1) * ((raw >> 4) - t1)) >> 12) * Int32(c.t3)) >> 14
        return first + second
    }

    /// In 1/256 Pa.
    func pressure(_ raw: Int32, _ fine: Int32) -> Int64 {
        var first = Int64(fine) - 128000
        var second = first * first * Int64(c.p6)
        second += (first * Int64(c.p5)) << 17
        second += Int64(c.p4) << 35
        first = ((first * first * Int64(c.p3)) >> 8) + ((first * Int64(c.p2)) << 12)
        first = (((1 << 47) + first) * Int64(c.p1)) >> 33
        if first == 0 { return 0 }
        var p = Int64(1_048_576 - raw)
        p = (((p << 31) - second) * 3125) / first
        first = (Int64(c.p9) * (p >> 13) * (p >> 13)) >> 25
        second = (Int64(c.p8) * p) >> 19
        return ((p + first + second) >> 8) + (Int64(c.p7) << 4)
    }

    /// In 1/1024 %.
    func humidity(_ raw: Int32, _ fine: Int32) -> Int32 {
        let offset = fine - 76800
        let left = (((raw << 14) - (Int32(c.h4) << 20) - Int32(c.h5) * offset) + 16384) >> 15
        let inner = ((offset * Int32(c.h6)) >> 10) * (((offset * Int32(c.h3)) >> 11) + 32768)
        let right = (((inner >> 10) + 2_097_152) * Int32(c.h2) + 8192) >> 14
        var v = left * right
        v -= ((((v >> 15) * (v >> 15)) >> 7) * Int32(c.h1)) >> 4
        v = min(max(v, 0), 419_430_400)
        return v >> 12
    }
}

@Suite struct BoschTests {
    private func driver(_ bus: FakeBus, _ model: Bosch280.Model = .bme280) -> Bosch280 {
        Bosch280(bus: bus, settings: Bosch280.Settings(model: model, address: 0x76))
    }

    private func measure(_ driver: Bosch280) throws -> [Double] {
        var values: [Value] = []
        try driver.prepare()
        _ = try driver.trigger()
        try driver.collect(into: &values)
        return values.compactMap { $0.number }
    }

    /// BMP280 data sheet, section 3.12.
    @Test func theDataSheetsExample() {
        var c = BoschCalibration()
        c.t1 = 27504
        c.t2 = 26435
        c.t3 = -1000
        c.p1 = 36477
        c.p2 = -10685
        c.p3 = 3024
        c.p4 = 2855
        c.p5 = 140
        c.p6 = -7
        c.p7 = 15500
        c.p8 = -14600
        c.p9 = 6000
        let fine = c.fineTemperature(519888)
        #expect(Int(fine) == 128422)
        #expect(abs(c.temperature(fine: fine) - 25.08) < 0.005)
        #expect(abs((c.pressure(415148, fine: fine) ?? 0) - 100653.27) < 0.005)
        let integer = IntegerCompensation(c: c)
        #expect(integer.fine(519888) == 128422)
        // The data sheet prints 25767236, which is the result in floating point; its integer formula yields 3 less.
        #expect(integer.pressure(415148, 128422) == 25_767_233)
    }

    /// Test data of a public BME280 driver, in full precision.
    @Test func humidityAgreesWithTheFieldsDrivers() {
        var c = BoschCalibration()
        (c.t1, c.t2, c.t3) = (28009, 25654, 50)
        (c.p1, c.p2, c.p3, c.p4, c.p5) = (39145, -10750, 3024, 5667, -120)
        (c.p6, c.p7, c.p8, c.p9) = (-7, 15500, -14600, 6000)
        (c.h1, c.h2, c.h3, c.h4, c.h5, c.h6) = (75, 376, 0, 286, 50, 30)
        let fine = c.fineTemperature(529191)
        #expect(abs(c.temperature(fine: fine) - 24.7894877676) < 1e-9)
        #expect(abs((c.pressure(326816, fine: fine) ?? 0) - 100661.517564) < 1e-5)
        #expect(abs(c.humidity(30281, fine: fine) - 68.66996648709039) < 1e-9)
    }

    @Test func doublesAgreeWithTheIntegerFormulasOverTheRange() throws {
        for vector in [BoschVector.room, .second] {
            var c = BoschCalibration()
            vector.calibration.withUnsafeBytes { c.takeCommon($0) }
            vector.humidity.withUnsafeBytes { c.takeHumidity(vector.calibration[25], $0) }
            let integer = IntegerCompensation(c: c)
            var compared = 0
            for rawTemperature in stride(from: Int32(330_000), through: 700_000, by: 7_919) {
                let fine = c.fineTemperature(rawTemperature)
                let integerFine = integer.fine(rawTemperature)
                guard (-40.0...85).contains(c.temperature(fine: fine)) else { continue }
                #expect(abs(fine - Double(integerFine)) < 60)
                for rawPressure in stride(from: Int32(200_000), through: 800_000, by: 39_983) {
                    let pressure = try #require(c.pressure(rawPressure, fine: fine))
                    guard (30_000.0...110_000).contains(pressure) else { continue }
                    #expect(abs(pressure - Double(integer.pressure(rawPressure, integerFine)) / 256) < 3)
                    compared += 1
                }
                for rawHumidity in stride(from: Int32(1_000), through: 60_000, by: 1_777) {
                    let humidity = c.humidity(rawHumidity, fine: fine)
                    #expect((0.0...100).contains(humidity))
                    #expect(abs(humidity - Double(integer.humidity(rawHumidity, integerFine)) / 1024) < 0.1)
                }
            }
            #expect(compared > 100)
        }
    }

    @Test func readsACompleteBME280() throws {
        let room = try measure(driver(BoschVector.room.bus()))
        #expect(abs(room[0] - 20.56) < 0.01)
        #expect(abs(room[1] - 98456.19) < 2)
        #expect(abs(room[2] - 54.42) < 0.05)
        let second = try measure(driver(BoschVector.second.bus()))
        #expect(abs(second[0] - 21.43) < 0.01)
        #expect(abs(second[1] - 100819) < 3)
        #expect(abs(second[2] - 47.33) < 0.05)
    }

    @Test func readsABMP280AndItsSamples() throws {
        for id: UInt8 in [0x56, 0x57, 0x58] {
            let values = try measure(driver(BoschVector.room.bus(id: id), .bmp280))
            #expect(values.count == 2)
            #expect(abs(values[0] - 20.56) < 0.01)
        }
    }

    @Test func twelveBitNumbersKeepTheirSigns() {
        var c = BoschCalibration()
        // dig_H4 = 0x801 = -2047, dig_H5 = 0xFFE = -2.
        let bytes: [UInt8] = [0x6a, 0x01, 0x00, 0x80, 0xE1, 0xFF, 0xE2]
        bytes.withUnsafeBytes { c.takeHumidity(75, $0) }
        #expect(c.h2 == 362)
        #expect(c.h4 == -2047)
        #expect(c.h5 == -2)
        #expect(c.h6 == -30)
    }

    @Test func settingsAreWrittenInTheirOrder() throws {
        let bus = BoschVector.room.bus()
        let settings = Bosch280.Settings(
            model: .bme280, address: 0x76, temperature: 2, pressure: 5, humidity: 3, filter: 4)
        let driver = Bosch280(bus: bus, settings: settings)
        try driver.prepare()
        let wait = try driver.trigger()
        // The humidity setting takes effect with the write of ctrl_meas that follows it (BME280 5.4.3).
        #expect(bus.written.map { $0.register } == [0xE0, 0xF5, 0xF2, 0xF4])
        #expect(bus.written.map { $0.value } == [0xB6, 0xA0 | 4 << 2, 3, 2 << 5 | 5 << 2 | 1])
        // 1.25 + 2.3*2 + 2.3*16 + 0.575 + 2.3*4 + 0.575 ms
        #expect(wait == .microseconds(53_000))
        // The longest of the BMP280's table 13: 16 and 2 conversions, 43.2 ms.
        let slow = Bosch280(
            bus: BoschVector.room.bus(id: 0x58),
            settings: Bosch280.Settings(model: .bmp280, address: 0x76, temperature: 2, pressure: 5))
        #expect(try slow.trigger() == .microseconds(43_225))
    }

    @Test func anotherChipIsNamed() {
        let expected: [(UInt8, String)] = [
            (0x58, "0x58 (a BMP280)"), (0x61, "0x61 (a BME680)"), (0x55, "0x55 (a BMP180)"),
            (0xFF, "0xff (nothing that drives the bus)"), (0x42, "0x42"),
        ]
        for (id, found) in expected {
            #expect(throws: SensorError.wrongChip(expected: "0x60 (a BME280)", found: found)) {
                try driver(BoschVector.room.bus(id: id)).prepare()
            }
        }
        #expect(throws: SensorError.wrongChip(expected: "0x58 (a BMP280)", found: "0x60 (a BME280)")) {
            try driver(BoschVector.room.bus(), .bmp280).prepare()
        }
    }

    @Test func garbageIsNeverAMeasurement() throws {
        for filler: UInt8 in [0x00, 0xFF, 0x55, 0xAA] {
            // From the start …
            let blank = FakeBus(address: 0x76)
            blank.registers = [UInt8](repeating: filler, count: 256)
            #expect(throws: SensorError.self) { try measure(driver(blank)) }
            // … with the right id only …
            blank.registers[0xD0] = 0x60
            blank.registers[0xF3] = 0
            #expect(throws: SensorError.self) { try measure(driver(blank)) }
            // … and after a good start.
            for model in [Bosch280.Model.bme280, .bmp280] {
                let bus = BoschVector.room.bus(id: model == .bme280 ? 0x60 : 0x58)
                let driver = driver(bus, model)
                try driver.prepare()
                _ = try driver.trigger()
                for index in 0xF7..<0xFF { bus.registers[index] = filler }
                var values: [Value] = []
                // Only the bus's resting levels: some constants are a possible measurement.
                guard filler == 0x00 || filler == 0xFF else { continue }
                #expect(throws: SensorError.self) { try driver.collect(into: &values) }
                bus.registers[0xF3] = filler
                values = []
                #expect(throws: SensorError.self) { try driver.collect(into: &values) }
            }
        }
    }

    @Test func skippedAndUnfinishedMeasurementsAreNone() throws {
        let changes: [(String, [Int: UInt8])] = [
            (
                "nothing was measured",
                [0xF7: 0x80, 0xF8: 0, 0xF9: 0, 0xFA: 0x80, 0xFB: 0, 0xFC: 0, 0xFD: 0x80, 0xFE: 0]
            ),
            ("still measuring after the longest time of the data sheet", [0xF3: 0x08]),
            ("a temperature outside -40 to 85 degrees Celsius", [0xFA: 0xFF]),
            ("a pressure outside 300 to 1100 hPa", [0xF7: 0xF0]),
            ("the chip does not have the settings that were written to it", [0xF2: 0]),
            ("the chip does not have the settings that were written to it", [0xF4: 0]),
            ("the chip does not have the settings that were written to it", [0xF5: 0]),
        ]
        for (text, registers) in changes {
            let bus = BoschVector.room.bus()
            let driver = driver(bus)
            try driver.prepare()
            _ = try driver.trigger()
            for (register, value) in registers { bus.registers[register] = value }
            var values: [Value] = []
            #expect(throws: SensorError.invalidData(text)) { try driver.collect(into: &values) }
        }
    }

    /// What the registers hold after a reset is a temperature of a room, a pressure and a humidity like any other.
    @Test func aReadingMayLookLikeARegisterAfterAReset() throws {
        let readings: [[Int: UInt8]] = [
            [0xFA: 0x80, 0xFB: 0, 0xFC: 0], [0xF7: 0x80, 0xF8: 0, 0xF9: 0], [0xFD: 0x80, 0xFE: 0],
            [0xFA: 0x80, 0xFB: 0, 0xFC: 0, 0xFD: 0x80, 0xFE: 0],
        ]
        for (vector, temperature) in [(BoschVector.room, 20.71), (.second, 21.98)] {
            for registers in readings {
                let bus = vector.bus()
                for (register, value) in registers { bus.registers[register] = value }
                let driver = driver(bus)
                try driver.prepare()
                _ = try driver.trigger()
                var values: [Value] = []
                try driver.collect(into: &values)
                #expect(values.count == 3)
                if registers[0xFA] != nil { #expect(values.first == .number(temperature)) }
            }
        }
        let bus = BoschVector.room.bus(id: 0x58)
        bus.registers.replaceSubrange(0xFA..<0xFD, with: [0x80, 0, 0])
        #expect(try measure(driver(bus, .bmp280)).first == 20.71)
        bus.registers.replaceSubrange(0xF7..<0xFA, with: [0x80, 0, 0])
        #expect(throws: SensorError.invalidData("nothing was measured")) { try measure(driver(bus, .bmp280)) }
    }

    @Test func aCalibrationThatChangesOrIsBlankIsRefused() {
        let flipping = BoschVector.room.bus()
        var reads = 0
        flipping.onRead = { register in
            guard register == 0x88 else { return }
            reads += 1
            flipping.registers[0x8E] ^= reads == 2 ? 0x10 : 0
        }
        #expect(throws: SensorError.invalidData("the calibration reads differently twice")) {
            try driver(flipping).prepare()
        }
        let blank = BoschVector.room.bus()
        for index in 0x88..<0xA2 { blank.registers[index] = 0 }
        #expect(throws: SensorError.invalidData("the calibration is blank")) { try driver(blank).prepare() }
    }

    @Test func theCopyOfTheCalibrationIsWaitedFor() throws {
        let bus = BoschVector.room.bus()
        bus.registers[0xF3] = 0x01
        var polls = 0
        bus.onRead = { register in
            if register == 0xF3 {
                polls += 1
                if polls == 30 { bus.registers[0xF3] = 0 }
            }
        }
        try driver(bus).prepare()
        #expect(polls >= 30 + 23)
        let stuck = BoschVector.room.bus()
        stuck.registers[0xF3] = 0x01
        #expect(throws: SensorError.invalidData("the chip does not finish copying its calibration")) {
            try driver(stuck).prepare()
        }
        #expect(stuck.transfers < 500)
    }

    @Test func silenceAfterTheResetIsAllowedForAWhileOnly() throws {
        let bus = BoschVector.room.bus()
        for transfer in 2..<10 { bus.failures[transfer] = EREMOTEIO }
        try driver(bus).prepare()
        let mute = BoschVector.room.bus()
        for transfer in 2..<1_000 { mute.failures[transfer] = EREMOTEIO }
        #expect(throws: SensorError.i2c(I2CError(bus: "i2c-1", address: 0x76, register: 0xF3, code: EREMOTEIO))) {
            try driver(mute).prepare()
        }
        #expect(mute.transfers < 40)
        // An error that may take a second each is not tried again.
        let slow = BoschVector.room.bus()
        slow.failures[2] = ETIMEDOUT
        #expect(throws: SensorError.self) { try driver(slow).prepare() }
        #expect(slow.transfers == 3)
    }

    @Test func aBusErrorAtAnyStepIsReportedAndTheNextTryWorks() throws {
        let bus = BoschVector.room.bus()
        let driver = driver(bus)
        _ = try measure(driver)
        let steps = bus.transfers
        for step in 0..<steps {
            let bus = BoschVector.room.bus()
            let driver = self.driver(bus)
            bus.failures[step] = EIO
            #expect(throws: SensorError.self, "step \(step)") { try measure(driver) }
            #expect(try measure(driver).count == 3)
        }
    }
}
