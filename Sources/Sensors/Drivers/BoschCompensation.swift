/// What the factory stored in a BMP280 or BME280, and the formulas that turn its readings into quantities.
///
/// Sections named "BMP280" are of BST-BMP280-DS001, "BME280" of BST-BME280-DS002. The formulas are those in double
/// precision (BMP280 8.1, BME280 8.1): they agree with the 64-bit integer ones of BMP280 3.11.3 and BME280 4.2.3 to
/// better than the chips' resolution.
struct BoschCalibration: Equatable {
    // Names of BMP280 table 17 and BME280 table 16.
    var t1: UInt16 = 0
    var t2: Int16 = 0
    var t3: Int16 = 0
    var p1: UInt16 = 0
    var p2: Int16 = 0
    var p3: Int16 = 0
    var p4: Int16 = 0
    var p5: Int16 = 0
    var p6: Int16 = 0
    var p7: Int16 = 0
    var p8: Int16 = 0
    var p9: Int16 = 0
    var h1: UInt8 = 0
    var h2: Int16 = 0
    var h3: UInt8 = 0
    var h4: Int16 = 0
    var h5: Int16 = 0
    var h6: Int8 = 0

    /// Registers 0x88 to 0x9F: temperature and pressure, low byte first (BMP280 3.11.2, BME280 4.2.2).
    static let commonRegister: UInt8 = 0x88
    static let commonCount = 24
    /// dig_H1 stands alone, behind a reserved byte (BME280 4.2.2).
    static let h1Register: UInt8 = 0xA1
    /// Registers 0xE1 to 0xE7: the rest of humidity (BME280 4.2.2).
    static let humidityRegister: UInt8 = 0xE1
    static let humidityCount = 7

    /// Takes over the registers from 0x88; `bytes` holds `commonCount`.
    mutating func takeCommon(_ bytes: UnsafeRawBufferPointer) {
        func word(_ index: Int) -> UInt16 { UInt16(bytes[2 * index]) | UInt16(bytes[2 * index + 1]) << 8 }
        func signed(_ index: Int) -> Int16 { Int16(bitPattern: word(index)) }
        t1 = word(0)
        t2 = signed(1)
        t3 = signed(2)
        p1 = word(3)
        p2 = signed(4)
        p3 = signed(5)
        p4 = signed(6)
        p5 = signed(7)
        p6 = signed(8)
        p7 = signed(9)
        p8 = signed(10)
        p9 = signed(11)
    }

    /// Takes over register 0xA1 and those from 0xE1; `bytes` holds `humidityCount`.
    mutating func takeHumidity(_ h1: UInt8, _ bytes: UnsafeRawBufferPointer) {
        self.h1 = h1
        h2 = Int16(bitPattern: UInt16(bytes[0]) | UInt16(bytes[1]) << 8)
        h3 = bytes[2]
        // Two signed 12-bit numbers share 0xE5: its low half belongs to dig_H4, its high half to dig_H5.
        h4 = Int16(Int8(bitPattern: bytes[3])) << 4 | Int16(bytes[4] & 0x0F)
        h5 = Int16(Int8(bitPattern: bytes[5])) << 4 | Int16(bytes[4] >> 4)
        h6 = Int8(bitPattern: bytes[6])
    }

    /// Whether no chip can have left the factory so: registers that all read the same, or a divisor of zero.
    var isBlank: Bool { t1 == UInt16(bitPattern: t2) && t2 == t3 || t1 == 0 || p1 == 0 }

    /// The fine temperature that pressure and humidity are compensated with: 1/5120 degree Celsius.
    func fineTemperature(_ raw: Int32) -> Double {
        let difference = Double(raw) / 16384 - Double(t1) / 1024
        let squared = (Double(raw) / 131072 - Double(t1) / 8192) * (Double(raw) / 131072 - Double(t1) / 8192)
        return difference * Double(t2) + squared * Double(t3)
    }

    /// Degrees Celsius.
    func temperature(fine: Double) -> Double { fine / 5120 }

    /// Pascal; `nil` where the formula would divide by zero.
    func pressure(_ raw: Int32, fine: Double) -> Double? {
        let offset = fine / 2 - 64000
        let quadratic = offset * offset * Double(p6) / 32768 + offset * Double(p5) * 2
        let bias = quadratic / 4 + Double(p4) * 65536
        let sensitivity = (Double(p3) * offset * offset / 524288 + Double(p2) * offset) / 524288
        let divisor = (1 + sensitivity / 32768) * Double(p1)
        if divisor == 0 { return nil }
        let linear = (1_048_576 - Double(raw) - bias / 4096) * 6250 / divisor
        let cubic = Double(p9) * linear * linear / 2_147_483_648 + linear * Double(p8) / 32768
        return linear + (cubic + Double(p7)) / 16
    }

    /// Percent of relative humidity, kept within 0 to 100 as the data sheet does.
    func humidity(_ raw: Int32, fine: Double) -> Double {
        let offset = fine - 76800
        let zero = Double(h4) * 64 + Double(h5) / 16384 * offset
        let slope = 1 + Double(h6) / 67_108_864 * offset * (1 + Double(h3) / 67_108_864 * offset)
        let linear = (Double(raw) - zero) * (Double(h2) / 65536 * slope)
        let humidity = linear * (1 - Double(h1) * linear / 524288)
        return min(max(humidity, 0), 100)
    }
}
