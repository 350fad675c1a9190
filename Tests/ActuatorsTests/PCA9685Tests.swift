import Actuators
import Configuration
import Hardware
import Platform
import Records
import TestSupport
import Testing

@Suite struct PCA9685Tests {
    private let chip = SimulatedPCA9685()

    private func bench(_ configuration: String...) throws -> BusBench {
        let bench = BusBench(configuration.joined(separator: "\n"))
        #expect(bench.problems == [])
        bench.bus.attach(chip, at: 0x40)
        try bench.open()
        return bench
    }

    private func led(_ channel: Int, _ more: String = "") -> String {
        "- { id: led\(channel), driver: pca9685, bus: i2c-1, channel: \(channel), \(more) }"
    }

    @Test func nothingIsShownBeforeTheSafeValue() throws {
        let bench = try bench(led(0), led(15, "safe: 25"))
        #expect(chip.history[0] == [.off])
        #expect(chip.history[15] == [.off, .pulse(0, 1_024)])
        #expect(try bench.drivers[0].readBack() == .number(0))
        #expect(try bench.drivers[1].readBack() == .number(25))
        #expect(bench.plans.map { $0.safe } == [.number(0), .number(25)])
        #expect(bench.plans.map { $0.driver.addresses.map { $0.output } } == [[0], [15]])
        // 200 Hz, the prescaler of power-on (7.3.5): 25 MHz / (4096 * 200) - 1.
        #expect(chip.prescalers == [0x1E])
        // The "all call" address is off (7.3.1).
        #expect(chip.registers[0] & 1 == 0)
    }

