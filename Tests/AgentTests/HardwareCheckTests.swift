import Agent
import CShim
import Foundation
import Hardware
import Platform
import TestSupport
import Testing

/// Hardware whose buses may be refused and whose addresses may be held.
final class RefusingHardware: Hardware {
    let simulated: SimulatedHardware
    var refusal: SystemError?
    var gpio: any GPIO { simulated.gpio }
    init(_ loop: any Loop) { simulated = SimulatedHardware(loop: loop) }
    func openBus(_ settings: BusSettings) throws(SystemError) -> any I2CBus {
        if let refusal { throw refusal }
        return try simulated.openBus(settings)
    }
    func holder(of address: UInt8, on path: String) -> String? { simulated.holder(of: address, on: path) }
}

/// Checks a configuration's sensors and actuators.
func check(
    _ configuration: String, bus: String = "{ path: /dev/i2c-1 }",
    _ prepare: (RefusingHardware) throws -> Void = { _ in }
) throws -> [String: String] {
    let loop = try EventLoop()
    let hardware = RefusingHardware(loop)
    try prepare(hardware)
    let (settings, problems) = decode(
        "node: a\nkafka: { all: { bootstrap.servers: b } }\nbuses: { i2c-1: \(bus) }\n"
            + configuration)
    #expect(problems == [])
    var devices: [HardwareCheck.Device]?
    let check = try HardwareCheck.start(
        try #require(settings), hardware: hardware, loop: loop, log: LogRecorder().log
    ) { devices = $0 }
    #expect(try loop.wait { devices != nil })
    withExtendedLifetime(check) {}
    var found: [String: String] = [:]
    for device in devices ?? [] { found[device.name] = device.error ?? "ok" }
    return found
}

/// What `kedge check --hardware` says about hardware that is not as the configuration has it.
@Suite struct HardwareCheckTests {
    private let bme = "sensors: [{ id: s, driver: bme280, bus: i2c-1, address: 0x76 }]"

    @Test func whatAnswersIsOK() throws {
        let found = try check(bme + "\nactuators: [{ id: p, driver: gpio, line: 4 }]") {
            $0.simulated.bus("i2c-1").attach(SimulatedBME280(), at: 0x76)
        }
        #expect(found == ["bus i2c-1": "ok", "sensor s": "ok", "actuator p": "ok"])
    }

