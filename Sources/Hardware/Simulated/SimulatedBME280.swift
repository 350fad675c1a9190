import Platform

/// A Bosch BME280 in its registers (data sheet BST-BME280-DS002, section 5): a BMP280 that measures humidity too.
/// What `ctrl_hum` asks for counts from the next write of `ctrl_meas` on (section 5.4.3).
public final class SimulatedBME280: SimulatedBMP280 {
    private var humidityOversampling = 0

    override var identity: UInt8 { 0x60 }

    override func powerOn() {
        super.powerOn()
        humidityOversampling = 0
        registers[0xA1] = trimming.h1
        let h2 = UInt16(bitPattern: trimming.h2)
        registers[0xE1] = UInt8(truncatingIfNeeded: h2)
        registers[0xE2] = UInt8(h2 >> 8)
        registers[0xE3] = trimming.h3
        // Two values of 12 bits share the byte in the middle.
        let h4 = UInt16(bitPattern: trimming.h4)
        let h5 = UInt16(bitPattern: trimming.h5)
        registers[0xE4] = UInt8(truncatingIfNeeded: h4 >> 4)
        registers[0xE5] = UInt8(truncatingIfNeeded: h4 & 0x0F | (h5 & 0x0F) << 4)
        registers[0xE6] = UInt8(truncatingIfNeeded: h5 >> 4)
        registers[0xE7] = UInt8(bitPattern: trimming.h6)
        setHumidity(0x8000)
    }

    public override func store(_ register: UInt8, _ value: UInt8) {
        if register == Register.controlHumidity {
            registers[Int(register)] = value & 7
        } else {
            super.store(register, value)
        }
    }

    override func latchHumidityControl() {
        humidityOversampling = oversampling(registers[Int(Register.controlHumidity)])
    }

    /// Section 9.1.
    override func conversionTime() -> Int64 {
        super.conversionTime() + (humidityOversampling > 0 ? 2_000 * Int64(humidityOversampling) + 500 : 0)
    }

    override func convertHumidity(_ fine: Double) {
        guard humidityOversampling > 0 else { return setHumidity(0x8000) }
        let raw = inverse(of: air.humidity, bits: 16) { BoschCompensation.humidity($0, fine, trimming) }
        setHumidity(UInt16(truncatingIfNeeded: raw))
    }

    private func setHumidity(_ raw: UInt16) {
        registers[Int(Register.humidity)] = UInt8(raw >> 8)
        registers[Int(Register.humidity) + 1] = UInt8(truncatingIfNeeded: raw)
    }
}

/// From readings to quantities, in floating point as the data sheets' appendices give it (BMP280 8.1, BME280 8.1).
/// Only the simulated chips use this: the driver has arithmetic of its own, so that one proves the other.
enum BoschCompensation {
    /// 5,120 a degree Celsius.
    static func fineTemperature(_ reading: Double, _ trimming: BoschTrimming) -> Double {
        let linear = (reading / 16_384 - Double(trimming.t1) / 1_024) * Double(trimming.t2)
        let offset = reading / 131_072 - Double(trimming.t1) / 8_192
        return linear + offset * offset * Double(trimming.t3)
    }

    /// In °C.
    static func temperature(_ reading: Double, _ trimming: BoschTrimming) -> Double {
        fineTemperature(reading, trimming) / 5_120
    }

    /// In Pa.
    static func pressure(_ reading: Double, _ fine: Double, _ trimming: BoschTrimming) -> Double {
        let warmth = fine / 2 - 64_000
        var offset = warmth * warmth * Double(trimming.p6) / 32_768
        offset += warmth * Double(trimming.p5) * 2
        offset = offset / 4 + Double(trimming.p4) * 65_536
        var scale = (Double(trimming.p3) * warmth * warmth / 524_288 + Double(trimming.p2) * warmth) / 524_288
        scale = (1 + scale / 32_768) * Double(trimming.p1)
        guard scale != 0 else { return 0 }
        let pressure = (1_048_576 - reading - offset / 4_096) * 6_250 / scale
        let square = Double(trimming.p9) * pressure * pressure / 2_147_483_648
        let line = pressure * Double(trimming.p8) / 32_768
        return pressure + (square + line + Double(trimming.p7)) / 16
    }

    /// Relative, in %, 0…100.
    static func humidity(_ reading: Double, _ fine: Double, _ trimming: BoschTrimming) -> Double {
        let warmth = fine - 76_800
        let offset = Double(trimming.h4) * 64 + Double(trimming.h5) / 16_384 * warmth
        let slope =
            Double(trimming.h2) / 65_536
            * (1 + Double(trimming.h6) / 67_108_864 * warmth * (1 + Double(trimming.h3) / 67_108_864 * warmth))
        let humidity = (reading - offset) * slope
        return min(100, max(0, humidity * (1 - Double(trimming.h1) * humidity / 524_288)))
    }
}