    @Test func valuesBecomeCounts() throws {
        let bench = try bench(led(3))
        #expect(try bench.order(0, .integer(50)) == .number(50))
        #expect(chip.shown(3) == .pulse(0, 2_048))
        #expect(try bench.order(0, .integer(100)) == .number(100))
        #expect(chip.shown(3) == .full)
        #expect(try bench.order(0, .number(33.3)) == .number(33.3))
        #expect(chip.shown(3) == .pulse(0, 1_364))
        #expect(try bench.order(0, .number(0.01)) == .number(0.01))
        #expect(chip.shown(3) == .off)
        #expect(try bench.order(0, .integer(0)) == .number(0))
        #expect(chip.history[3] == [.off, .pulse(0, 2_048), .full, .pulse(0, 1_364), .off])
        for other in 0..<16 where other != 3 { #expect(chip.history[other] == [.off]) }
    }

    @Test func outputsOfAChipDoNotTouchEachOther() throws {
        let bench = try bench(led(0), led(1), led(2, "safe: 10"))
        try bench.order(0, .integer(20))
        try bench.order(1, .integer(30))
        // Taken anew, as after a failure: only its own output goes to the safe value.
        let again = try bench.make(1)
        #expect(try again.readBack() == .number(0))
        #expect(chip.history[0] == [.off, .pulse(0, 819)])
        #expect(chip.history[1] == [.off, .pulse(0, 1_229), .off])
        #expect(chip.history[2] == [.off, .pulse(0, 410)])
    }

    @Test func aRestartOfTheAgentLeavesTheOscillatorRunning() throws {
        try bench(led(0), led(1)).order(0, .integer(40))
        let before = chip.history[0]
        let later = try bench(led(1, "safe: 5"))
        #expect(chip.history[0] == before)
        #expect(chip.shown(1) == .pulse(0, 205))
        #expect(try later.drivers[0].readBack() == .number(5))
    }

    @Test func aChipThatRunsAtAnotherFrequencyIsOffUntilItIsSet() throws {
        try bench(led(0)).order(0, .integer(40))
        _ = try bench(led(1, "frequency: 1000, safe: 50"))
        #expect(chip.history[0] == [.off, .pulse(0, 1_638), .off])
        #expect(chip.history[1] == [.off, .pulse(0, 2_048)])
        // 25 MHz / (4096 * 1000) - 1, rounded.
        #expect(chip.prescalers == [0x1E, 5])
    }

    @Test func aBrownOutIsSetRightByTheNextOrder() throws {
        let bench = try bench(led(0, "frequency: 50"), led(1))
        try bench.order(0, .integer(40))
        chip.reset()
        #expect(try bench.drivers[0].readBack() == .number(0))
        #expect(try bench.order(0, .integer(60)) == .number(60))
        #expect(chip.shown(0) == .pulse(0, 2_458))
        #expect(chip.registers[0xFE] == 121)
    }

    @Test func aBrownOutEndsForAllOutputsWithTheNextOrder() throws {
        let bench = try bench(led(0), led(1), led(2, "safe: 10"), led(3))
        try bench.order(0, .integer(70))
        try bench.order(3, .integer(100))
        let before = chip.history[2]
        chip.reset()
        #expect(try bench.order(1, .integer(20)) == .number(20))
        #expect(try bench.drivers.map { try $0.readBack() } == [.number(70), .number(20), .number(10), .number(100)])
        // No other value on the way.
        #expect(chip.history[0] == [.off, .pulse(0, 2_867), .off, .pulse(0, 2_867)])
        #expect(chip.history[2] == before + [.off, .pulse(0, 410)])
        for other in 4..<16 { #expect(chip.history[other] == [.off]) }
    }

    @Test func aSetUpThatFailsHalfWayIsDoneAnew() throws {
        for transfers in 1...9 {
            chip.reset()
            let bench = try bench(led(0), led(1))
            try bench.order(0, .integer(70))
            chip.reset()
            var left = transfers
            bench.bus.fault = { _ in
                left -= 1
                return left < 0 ? .noAcknowledge : nil
            }
            // The last of these is enough.
            _ = try? bench.drivers[1].drive(.number(20))
            bench.bus.fault = nil
            try bench.order(1, .integer(0))
            #expect(chip.shown(0) == .pulse(0, 2_867), "\(transfers)")
            #expect(chip.shown(1) == .off)
        }
    }

    @Test func whatCouldNotBeWrittenIsAtItsSafeValueAfterABrownOut() throws {
        let bench = try bench(led(0, "safe: 10"), led(1))
        try bench.order(0, .integer(70))
        bench.bus.fault = { _ in .noAcknowledge }
        #expect(throws: ActuatorError.self) { try bench.order(0, .integer(10)) }
        bench.bus.fault = nil
        chip.reset()
        try bench.order(1, .integer(20))
        #expect(chip.shown(0) == .pulse(0, 410))
    }

    @Test func somebodyElsesWriteShows() throws {
        let bench = try bench(led(0))
        try bench.order(0, .integer(50))
        chip.registers[0x08] = 0
        chip.registers[0x09] = 4
        #expect(try bench.drivers[0].readBack() == .number(25))
    }

    @Test func aBusThatFailsIsAnError() throws {
        let bench = try bench(led(0))
        bench.bus.fault = { _ in .noAcknowledge }
        #expect(throws: ActuatorError.self) { try bench.order(0, .integer(1)) }
        #expect(throws: ActuatorError.self) { try bench.drivers[0].readBack() }
        bench.bus.detach(0x40)
        bench.bus.fault = nil
        #expect(throws: ActuatorError.self) { try bench.make(0) }
    }

    @Test func aRampGoesInSteps() throws {
        let bench = try bench(led(0, "ramp: 200ms"))
        let driver = bench.drivers[0]
        // Half the range takes half the time: five steps of 20 ms.
        #expect(try driver.drive(.number(50)) == .milliseconds(100))
        #expect(chip.shown(0) == .pulse(0, 409))
        var steps = 0
        while let pause = driver.pause {
            #expect(pause == .milliseconds(20))
            try driver.step()
            steps += 1
        }
        #expect(steps == 4)
        #expect(try driver.readBack() == .number(50))
        #expect(
            chip.history[0] == [
                .off, .pulse(0, 409), .pulse(0, 818), .pulse(0, 1_228), .pulse(0, 1_638), .pulse(0, 2_048),
            ])
        // Down again, and overtaken by the safe value, which knows no ramp.
        _ = try driver.drive(.number(25))
        #expect(driver.pause != nil)
        #expect(try driver.drive(.number(0)) == .zero)
        #expect(driver.pause == nil)
        #expect(chip.shown(0) == .off)
        try driver.step()
        #expect(chip.shown(0) == .off)
        // A step that nobody made does not leave the value short.
        _ = try driver.drive(.number(100))
        #expect(try driver.readBack() == .number(100))
        #expect(chip.shown(0) == .full)
    }

    @Test func aScaleOfOnesOwn() throws {
        // A fan that turns from 20 % on, in revolutions a minute; and a lamp behind an inverter.
        let bench = try bench(
            led(0, "min: 0, max: 3000, output_min: 20, output_max: 100"),
            led(1, "output_min: 100, output_max: 0"))
        #expect(chip.shown(0) == .pulse(0, 819))
        #expect(chip.shown(1) == .full)
        #expect(try bench.order(0, .integer(1_500)) == .number(1_500))
        #expect(chip.shown(0) == .pulse(0, 2_458))
        #expect(try bench.order(1, .integer(75)) == .number(75))
        #expect(chip.shown(1) == .pulse(0, 1_024))
        #expect(bench.plans[0].domain == .number(0...3_000))
        #expect(bench.plans[0].domain.admit(.integer(3_001)) == nil)
    }

    @Test func servos() throws {
        let bench = try bench(
            "- { id: a, driver: servo, bus: i2c-1, channel: 4, safe: 90 }",
            "- { id: b, driver: servo, bus: i2c-1, channel: 5, min: -45, max: 45, pulse_min: 500us, pulse_max: 2500us }"
        )
        // 50 Hz is 121 (7.3.5), so a count is 122 * 4096 / 25 MHz / 4096 = 4.88 us.
        #expect(chip.prescalers == [121])
        #expect(chip.history[4] == [.off, .pulse(0, 307)])
        #expect(chip.history[5] == [.off, .pulse(0, 307)])
        #expect(try bench.order(0, .integer(180)) == .number(180))
        #expect(chip.shown(4) == .pulse(0, 410))
        #expect(try bench.order(1, .integer(-45)) == .number(-45))
        #expect(chip.shown(5) == .pulse(0, 102))
        #expect(bench.plans[1].safe == .number(0))
    }

    @Test(arguments: [
        ("frequency: 20", "actuators[0].frequency is \"20\", expected a number from 24 to 1526"),
        ("address: 0x3f", "actuators[0].address is \"0x3f\""),
        ("output_min: 5, output_max: 5", "actuators[0].output_max is the same as output_min"),
        ("min: 2, max: 1", "min is 2 and max is 1, expected min below max"),
        ("safe: 101", "actuators[0].safe is \"101\""), ("line: 1", "actuators[0].line is no known key"),
        ("ramp: 11m", "actuators[0].ramp is \"11m\""),
    ]) func problems(more: String, problem: String) {
        let problems = BusBench(led(1, more)).problems
        #expect(problems.count == 1 && problems[0].contains(problem), "\(problems)")
    }

    @Test func theChannelIsNeeded() {
        for (keys, problem) in [
            ("channel: 16", "actuators[0].channel is \"16\""), ("", "actuators[0].channel is missing"),
        ] {
            let problems = BusBench("- { id: a, driver: pca9685, bus: i2c-1, \(keys) }").problems
            #expect(problems.count == 1 && problems[0].contains(problem), "\(problems)")
        }
    }

    @Test func whatOutputsShareMustSuitAll() {
        let bench = BusBench(
            [
                led(0), led(1, "frequency: 1000"), "- { id: s, driver: servo, bus: i2c-1, channel: 4 }",
                "- { id: x, driver: mcp4725, bus: i2c-1, address: 0x40 }",
            ].joined(separator: "\n"))
        #expect(
            bench.problems.map { $0.drop { $0 != " " } } == [
                " actuators[1].frequency differs from that of the pca9685 on line 1, "
                    + "expected the same: the outputs of a chip share it",
                " actuators[2].channel differs from that of the pca9685 on line 1, "
                    + "expected the same: the outputs of a chip share it",
                " actuators[3].address is \"0x40\", expected an address from 0x60 to 0x67",
            ])
    }
}
