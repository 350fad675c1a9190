import Hardware
import Platform

/// A chip that can be recognised on a bus: by what one of its registers holds, or, where it has no such register or
/// reading one is not harmless, by its address alone.
public struct KnownChip {
    /// The addresses that it can have.
    public let addresses: ClosedRange<UInt8>
    /// Such as `BME280`; several where they cannot be told apart.
    public let name: StaticString
    /// What it is, such as `air`.
    public let what: StaticString
    /// The driver that kedge has or could have for it, by the name of `driver:`; empty for none.
    public let driver: StaticString
    /// The drivers that kedge has for it as an actuator; empty for none.
    public let actuator: StaticString
    let identity: Identity?

    /// A register and what it holds.
    struct Identity {
        let register: UInt8
        /// Of two bytes, the first one is the higher.
        let isWord: Bool
        let mask: UInt16
        let value: UInt16
    }

    private init(
        _ addresses: ClosedRange<UInt8>, _ name: StaticString, _ what: StaticString, _ driver: StaticString = "",
        byte register: UInt8, _ value: UInt8, mask: UInt8 = 0xFF
    ) {
        self.addresses = addresses
        self.name = name
        self.what = what
        self.driver = driver
        actuator = ""
        identity = Identity(register: register, isWord: false, mask: UInt16(mask), value: UInt16(value))
    }

    private init(
        _ addresses: ClosedRange<UInt8>, _ name: StaticString, _ what: StaticString, _ driver: StaticString = "",
        word register: UInt8, _ value: UInt16
    ) {
        self.addresses = addresses
        self.name = name
        self.what = what
        self.driver = driver
        actuator = ""
        identity = Identity(register: register, isWord: true, mask: 0xFFFF, value: value)
    }

    /// By its address alone.
    private init(
        _ addresses: ClosedRange<UInt8>, _ name: StaticString, _ what: StaticString, _ driver: StaticString = "",
        actuator: StaticString = ""
    ) {
        self.addresses = addresses
        self.name = name
        self.what = what
        self.driver = driver
        self.actuator = actuator
        identity = nil
    }

