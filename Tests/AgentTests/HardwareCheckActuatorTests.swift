import Agent
import Hardware
import Platform
import Testing

/// Lines that two parts of a configuration have under two names: only the hardware tells.
@Suite struct SharedLineTests {
    @Test(arguments: [
        ("line: GPIO17", "GPIO GPIO17"), ("chip: gpiochip0, line: GPIO17", "GPIO gpiochip0 GPIO17"),
        ("chip: gpiochip0, line: 17", "GPIO gpiochip0 17"),
        ("chip: /dev/gpiochip0, line: 17", "GPIO /dev/gpiochip0 17"),
        ("line: 17", "GPIO gpiochip0 17"),
    ])
    func oneLineUnderTwoNames(_ line: String, _ name: String) throws {
        let configuration = """
            sensors: [{ id: door, driver: gpio, chip: pinctrl-bcm2711, line: 17 }]
            actuators: [{ id: pump, driver: gpio, \(line) }]
            """
        let expected =
            "\(name) is the line of sensor door, too (GPIO pinctrl-bcm2711 17): both are line 17 of gpiochip0"
        let found = try check(configuration)
        #expect(found["sensor door"] == "ok")
        #expect(found["actuator pump"] == expected)
        // The agent that runs has the line: that hides nothing.
        let running = try check(configuration) {
            try $0.simulated.simulatedGPIO.occupy(LineReference(chip: nil, line: .offset(17)), by: "kedge")
        }
        #expect(running["sensor door"] == "ok")
        #expect(running["actuator pump"] == expected)
    }

    @Test func twoSensorsTwoActuatorsAndTheHeartbeat() throws {
        let found = try check(
            """
            sensors:
            - { id: a, driver: gpio, line: 4 }
            - { id: b, driver: gpio-counter, line: GPIO4 }
            - { id: c, driver: gpio, line: 5 }
            actuators:
            - { id: p, driver: gpio, line: 6 }
            - { id: q, driver: gpio, line: GPIO6 }
            - { id: r, driver: gpio, line: 7 }
            heartbeat: { line: GPIO7 }
            """)
        let shared = found.filter { $0.value != "ok" }
        #expect(
            shared == [
                "sensor b": "GPIO GPIO4 is the line of sensor a, too (GPIO gpiochip0 4): both are line 4 of gpiochip0",
                "actuator q":
                    "GPIO GPIO6 is the line of actuator p, too (GPIO gpiochip0 6): both are line 6 of gpiochip0",
                "heartbeat":
                    "GPIO GPIO7 is the line of actuator r, too (GPIO gpiochip0 7): both are line 7 of gpiochip0",
            ])
        #expect(found.count == 8)
    }

    @Test func theLineOfABussRecovery() throws {
        let found = try check(
            "actuators: [{ id: p, driver: gpio, line: GPIO23 }, { id: q, driver: gpio, line: GPIO24 }]",
            bus: "{ path: /dev/i2c-1, recovery: { chip: pinctrl-bcm2711, scl: 23, sda: 24 } }")
        #expect(found["bus i2c-1"] == "ok")
        for (user, line) in [("p", "23"), ("q", "24")] {
            #expect(
                found["actuator \(user)"] == "GPIO GPIO\(line) is the line of bus i2c-1, too "
                    + "(GPIO pinctrl-bcm2711 \(line)): both are line \(line) of gpiochip0")
        }
        let same = try check("", bus: "{ path: /dev/i2c-1, recovery: { scl: 23, sda: GPIO23 } }")
        #expect(same["bus i2c-1"]?.hasPrefix("recovery: GPIO gpiochip0 23 is the line of bus i2c-1, too") == true)
    }

    @Test func aHeartbeatsLineThatIsNotToBeHad() throws {
        let found = try check("heartbeat: { line: 99 }")
        #expect(found["heartbeat"]?.hasPrefix("GPIO gpiochip0 99: no such line") == true)
    }

    /// One name on two chips is two lines, and so is one offset.
    @Test func linesOfTwoChips() throws {
        let found = try check(
            """
            sensors: [{ id: a, driver: gpio, line: 3 }, { id: b, driver: gpio, chip: expander, line: 3 }]
            actuators: [{ id: p, driver: gpio, line: GPIO2 }, { id: q, driver: gpio, chip: gpiochip1, line: GPIO2 }]
            """
        ) {
            $0.simulated.simulatedGPIO.addChip(name: "gpiochip1", label: "expander", lines: ["", "", "GPIO2", "GPIO3"])
        }
        #expect(found.allSatisfy { $0.value == "ok" }, "\(found)")
    }
}

/// What `kedge check --hardware` says about the chips of actuators.
@Suite struct ActuatorChipTests {
    /// As after power-on, with what kedge makes of its outputs.
    private static func pca9685(_ set: [Int: UInt8] = [:]) -> SimulatedRegisterFile {
        let chip = SimulatedRegisterFile()
        for (register, value) in [0x00: 0x11, 0x01: 0x04, 0x02: 0xE2, 0x03: 0xE4, 0x04: 0xE8, 0x05: 0xE0]
            as [Int: UInt8]
        {
            chip.registers[register] = value
        }
        for (register, value) in set { chip.registers[register] = value }
        return chip
    }

    private let expander = "actuators: [{ id: p, driver: mcp23017, bus: i2c-1, address: 0x21, line: 1 }]"
    private let pwm = "actuators: [{ id: p, driver: pca9685, bus: i2c-1, address: 0x76, channel: 1 }]"

