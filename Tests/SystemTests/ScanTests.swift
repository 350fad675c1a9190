import Foundation
import Testing

/// `kedge scan`, and what `kedge check` makes of its output.
@Suite struct ScanTests {
    @Test func aSimulatedMachineBecomesAConfiguration() throws {
        let scan = try KedgeProcess.run("scan", "--simulated")
        #expect(scan.code == 0)
        #expect(scan.errors.isEmpty)
        let text = scan.output.joined(separator: "\n")
        for expected in [
            "  i2c-1: { path: /dev/i2c-1 }",
            "  - { id: bme280, driver: bme280, bus: i2c-1, address: 0x76, every: 60s }   # BME280, air",
            "  - { id: bmp280, driver: bmp280, bus: i2c-1, address: 0x77, every: 60s }",
            "# i2c-1 0x3c: likely a display (SSD1306 or SH1106), OLED; kedge has no driver for it",
            "# i2c-1 0x68: in use by the kernel's driver rtc-ds1307 (ds3231)",
            "# gpiochip0, pinctrl-bcm2711: 58 lines", "#   17  GPIO17              input",
            "#   - { id: door, driver: gpio, chip: pinctrl-bcm2711, line: 27, edges: both, debounce: 20ms }",
            "#   - { id: pump, driver: gpio, chip: pinctrl-bcm2711, line: 26, safe: 0 }",
        ] {
            #expect(text.contains(expected), "\(expected) is missing in:\n\(text)")
        }
        let folder = try TemporaryFolder()
        let check = try KedgeProcess.run("check", try folder.file("kedge.yaml", text + "\n"))
        #expect(check.code == 0, "\(check.errors)")
    }

    @Test func withoutIdentificationNothingIsCertain() throws {
        let scan = try KedgeProcess.run("scan", "--simulated", "--no-identify", "--no-gpio", "--bus", "/dev/i2c-1")
        #expect(scan.code == 0)
        #expect(!scan.output.contains { $0.contains("- { id: bme280") || $0.contains("gpiochip0") })
        let folder = try TemporaryFolder()
        let check = try KedgeProcess.run(
            "check", try folder.file("kedge.yaml", scan.output.joined(separator: "\n") + "\n"))
        #expect(check.code == 0, "\(check.errors)")
    }

    @Test func jsonIsOneObject() throws {
        let scan = try KedgeProcess.run("scan", "--simulated", "--json")
        #expect(scan.code == 0)
        #expect(scan.output.count == 1)
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(scan.output.joined().utf8)) as? [String: Any])
        let bus = try #require((object["buses"] as? [[String: Any]])?.first)
        let devices = try #require(bus["devices"] as? [[String: Any]])
        #expect(devices.map { $0["address"] as? Int } == [0x3C, 0x68, 0x76, 0x77])
        #expect(devices.map { $0["driver"] as? String } == [nil, nil, "bme280", "bmp280"])
        #expect(devices.map { $0["certain"] as? Bool } == [false, nil, true, true])
        let chip = try #require((object["gpio"] as? [[String: Any]])?.first)
        #expect((chip["lines"] as? [Any])?.count == 58)
    }

    @Test func aBusThatIsNotThereIsNoSuccess() throws {
        for arguments in [["scan", "--bus", "i2c-77"], ["scan", "--simulated", "--bus", "i2c-7", "--json"]] {
            let process = try KedgeProcess(arguments)
            #expect(try process.exitCode() == 69)
            #expect(
                process.errorLines.first?.hasPrefix(
                    "kedge scan: no bus \(arguments.last == "--json" ? "i2c-7" : "i2c-77"): ") == true)
        }
    }

    @Test func aCheckOfTheHardwareSaysWhereTheChipIs() throws {
        let folder = try TemporaryFolder()
        let file = try folder.file(
            "kedge.yaml",
            """
            node: a
            kafka: { all: { bootstrap.servers: "127.0.0.1:1" } }
            buses: { desk: { simulated: true }, gone: { path: /dev/i2c-absent } }
            sensors:
              - { id: right, driver: bme280, bus: desk, address: 0x76 }
              - { id: away, driver: bmp280, bus: gone }
              - { id: file, driver: sysfs, path: /absent/file }
              - { id: door, driver: gpio, chip: absent-chip, line: 17 }
            """)
        let result = try KedgeProcess.run("check", "--hardware", file)
        #expect(result.code == 69)
        let text = result.errors.joined(separator: "\n")
        for expected in [
            "bus gone: open /dev/i2c-absent: No such file or directory (errno 2); no such bus: enable I2C",
            "sensor away: gone 0x76: no such bus", "sensor file: open /absent/file: No such file or directory",
            "sensor door: GPIO absent-chip 17: no such GPIO chip", "4 devices do not answer",
        ] {
            #expect(text.contains(expected), "\(expected) is missing in:\n\(text)")
        }
        #expect(result.output.contains("sensor right: ok"))
        let wrong = try folder.file(
            "wrong.yaml",
            """
            node: a
            kafka: { all: { bootstrap.servers: "127.0.0.1:1" } }
            buses: { desk: { simulated: true } }
            sensors: [{ id: s, driver: bme280, bus: desk, address: 0x77 }]
            """)
        let other = try KedgeProcess.run("check", "--hardware", wrong)
        #expect(other.code == 69)
        #expect(
            other.errors.contains(
                "sensor s: wrong chip: expected 0x60 (a BME280), found 0x58 (a BMP280); "
                    + "but something answers at 0x76 (a BME280)"))
    }
}
