import Actuators
import Configuration
import Hardware
import Platform
import Records
import TestSupport
import Testing

@Suite struct MCP23017Tests {
    private let chip = SimulatedMCP23017()

    private func bench(_ configuration: String) throws -> BusBench {
        let bench = BusBench(configuration)
        #expect(bench.problems == [])
        bench.bus.attach(chip, at: 0x20)
        try bench.open()
        return bench
    }

    private let three = """
        - { id: a, driver: mcp23017, bus: i2c-1, line: 0 }
        - { id: b, driver: mcp23017, bus: i2c-1, line: 7, safe: 1 }
        - { id: c, driver: mcp23017, bus: i2c-1, line: 9, active_low: true }
        """

    @Test func theFirstLevelIsTheSafeOne() throws {
        let bench = try bench(three)
        #expect(chip.history[0] == [nil, false])
        #expect(chip.history[7] == [nil, true])
        #expect(chip.history[9] == [nil, true])
        for other in [1, 6, 8, 15] { #expect(chip.history[other] == [nil]) }
        #expect(try bench.drivers.map { try $0.readBack() } == [.integer(0), .integer(1), .integer(0)])
        #expect(bench.plans.map { $0.driver.addresses.map { $0.output } } == [[0], [7], [9]])
    }

    @Test func linesDoNotTouchEachOther() throws {
        let bench = try bench(three)
        #expect(try bench.order(0, .boolean(true)) == .integer(1))
        #expect(try bench.order(2, .integer(1)) == .integer(1))
        #expect(try bench.order(1, .integer(0)) == .integer(0))
        #expect(try bench.order(0, .integer(0)) == .integer(0))
        #expect(chip.history[0] == [nil, false, true, false])
        #expect(chip.history[7] == [nil, true, false])
        #expect(chip.history[9] == [nil, true, false])
        // One is taken anew: the others stay as they are.
        try bench.order(0, .integer(1))
        _ = try bench.make(2)
        #expect(chip.history[0].last == true)
        #expect(chip.history[9] == [nil, true, false, true])
    }

    @Test func aRestartOfTheAgentShowsNoOtherLevels() throws {
        try bench(three).order(0, .integer(1))
        try bench(three).order(1, .integer(1))
        #expect(chip.history[0] == [nil, false, true, false])
        #expect(chip.history[7] == [nil, true])
        #expect(chip.history[9] == [nil, true])
    }

    @Test func aBrownOutIsSetRightByTheNextOrder() throws {
        let bench = try bench(three)
        try bench.order(0, .integer(1))
        chip.reset()
        #expect(try bench.drivers[0].readBack() == .integer(0))
        #expect(try bench.order(1, .integer(1)) == .integer(1))
        // The latch was there before the direction: no line showed another level.
        #expect(chip.history[0] == [nil, false, true, nil, true])
        #expect(chip.history[7] == [nil, true, nil, true])
    }

    @Test func aLineThatIsHeldShows() throws {
        let bench = try bench(
            """
            - { id: a, driver: mcp23017, bus: i2c-1, line: 8 }
            - { id: b, driver: mcp23017, bus: i2c-1, line: 10, verify: false }
            """)
        chip.held = [8: false, 10: false]
        #expect(try bench.order(0, .integer(1)) == .integer(0))
        #expect(try bench.order(1, .integer(1)) == .integer(1))
    }

    @Test func aFailedWriteChangesNoOtherLineLater() throws {
        let bench = try bench(three)
        bench.bus.fault = { _ in .timeout }
        #expect(throws: ActuatorError.self) { try bench.order(0, .integer(1)) }
        bench.bus.fault = nil
        try bench.order(1, .integer(0))
        #expect(chip.history[0] == [nil, false])
    }

    @Test func whatCouldNotBeSwitchedOffIsOffAfterABrownOut() throws {
        let bench = try bench(three)
        try bench.order(0, .integer(1))
        bench.bus.fault = { _ in .timeout }
        #expect(throws: ActuatorError.self) { try bench.order(0, .integer(0)) }
        bench.bus.fault = nil
        chip.reset()
        try bench.order(1, .integer(0))
        #expect(chip.history[0] == [nil, false, true, nil, false])
    }

    @Test(arguments: [
        ("line: 16", "actuators[0].line is \"16\""), ("", "actuators[0].line is missing"),
        ("line: 1, address: 0x28", "actuators[0].address is \"0x28\", expected an address from 0x20 to 0x27"),
        ("line: 1, safe: 2", "actuators[0].safe is \"2\""), ("line: 1, pulse: 0s", "actuators[0].pulse is \"0s\""),
        ("line: 1, channel: 1", "actuators[0].channel is no known key"),
    ]) func problems(keys: String, problem: String) {
        let problems = BusBench("- { id: a, driver: mcp23017, bus: i2c-1, \(keys) }").problems
        #expect(problems.count == 1 && problems[0].contains(problem), "\(problems)")
    }

    @Test func aChipIsOfOneKind() {
        let bench = BusBench(
            """
            - { id: a, driver: mcp23017, bus: i2c-1, line: 1 }
            - { id: b, driver: pcf8574, bus: i2c-2, line: 1 }
            - { id: c, driver: pcf8574, bus: i2c-1, line: 1 }
            """)
        #expect(
            bench.problems == [
                "k.yaml:3:3: actuators[2].address is that of a mcp23017 on line 1, "
                    + "expected another address, or the same driver"
            ])
    }