    @Test func whatAnswersIsOK() throws {
        #expect(
            try check(expander) { $0.simulated.bus("i2c-1").attach(SimulatedRegisterFile(), at: 0x21) }["actuator p"]
                == "ok")
        #expect(try check(pwm) { $0.simulated.bus("i2c-1").attach(Self.pca9685(), at: 0x76) }["actuator p"] == "ok")
    }

    @Test func nothingAtTheAddressButSomethingAtAnother() throws {
        let found = try check(expander) { $0.simulated.bus("i2c-1").attach(SimulatedRegisterFile(), at: 0x20) }
        #expect(found["actuator p"] == "i2c-1 0x21: no acknowledge (errno 6); but something answers at 0x20")
        // What answers there is another actuator's or sensor's, or is certainly something else.
        let taken = try check(
            """
            actuators:
            - { id: p, driver: pca9685, bus: i2c-1, address: 0x41, channel: 1 }
            - { id: q, driver: pca9685, bus: i2c-1, address: 0x42, channel: 1 }
            - { id: r, driver: mcp4725, bus: i2c-1, address: 0x60 }
            sensors: [{ id: s, driver: bme280, bus: i2c-1, address: 0x76 }]
            """
        ) {
            let bus = $0.simulated.bus("i2c-1")
            bus.attach(Self.pca9685(), at: 0x42)
            bus.attach(SimulatedRegisterFile(), at: 0x60)
            bus.attach(SimulatedBME280(), at: 0x76)
            bus.attach(SimulatedBMP280(), at: 0x77)
            bus.attach(SimulatedRegisterFile(), at: 0x20)
        }
        #expect(taken["actuator p"] == "i2c-1 0x41: no acknowledge (errno 6)")
        #expect(taken["actuator q"] == "ok")
        #expect(taken["actuator r"] == "ok")
        #expect(taken["sensor s"] == "ok")
    }

    /// An actuator's address is none to suggest for a sensor.
    @Test func anActuatorsChipIsNotSuggestedForASensor() throws {
        let found = try check(
            """
            sensors: [{ id: s, driver: bme280, bus: i2c-1, address: 0x76 }]
            actuators: [{ id: p, driver: pca9685, bus: i2c-1, address: 0x77, channel: 1 }]
            """
        ) { $0.simulated.bus("i2c-1").attach(Self.pca9685(), at: 0x77) }
        #expect(found["sensor s"] == "i2c-1 0x76 register 0xd0: no acknowledge (errno 6)")
        #expect(found["actuator p"] == "ok")
    }

    @Test func aBusWithNothingOnIt() throws {
        let found = try check(expander) { _ = $0.simulated.bus("i2c-1") }
        #expect(
            found["actuator p"]
                == "i2c-1 0x21: no acknowledge (errno 6); nothing answers on this bus: is it wired, and has it power?")
    }

    @Test func anAddressThatTheKernelHas() throws {
        let found = try check(expander) { $0.simulated.bus("i2c-1").hold(0x21, by: "mcp23s08 (mcp23017)") }
        #expect(found["actuator p"] == "i2c-1 0x21: in use by a kernel driver (errno 16): mcp23s08 (mcp23017)")
    }

    @Test func anotherChip() throws {
        let found = try check(pwm) {
            $0.simulated.bus("i2c-1").attach(SimulatedBME280(), at: 0x76)
            $0.simulated.bus("i2c-1").attach(Self.pca9685(), at: 0x40)
        }
        #expect(
            found["actuator p"]
                == "i2c-1 0x76: wrong chip: expected one for the driver pca9685, found a BME280; "
                + "but something answers at 0x40")
        let servo = try check("actuators: [{ id: p, driver: servo, bus: i2c-1, address: 0x76, channel: 1, safe: 90 }]")
        {
            $0.simulated.bus("i2c-1").attach(SimulatedBME280(), at: 0x76)
        }
        #expect(servo["actuator p"]?.hasPrefix("i2c-1 0x76: wrong chip: expected one for the driver pca9685") == true)
    }

    /// Register 0x0D of a PCA9685 holds 0x10 while an output is off, which is what tells a DPS310.
    @Test func aValueThatLooksLikeAnotherChipsIdentity() throws {
        let found = try check(pwm) { $0.simulated.bus("i2c-1").attach(Self.pca9685([0x0D: 0x10]), at: 0x76) }
        #expect(found["actuator p"] == "ok")
    }

    /// A register's number is a level for a PCF8574: nothing is written at the addresses of port expanders.
    @Test func portExpandersAreOnlyRead() throws {
        final class Watching: SimulatedI2CDevice {
            var written = 0
            func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
                written += bytes.count
                return true
            }
            func send(into buffer: UnsafeMutableRawBufferPointer) -> Bool { true }
        }
        let devices = [0x20, 0x27, 0x38, 0x3F, 0x60].map { (UInt8($0), Watching()) }
        _ = try check(
            """
            actuators:
            - { id: p, driver: pcf8574, bus: i2c-1, address: 0x20, line: 1 }
            - { id: q, driver: pcf8574, bus: i2c-1, address: 0x21, line: 1 }
            - { id: r, driver: mcp4725, bus: i2c-1, address: 0x60 }
            - { id: s, driver: mcp4725, bus: i2c-1, address: 0x61 }
            """
        ) { for (address, device) in devices { $0.simulated.bus("i2c-1").attach(device, at: address) } }
        #expect(devices.allSatisfy { $0.1.written == 0 })
    }
}