    @Test func anAbsentBus() throws {
        let found = try check(bme) { $0.simulated.missingBuses = ["i2c-1"] }
        #expect(
            found["bus i2c-1"]?.hasPrefix(
                "open /dev/i2c-1: No such file or directory (errno 2); no such bus: enable I2C") == true)
        #expect(found["sensor s"] == "i2c-1 0x76: no such bus (errno 2)")
    }

    @Test func aBusThatMayNotBeUsed() throws {
        let file = NSTemporaryDirectory() + "kedge-\(UUID().uuidString)"
        try "".write(toFile: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: file) }
        try FileManager.default.setAttributes([.posixPermissions: 0o660], ofItemAtPath: file)
        let group = try #require(
            try FileManager.default.attributesOfItem(atPath: file)[.groupOwnerAccountName] as? String)
        let found = try check(bme) { $0.refusal = SystemError(call: "open", code: EACCES, subject: file) }
        #expect(
            found["bus i2c-1"] == "open \(file): Permission denied (errno 13); the user must be in the group \(group)")
        #expect(found["sensor s"] == "i2c-1 0x76: permission denied (errno 13)")
    }

    @Test func nothingAtTheAddressButSomethingAtTheOther() throws {
        let found = try check(bme) { $0.simulated.bus("i2c-1").attach(SimulatedBME280(), at: 0x77) }
        #expect(
            found["sensor s"]
                == "i2c-1 0x76 register 0xd0: no acknowledge (errno 6); but something answers at 0x77 (a BME280)")
        let unknown = try check(bme) { $0.simulated.bus("i2c-1").attach(SimulatedRegisterFile(), at: 0x77) }
        #expect(unknown["sensor s"]?.hasSuffix("; but something answers at 0x77") == true)
    }

    @Test func nothingWhereTheChipCanBe() throws {
        let found = try check(bme) { $0.simulated.bus("i2c-1").attach(SimulatedRegisterFile(), at: 0x20) }
        #expect(found["sensor s"] == "i2c-1 0x76 register 0xd0: no acknowledge (errno 6)")
    }

    @Test func aBusWithNothingOnIt() throws {
        let found = try check(bme) { _ = $0.simulated.bus("i2c-1") }
        #expect(
            found["sensor s"]
                == "i2c-1 0x76 register 0xd0: no acknowledge (errno 6); "
                + "nothing answers on this bus: is it wired, and has it power?")
    }

    @Test func aBusThatIsHeldLow() throws {
        let found = try check(bme) { $0.simulated.bus("i2c-1").fault = { _ in .stuckLow } }
        #expect(
            found["sensor s"]
                == "wrong chip: expected 0x60 (a BME280), found 0x00 (nothing that drives the bus); every address of the "
                + "bus seems to answer: SDA is held low, or its pull-up resistor is missing")
    }

    @Test func anotherChip() throws {
        let found = try check(bme) {
            $0.simulated.bus("i2c-1").attach(SimulatedBMP280(), at: 0x76)
            $0.simulated.bus("i2c-1").attach(SimulatedBME280(), at: 0x77)
        }
        #expect(
            found["sensor s"]
                == "wrong chip: expected 0x60 (a BME280), found 0x58 (a BMP280); but something answers at 0x77 (a BME280)"
        )
        // The other address is another sensor's: nothing to suggest.
        let both = try check(
            "sensors:\n- { id: s, driver: bme280, bus: i2c-1 }\n- { id: t, driver: bme280, bus: i2c-1, address: 0x77 }"
        ) {
            $0.simulated.bus("i2c-1").attach(SimulatedBMP280(), at: 0x76)
            $0.simulated.bus("i2c-1").attach(SimulatedBME280(), at: 0x77)
        }
        #expect(both["sensor s"] == "wrong chip: expected 0x60 (a BME280), found 0x58 (a BMP280)")
        #expect(both["sensor t"] == "ok")
    }

    @Test func anAddressThatTheKernelHas() throws {
        let found = try check(bme) { $0.simulated.bus("i2c-1").hold(0x76, by: "bmp280 (bme280)") }
        #expect(
            found["sensor s"]
                == "i2c-1 0x76 register 0xd0: in use by a kernel driver (errno 16): bmp280 (bme280)")
    }

    @Test func linesAndChips() throws {
        let found = try check(
            """
            sensors:
            - { id: chip, driver: gpio, chip: pinctrl-rp1, line: 17 }
            - { id: line, driver: gpio, line: 99 }
            - { id: busy, driver: gpio, line: 18 }
            actuators:
            - { id: pump, driver: gpio, line: 19 }
            - { id: fan, driver: gpio, line: FAN }
            - { id: own, driver: gpio, line: 20 }
            """
        ) {
            let gpio = $0.simulated.simulatedGPIO
            try gpio.occupy(LineReference(chip: nil, line: .offset(18)), by: "spi0 CS0")
            try gpio.occupy(LineReference(chip: nil, line: .offset(19)), by: "led0")
            // The agent that runs while its configuration is checked.
            try gpio.occupy(LineReference(chip: nil, line: .offset(20)), by: "kedge")
        }
        #expect(found["sensor chip"]?.hasPrefix("GPIO pinctrl-rp1 17: no such GPIO chip") == true)
        #expect(found["sensor line"]?.hasPrefix("GPIO gpiochip0 99: no such line") == true)
        #expect(found["sensor busy"] == "GPIO gpiochip0 18: in use by \"spi0 CS0\"")
        #expect(found["actuator pump"] == "GPIO gpiochip0 19: in use by \"led0\"")
        #expect(found["actuator fan"]?.hasPrefix("GPIO FAN: no such line") == true)
        #expect(found["actuator own"] == "ok")
    }

    @Test func anAbsentFile() throws {
        let found = try check("sensors: [{ id: f, driver: sysfs, path: /absent/file }]")
        #expect(found["sensor f"] == "open /absent/file: No such file or directory (errno 2)")
    }

    @Test func recoveryLinesThatAreNotToBeHad() throws {
        let loop = try EventLoop()
        let hardware = SimulatedHardware(loop: loop)
        try hardware.simulatedGPIO.occupy(LineReference(chip: nil, line: .offset(3)), by: "i2c-gpio")
        let (settings, problems) = decode(
            """
            node: a
            kafka: { all: { bootstrap.servers: b } }
            buses: { i2c-1: { path: /dev/i2c-1, recovery: { scl: 3, sda: 2 } } }
            """)
        #expect(problems == [])
        var devices: [HardwareCheck.Device]?
        let check = try HardwareCheck.start(
            try #require(settings), hardware: hardware, loop: loop, log: LogRecorder().log
        ) { devices = $0 }
        #expect(try loop.wait { devices != nil })
        withExtendedLifetime(check) {}
        #expect(devices?.first?.error == "recovery: GPIO gpiochip0 3: in use by \"i2c-gpio\"")
    }

    // MARK: The configuration of a recovery

    private func problems(_ buses: String) -> [String] {
        decode("node: a\nkafka: { all: { bootstrap.servers: b } }\nbuses: \(buses)").problems
    }

    @Test func recoveryNamesTwoLines() throws {
        let (settings, problems) = decode(
            """
            node: a
            kafka: { all: { bootstrap.servers: b } }
            buses: { i2c-1: { path: /dev/i2c-1, recovery: { chip: pinctrl-bcm2711, scl: 23, sda: SDA_SENSE } } }
            """)
        #expect(problems == [])
        #expect(
            settings?.buses.first?.recovery
                == RecoveryLines(
                    scl: LineReference(chip: "pinctrl-bcm2711", line: .offset(23)),
                    sda: LineReference(chip: "pinctrl-bcm2711", line: .name("SDA_SENSE"))))
    }

    @Test func whatIsWrongWithARecoveryIsSaid() {
        #expect(
            problems("{ i: { simulated: true, recovery: { scl: 3, sda: 2 } } }")
                == ["kedge.yaml:3:42: buses.i.recovery is of a simulated bus, expected none: it has no lines"])
        #expect(
            problems("{ i: { path: /x, recovery: { scl: 3 } } }")
                == ["kedge.yaml:3:35: buses.i.recovery.sda is missing, expected text"])
        #expect(
            problems("{ i: { path: /x, recovery: { scl: 3, sda: 3 } } }")
                == [
                    "kedge.yaml:3:50: buses.i.recovery.sda is the same line as scl, expected the line of the bus's data"
                ])
        #expect(
            problems("{ i: { path: /x, recovery: { scl: 3, sda: 2, sdb: 1 } } }")
                == ["kedge.yaml:3:53: buses.i.recovery.sdb is no known key, did you mean sda?"])
        #expect(
            problems("{ i: { path: /x, recovery: { scl: 3, sda: 2 } } }\nsensors: [{ id: a, driver: gpio, line: 3 }]")
                == ["kedge.yaml:4:40: sensor a: GPIO gpiochip0 3 is used by bus i already"])
    }
}