    @Test func pulsesAreALongestTime() {
        let plans = BusBench(
            """
            - { id: a, driver: mcp23017, bus: i2c-1, line: 1, pulse: 500ms }
            - { id: b, driver: pcf8574, bus: i2c-1, address: 0x21, line: 1, pulse: 2s, max_on: 1s }
            - { id: c, driver: gpio, line: 1, pulse: 1s, max_on: 2s }
            - { id: d, driver: gpio, line: 2, max_on: 2s }
            """
        ).plans
        #expect(plans.map { $0.maxOn } == [.milliseconds(500), .seconds(1), .seconds(1), .seconds(2)])
    }
}

@Suite struct PCF8574Tests {
    private let chip = SimulatedPCF8574()

    private func bench(_ configuration: String) throws -> BusBench {
        let bench = BusBench(configuration)
        #expect(bench.problems == [])
        bench.bus.attach(chip, at: 0x20)
        try bench.open()
        return bench
    }

    private let three = """
        - { id: a, driver: pcf8574, bus: i2c-1, line: 0, active_low: true }
        - { id: b, driver: pcf8574, bus: i2c-1, line: 1, active_low: true }
        - { id: c, driver: pcf8574, bus: i2c-1, line: 7 }
        """

    @Test func allSafeLevelsComeWithTheFirstWrite() throws {
        let bench = try bench(three)
        // Line 7 is high from power-on until then: the chip cannot do better.
        #expect(chip.history == [0xFF, 0x7F, 0x7F, 0x7F])
        #expect(try bench.drivers.map { try $0.readBack() } == [.integer(0), .integer(0), .integer(0)])
    }

    @Test func linesDoNotTouchEachOther() throws {
        let bench = try bench(three)
        #expect(try bench.order(0, .integer(1)) == .integer(1))
        #expect(try bench.order(2, .integer(1)) == .integer(1))
        #expect(try bench.order(1, .integer(1)) == .integer(1))
        #expect(try bench.order(0, .integer(0)) == .integer(0))
        #expect(Array(chip.history.dropFirst(4)) == [0x7E, 0xFE, 0xFC, 0xFD])
        _ = try bench.make(2)
        #expect(chip.latch == 0x7D)
    }

    @Test func inputsOfOthersStayHigh() throws {
        let bench = try bench(three)
        chip.pulledLow = 0b0100_0000
        try bench.order(0, .integer(1))
        try bench.order(1, .integer(1))
        // Read low, and not driven low for that.
        #expect(chip.latch == 0b0111_1100)
    }

    @Test func aLineThatIsPulledLowShows() throws {
        let bench = try bench(
            """
            - { id: a, driver: pcf8574, bus: i2c-1, line: 3 }
            - { id: b, driver: pcf8574, bus: i2c-1, line: 4, verify: false }
            """)
        chip.pulledLow = 0b0001_1000
        #expect(try bench.order(0, .integer(1)) == .integer(0))
        #expect(try bench.order(1, .integer(1)) == .integer(1))
    }

    @Test func aChipThatLostItsLatchGetsItBack() throws {
        let bench = try bench(three)
        try bench.order(0, .integer(1))
        chip.reset()
        try bench.order(1, .integer(0))
        #expect(chip.latch == 0x7E)
    }
}

@Suite struct MCP4725Tests {
    private let chip = SimulatedMCP4725()

    private func bench(_ keys: String) throws -> BusBench {
        let bench = BusBench("- { id: a, driver: mcp4725, bus: i2c-1, address: 0x62, \(keys) }")
        #expect(bench.problems == [])
        bench.bus.attach(chip, at: 0x62)
        try bench.open()
        return bench
    }

    @Test func theSafeValueIsFirstAndTheEEPROMIsLeftAlone() throws {
        let bench = try bench("safe: 20")
        #expect(chip.history == [0x800, 819])
        #expect(chip.stored == 0x800)
        #expect(try bench.drivers[0].readBack() == .number(20))
        #expect(try bench.order(0, .integer(100)) == .number(100))
        #expect(chip.output == 4_095)
        #expect(try bench.order(0, .number(0)) == .number(0))
        #expect(chip.output == 0)
        #expect(chip.writesToEEPROM == 0)
    }

    @Test func theSafeValueIsStoredOnce() throws {
        _ = try bench("safe: 20, eeprom: true")
        #expect(chip.stored == 819)
        #expect(chip.writesToEEPROM == 1)
        let bench = try bench("safe: 20, eeprom: true")
        #expect(chip.writesToEEPROM == 1)
        try bench.order(0, .integer(50))
        #expect(chip.output == 2_048)
        #expect(chip.stored == 819)
    }

    @Test func anEEPROMThatNeverEndsIsAnError() {
        chip.busyReads = .max
        #expect(throws: ActuatorError.device("the mcp4725 does not finish writing its EEPROM")) {
            try bench("eeprom: true")
        }
    }

    @Test func volts() throws {
        let bench = try bench("min: 0, max: 3.3")
        #expect(try bench.order(0, .number(1.65)) == .number(1.65))
        #expect(chip.output == 2_048)
        #expect(bench.plans[0].domain.admit(.number(3.4)) == nil)
    }

    @Test func poweredDownIsAFailure() throws {
        let bench = try bench("")
        chip.powerDown = 1
        #expect(throws: ActuatorError.device("the mcp4725 is powered down")) { try bench.drivers[0].readBack() }
        #expect(try bench.order(0, .integer(1)) == .number(1))
    }
}
