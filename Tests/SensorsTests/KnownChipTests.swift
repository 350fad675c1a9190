import CShim
import Hardware
import Platform
import TestSupport
import Testing

@testable import Sensors

@Suite struct KnownChipTests {
    private let bus = SimulatedI2CBus(name: "i2c-1")

    /// A device that notes the registers that are chosen.
    private final class Witness: SimulatedRegisterFile {
        var chosen: [UInt8] = []
        override func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
            chosen += Array(bytes)
            return super.receive(bytes)
        }
    }

    private func attach(_ address: UInt8, _ registers: [UInt8: UInt8] = [:]) -> Witness {
        let device = Witness()
        for (register, value) in registers { device.registers[Int(register)] = value }
        bus.attach(device, at: address)
        return device
    }

    private func name(_ address: UInt8) -> (String, Bool)? {
        KnownChip.recognise(address, on: bus).map { (string($0.chip.name), $0.isCertain) }
    }

    @Test func chipsAreToldApartByTheirIDs() throws {
        let cases: [(UInt8, [UInt8: UInt8], String)] = [
            (0x76, [0xD0: 0x60], "BME280"), (0x77, [0xD0: 0x58], "BMP280"), (0x77, [0xD0: 0x57], "BMP280 (a sample)"),
            (0x77, [0xD0: 0x55], "BMP180 or BMP085"), (0x76, [0xD0: 0x61], "BME680 or BME688"),
            (0x76, [0x00: 0x50], "BMP388"),
            (0x77, [0x00: 0x60], "BMP390"), (0x76, [0x0D: 0x10], "DPS310"),
            (0x18, [0x06: 0x00, 0x07: 0x54], "MCP9808"),
            (0x18, [0x0F: 0x33], "LIS3DH"), (0x48, [0x0F: 0x01, 0x10: 0x17], "TMP117"),
            (0x40, [0xFF: 0x22, 0x00: 0x60], "INA226"), (0x40, [0xFF: 0x10, 0x00: 0x50], "HDC1080"),
            (0x29, [0xC0: 0xEE], "VL53L0X"), (0x68, [0x75: 0x68], "MPU-6050"),
            (0x68, [0x75: 0x71], "MPU-6500 or MPU-9250"),
        ]
        for (address, registers, expected) in cases {
            _ = attach(address, registers)
            let found = try #require(name(address))
            #expect(found == (expected, true))
        }
    }

    @Test func othersAreGuessedByTheirAddress() throws {
        for (address, expected) in [
            (0x3C, "a display (SSD1306 or SH1106)"), (0x48, "ADS1115, ADS1015, TMP102 or LM75"),
            (0x44, "SHT3x or SHT4x"),
            (0x23, "BH1750, or a port expander"), (0x68, "DS3231 or DS1307"), (0x20, "MCP23017, MCP23008 or PCF8574"),
        ] as [(UInt8, String)] {
            _ = attach(address)
            let found = try #require(name(address))
            #expect(found == (expected, false))
        }
        _ = attach(0x0B)
        #expect(name(0x0B) == nil)
    }

    /// Choosing a register is a write: nothing is read where that would do something.
    @Test func nothingIsWrittenWhereItWouldDoHarm() {
        for address in BusScan.addresses {
            let device = attach(address, [:])
            _ = KnownChip.recognise(address, on: bus)
            let isDelicate = [0x20...0x27, 0x38...0x3F, 0x5C...0x5C, 0x60...0x67, 0x70...0x75].contains {
                $0.contains(address)
            }
            if isDelicate { #expect(device.chosen.isEmpty, "\(hexadecimal(address))") }
            // Never a value after a register, and never a command that resets an HTU21D.
            #expect(device.chosen.count <= 5)
            if address == 0x40 { #expect(!device.chosen.contains(0xFE)) }
        }
    }

    /// So that a scan does not say that kedge has no driver for them.
    @Test func outputsNameTheirActuatorsDrivers() throws {
        for (address, expected) in [
            (0x20, "mcp23017 or pcf8574"), (0x23, "mcp23017 or pcf8574"), (0x38, "pcf8574"), (0x3F, "pcf8574"),
            (0x40, "pca9685"), (0x43, "pca9685"), (0x60, "mcp4725"), (0x3C, ""),
        ] as [(UInt8, String)] {
            _ = attach(address)
            let found = try #require(KnownChip.recognise(address, on: bus))
            #expect(string(found.chip.actuator) == expected)
        }
    }

    @Test func withoutReadingNothingIsAsked() {
        let device = attach(0x76, [0xD0: 0x60])
        let found = KnownChip.recognise(0x76, on: bus, reading: false)
        #expect(found?.isCertain == false)
        #expect(device.chosen.isEmpty && bus.transfers == 0)
    }

    @Test func aDeviceThatStopsAnsweringIsGuessed() {
        _ = attach(0x76, [0xD0: 0x60])
        bus.fault = { _ in .noAcknowledge }
        #expect(name(0x76)?.1 == false)
    }

    @Test func driversAreFoundInTheTable() {
        #expect(KnownChip.addresses(ofDriver: "bme280") == 0x76...0x77)
        #expect(KnownChip.addresses(ofDriver: "sysfs") == nil)
        for driver in Registry.drivers where KnownChip.addresses(ofDriver: driver.name) != nil {
            #expect(KnownChip.all.contains { string($0.driver) == string(driver.name) && $0.isSupported })
        }
        #expect(KnownChip.all.filter { string($0.driver).isEmpty }.allSatisfy { !$0.isSupported })
    }

    @Test func aSurveyHasBusesWithWhatIsOnThem() throws {
        let hardware = SimulatedHardware(loop: ManualLoop())
        hardware.bus("i2c-1").attach(SimulatedBME280(), at: 0x76)
        hardware.bus("i2c-1").attach(SimulatedRegisterFile(), at: 0x3C)
        hardware.bus("i2c-1").hold(0x68, by: "rtc-ds1307")
        let stuck = hardware.bus("i2c-3")
        stuck.fault = { _ in .timeout }
        _ = hardware.bus("i2c-5")
        let low = hardware.bus("i2c-6")
        low.attach(SimulatedBME280(), at: 0x76)
        low.fault = { _ in .stuckLow }
        let found = hardware.findBuses()
        // Gone between the two.
        hardware.missingBuses = ["i2c-5"]
        let survey = HardwareSurvey(hardware, buses: found, gpio: true, reading: true)
        #expect(survey.chips.count == 1)
        #expect(survey.buses.map { $0.found.name } == ["i2c-1", "i2c-3", "i2c-5", "i2c-6"])
        #expect(survey.buses[3].devices.isEmpty)
        #expect(survey.buses[3].failure?.hasPrefix("every address seems to answer") == true)
        #expect(low.transfers == 0x70)
        let devices = survey.buses[0].devices
        #expect(devices.map { $0.address } == [0x3C, 0x68, 0x76])
        #expect(devices.map { $0.driver.map { string($0) } } == [nil, nil, "bme280"])
        #expect(devices[1].state == .held(by: "rtc-ds1307"))
        #expect(devices[1].recognition == nil)
        #expect(survey.buses[1].failure == "i2c-3 0x0a: timed out (errno 110)")
        #expect(survey.buses[2].failure?.hasPrefix("open /dev/i2c-5: No such file") == true)
        #expect(survey.buses[2].functions == nil)
    }
}