    /// Addresses, registers and values are those of the chips' data sheets; for one address, what is read first stands first.
    ///
    /// A register is chosen by writing its number. That is no harmless write for port expanders (a PCF8574 puts it on its
    /// pins), for sensors that take commands (0xFE resets an HTU21D) and for displays, so nothing is read at their
    /// addresses: 0x20 to 0x27, 0x38 to 0x3F, 0x5C.
    static var all: [KnownChip] {
        [
            KnownChip(0x76...0x77, "BME280", "air", "bme280", byte: 0xD0, 0x60),
            KnownChip(0x76...0x77, "BMP280", "pressure", "bmp280", byte: 0xD0, 0x58),
            KnownChip(0x76...0x77, "BMP280 (a sample)", "pressure", "bmp280", byte: 0xD0, 0x56, mask: 0xFE),
            KnownChip(0x76...0x77, "BME680 or BME688", "air and gas", "bme680", byte: 0xD0, 0x61),
            KnownChip(0x76...0x77, "BMP180 or BMP085", "pressure", "bmp180", byte: 0xD0, 0x55),
            KnownChip(0x76...0x77, "BMP388", "pressure", "bmp388", byte: 0x00, 0x50),
            KnownChip(0x76...0x77, "BMP390", "pressure", "bmp390", byte: 0x00, 0x60),
            KnownChip(0x76...0x77, "DPS310", "pressure", "dps310", byte: 0x0D, 0x10),
            KnownChip(0x76...0x77, "MS5611, MS5607 or MS8607", "pressure", "ms5611"),
            KnownChip(0x46...0x47, "BMP581", "pressure", "bmp581", byte: 0x01, 0x50),
            KnownChip(0x18...0x1F, "MCP9808", "temperature", "mcp9808", word: 0x06, 0x0054),
            KnownChip(0x18...0x19, "LIS3DH", "acceleration", "lis3dh", byte: 0x0F, 0x33),
            KnownChip(0x48...0x4B, "TMP117", "temperature", "tmp117", word: 0x0F, 0x0117),
            KnownChip(0x48...0x4B, "ADS1115, ADS1015, TMP102 or LM75", "analogue inputs, or temperature", "ads1115"),
            KnownChip(0x44...0x45, "SHT3x or SHT4x", "temperature and humidity", "sht3x"),
            KnownChip(0x40...0x43, "INA226", "current", "ina226", word: 0xFF, 0x2260),
            KnownChip(0x40...0x43, "INA260", "current", "ina260", word: 0xFF, 0x2270),
            KnownChip(0x40...0x40, "HDC1080", "temperature and humidity", "hdc1080", word: 0xFF, 0x1050),
            KnownChip(
                0x40...0x40, "INA219, Si7021, HTU21D or PCA9685", "current, humidity, or PWM outputs",
                actuator: "pca9685"),
            KnownChip(0x41...0x43, "INA219 or PCA9685", "current, or PWM outputs", actuator: "pca9685"),
            KnownChip(0x10...0x10, "VEML7700", "light", "veml7700"),
            KnownChip(0x23...0x23, "BH1750, or a port expander", "light", "bh1750", actuator: "mcp23017 or pcf8574"),
            KnownChip(0x5C...0x5C, "BH1750 or AM2320", "light, or humidity", "bh1750"),
            KnownChip(0x20...0x27, "MCP23017, MCP23008 or PCF8574", "port expander", actuator: "mcp23017 or pcf8574"),
            KnownChip(0x29...0x29, "TSL2591", "light", "tsl2591", byte: 0xB2, 0x50),
            KnownChip(0x29...0x29, "TCS34725", "colour", "tcs34725", byte: 0x92, 0x44),
            KnownChip(0x29...0x29, "VL53L0X", "distance", "vl53l0x", byte: 0xC0, 0xEE),
            KnownChip(
                0x38...0x38, "AHT10, AHT20 or PCF8574A", "humidity, or a port expander", "aht20", actuator: "pcf8574"),
            KnownChip(0x39...0x3B, "PCF8574A", "port expander", actuator: "pcf8574"),
            KnownChip(0x3C...0x3D, "a display (SSD1306 or SH1106)", "OLED"),
            KnownChip(0x3E...0x3F, "PCF8574A", "port expander", actuator: "pcf8574"),
            KnownChip(0x52...0x53, "ENS160", "air quality", "ens160", word: 0x00, 0x6001),
            KnownChip(0x53...0x53, "ADXL345", "acceleration", "adxl345", byte: 0x00, 0xE5),
            KnownChip(0x50...0x57, "an EEPROM (24Cxx)", "memory"),
            KnownChip(0x58...0x58, "SGP30", "gas", "sgp30"),
            KnownChip(0x59...0x59, "SGP40 or SGP41", "gas", "sgp40"),
            KnownChip(0x5A...0x5B, "CCS811", "gas", "ccs811", byte: 0x20, 0x81),
            KnownChip(0x5A...0x5A, "MLX90614 or MPR121", "infrared temperature, or touch", "mlx90614"),
            KnownChip(0x60...0x60, "MCP4725", "analogue output", actuator: "mcp4725"),
            KnownChip(0x61...0x61, "SCD30", "carbon dioxide", "scd30"),
            KnownChip(0x62...0x62, "SCD40 or SCD41", "carbon dioxide", "scd4x"),
            KnownChip(0x68...0x69, "MPU-6050", "motion", "mpu6050", byte: 0x75, 0x68),
            KnownChip(0x68...0x69, "MPU-6500 or MPU-9250", "motion", "mpu6500", byte: 0x75, 0x70, mask: 0xFE),
            KnownChip(0x68...0x68, "DS3231 or DS1307", "clock"),
            KnownChip(0x69...0x69, "SPS30", "particles", "sps30"),
            KnownChip(0x6A...0x6B, "LSM6DS", "motion", "lsm6ds", byte: 0x0F, 0x69),
            KnownChip(
                0x70...0x70, "TCA9548A, HT16K33, SHTC3, or all PCA9685 together", "multiplexer, display, or humidity"),
            KnownChip(0x71...0x75, "TCA9548A or HT16K33", "multiplexer, or display"),
        ]
    }
}

/// What is known of the device at an address.
public struct Recognition {
    public let chip: KnownChip
    /// An id register has told; otherwise it is the likely one for its address.
    public let isCertain: Bool
}

extension KnownChip {
    /// Looks at the device that answers at `address`.
    /// - Parameter reading: whether id registers may be read; without, only the address is gone by.
    /// - Returns: `nil` for a chip that is not in the table.
    public static func recognise(_ address: UInt8, on bus: any I2CBus, reading: Bool = true) -> Recognition? {
        let candidates = all.filter { $0.addresses.contains(address) }
        var register: UInt8?
        var isWord = false
        var found: UInt16?
        if reading {
            for chip in candidates {
                guard let identity = chip.identity else { continue }
                if register != identity.register || isWord != identity.isWord {
                    register = identity.register
                    isWord = identity.isWord
                    found = read(identity, address, bus)
                }
                if let found, found & identity.mask == identity.value {
                    return Recognition(chip: chip, isCertain: true)
                }
            }
        }
        return candidates.first { $0.identity == nil }.map { Recognition(chip: $0, isCertain: false) }
    }

    /// The addresses that a driver's chips can have; `nil` for a driver that is not in the table.
    public static func addresses(ofDriver name: StaticString) -> ClosedRange<UInt8>? {
        let name = string(name)
        return all.first { name.isEqual(to: $0.driver) }?.addresses
    }

    /// Whether this kedge has the driver.
    public var isSupported: Bool {
        let driver = string(driver)
        return Registry.drivers.contains { driver.isEqual(to: $0.name) }
    }

    private static func read(_ identity: Identity, _ address: UInt8, _ bus: any I2CBus) -> UInt16? {
        do throws(I2CError) {
            // SMBus words have their low byte first.
            if identity.isWord { return try bus.readWord(address, register: identity.register).byteSwapped }
            return UInt16(try bus.readByte(address, register: identity.register))
        } catch {
            return nil
        }
    }
}
