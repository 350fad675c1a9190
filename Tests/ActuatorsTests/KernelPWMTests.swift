import Actuators
import Configuration
import Foundation
import Platform
import Records
import TestSupport
import Testing

/// A folder that looks like `/sys/class/pwm/pwmchip0`. Nothing answers in it: the files hold what was written last.
private final class PWMFolder {
    let url: URL

    init(isExported: Bool = true) throws {
        url = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        try write("export", "")
        if isExported { try export() }
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    func export(enable: Int = 0, period: Int = 0, width: Int = 0, polarity: String? = "normal") throws {
        try FileManager.default.createDirectory(
            at: url.appendingPathComponent("pwm2"), withIntermediateDirectories: true)
        try write("pwm2/enable", "\(enable)\n")
        try write("pwm2/period", "\(period)\n")
        try write("pwm2/duty_cycle", "\(width)\n")
        if let polarity { try write("pwm2/polarity", polarity + "\n") }
    }

    func write(_ name: String, _ text: String) throws {
        try text.write(to: url.appendingPathComponent(name), atomically: false, encoding: .utf8)
    }

    func read(_ name: String) throws -> String {
        try String(contentsOf: url.appendingPathComponent(name), encoding: .utf8)
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// enable, period, duty_cycle and polarity.
    var state: [String] {
        get throws { try ["enable", "period", "duty_cycle", "polarity"].map { try read("pwm2/\($0)") } }
    }

    func plan(_ keys: String, driver: String = "pwm") throws -> ActuatorPlan {
        let bench = BusBench("- { id: a, driver: \(driver), chip: \(url.path), channel: 2, \(keys) }")
        #expect(bench.problems == [])
        return try #require(bench.plans.first)
    }

    func open(_ keys: String, driver: String = "pwm") throws -> any ActuatorDriver {
        try plan(keys, driver: driver).driver.open(FakeHardware())
    }
}

@Suite struct KernelPWMTests {
    /// What somebody else has set, as the value that is meant: 0.333 * 100 is 33.300000000000004.
    @Test func aForeignWidthIsShownWithoutNoise() throws {
        let folder = try PWMFolder()
        let driver = try folder.open("period: 1ms, safe: 25")
        try folder.write("pwm2/duty_cycle", "333000\n")
        #expect(try driver.readBack() == .number(33.3))
    }

    /// What `kedge check --hardware` says: only opened, and nothing written.
    @Test func aChannelThatMayNotBeUsed() throws {
        for isExported in [true, false] {
            let folder = try PWMFolder(isExported: isExported)
            let name = folder.url.path + (isExported ? "/pwm2/duty_cycle" : "/export")
            let problem = try #require(try folder.plan("safe: 0").driver.problem)
            #expect(problem() == nil)
            #expect(chmod(name, 0o644) == 0)
            let refused = try asNobody { problem() }
            #expect(
                refused == "open \(name): Permission denied (errno 13); no group may use \(name): "
                    + "a udev rule (60-kedge.rules) must give it to the group gpio")
            #expect(chmod(name, 0o220) == 0)
            let group = try #require(try asNobody { problem() })
            #expect(group.contains("Permission denied (errno 13); the user must be in the group "))
            if !isExported { #expect(try folder.read("export") == "") }
        }
        let gone = try PWMFolder(isExported: false)
        let problem = try #require(try gone.plan("safe: 0").driver.problem)
        try FileManager.default.removeItem(at: gone.url)
        #expect(problem() == "\(gone.url.path): not there")
    }

    /// Does `body` without the rights to other users' files: setfsuid(2) is for one thread, and takes root's, too. The Glibc
    /// module does not have it.
    private func asNobody<Result>(_ body: () -> Result) throws -> Result {
        typealias Call = @convention(c) (UInt32) -> Int32
        let setUser = unsafeBitCast(try #require(dlsym(nil, "setfsuid")), to: Call.self)
        let setGroup = unsafeBitCast(try #require(dlsym(nil, "setfsgid")), to: Call.self)
        _ = setGroup(65_534)
        _ = setUser(65_534)
        defer {
            _ = setUser(geteuid())
            _ = setGroup(getegid())
        }
        return body()
    }

    @Test func theChannelIsSetUpWithTheSafeValue() throws {
        let folder = try PWMFolder()
        let driver = try folder.open("frequency: 1000, safe: 25")
        #expect(try folder.state == ["1", "1000000", "250000", "normal"])
        #expect(try driver.readBack() == .number(25))
        #expect(try driver.drive(.number(60)) == .zero)
        #expect(try folder.state == ["1", "1000000", "600000", "normal"])
        #expect(try driver.readBack() == .number(60))
        _ = try driver.drive(.number(100))
        #expect(try folder.read("pwm2/duty_cycle") == "1000000")
    }

    @Test func polarityAndPeriod() throws {
        let folder = try PWMFolder()
        _ = try folder.open("period: 20ms, polarity: inversed, safe: 50")
        #expect(try folder.state == ["1", "20000000", "10000000", "inversed"])
    }

    @Test func aRunningChannelOnlyGetsItsPulse() throws {
        let folder = try PWMFolder()
        try folder.export(enable: 1, period: 1_000_000, width: 700_000)
        // What must not be written again cannot be.
        for name in ["period", "enable", "polarity"] {
            try FileManager.default.removeItem(at: folder.url.appendingPathComponent("pwm2/\(name)"))
            let text = name == "period" ? "1000000" : name == "enable" ? "1" : "normal"
            try FileManager.default.createSymbolicLink(
                at: folder.url.appendingPathComponent("pwm2/\(name)"),
                withDestinationURL: folder.url.appendingPathComponent("fixed-\(name)"))
            try folder.write("fixed-\(name)", text)
        }
        let before = try folder.url.appendingPathComponent("fixed-period").resourceValues(
            forKeys: [.contentModificationDateKey])
        let driver = try folder.open("safe: 10")
        #expect(try driver.readBack() == .number(10))
        let after = try folder.url.appendingPathComponent("fixed-period").resourceValues(
            forKeys: [.contentModificationDateKey])
        #expect(before.contentModificationDate == after.contentModificationDate)
        #expect(try folder.read("pwm2/duty_cycle") == "100000")
    }

    @Test func anotherPeriodIsSet() throws {
        let folder = try PWMFolder()
        try folder.export(enable: 1, period: 20_000_000, width: 15_000_000)
        _ = try folder.open("frequency: 1000, safe: 50")
        #expect(try folder.state == ["1", "1000000", "500000", "normal"])
    }

    @Test func aChannelThatIsNotThereIsAskedFor() throws {
        let folder = try PWMFolder(isExported: false)
        // The kernel would make the files now; here nobody does.
        #expect(throws: ActuatorError.self) { try folder.open("safe: 50") }
        #expect(try folder.read("export") == "2")
        try folder.export()
        _ = try folder.open("safe: 50")
        #expect(try folder.state == ["1", "1000000", "500000", "normal"])
    }

    @Test func aChannelThatWasTakenAwayIsSetUpAgain() throws {
        let folder = try PWMFolder()
        let driver = try folder.open("")
        try FileManager.default.removeItem(at: folder.url.appendingPathComponent("pwm2"))
        #expect(throws: ActuatorError.self) { try driver.drive(.number(5)) }
        try folder.export()
        #expect(try driver.drive(.number(5)) == .zero)
        #expect(try folder.state == ["1", "1000000", "50000", "normal"])
    }

    @Test func whatSomebodyElseDidShows() throws {
        let folder = try PWMFolder()
        let driver = try folder.open("safe: 50")
        try folder.write("pwm2/duty_cycle", "250000")
        #expect(try driver.readBack() == .number(25))
        try folder.write("pwm2/enable", "0")
        #expect(throws: ActuatorError.self) { try driver.readBack() }
        _ = try driver.drive(.number(30))
        #expect(try folder.state == ["1", "1000000", "300000", "normal"])
    }

    @Test func noChipIsAnErrorThatNamesIt() throws {
        let plan = try #require(BusBench("- { id: a, driver: pwm, chip: pwmchip97, channel: 0 }").plans.first)
        do {
            _ = try plan.driver.open(FakeHardware())
            Issue.record("there is one")
        } catch {
            #expect(error.description.contains("/sys/class/pwm/pwmchip97/export: No such file or directory"))
        }
    }

    @Test func aServo() throws {
        let folder = try PWMFolder()
        let driver = try folder.open("safe: 90", driver: "servo")
        #expect(try folder.state == ["1", "20000000", "1500000", "normal"])
        #expect(try driver.drive(.number(45)) == .zero)
        #expect(try folder.read("pwm2/duty_cycle") == "1250000")
        #expect(try driver.readBack() == .number(45))
    }

    @Test func aRamp() throws {
        let folder = try PWMFolder()
        let driver = try folder.open("ramp: 1s")
        #expect(try driver.drive(.number(10)) == .milliseconds(100))
        var widths: [String] = []
        while driver.pause != nil {
            widths.append(try folder.read("pwm2/duty_cycle"))
            try driver.step()
        }
        #expect(widths == ["20000", "40000", "60000", "80000"])
        #expect(try driver.readBack() == .number(10))
        #expect(try driver.drive(.number(0)) == .zero)
        #expect(try folder.read("pwm2/duty_cycle") == "0")
    }

    @Test(arguments: [
        ("channel: 64", "actuators[0].channel is \"64\""), ("chip: pwmchip0", "actuators[0].channel is missing"),
        ("channel: 1, frequency: 5, period: 5ms", "actuators[0].period stands beside frequency, expected one of them"),
        ("channel: 1, polarity: upside-down", "actuators[0].polarity is \"upside-down\", expected normal or inversed"),
    ]) func problems(keys: String, problem: String) {
        let problems = BusBench("- { id: a, driver: pwm, \(keys) }").problems
        #expect(problems.count == 1 && problems[0].contains(problem), "\(problems)")
    }

    @Test func aChannelIsThereForOne() {
        let problems = BusBench(
            """
            - { id: a, driver: pwm, channel: 1 }
            - { id: b, driver: servo, chip: /sys/class/pwm/pwmchip0, channel: 0 }
            - { id: c, driver: servo, channel: 1 }
            - { id: d, driver: pwm, chip: pwmchip1, channel: 1 }
            """
        ).problems
        #expect(
            problems == [
                "k.yaml:3:36: actuators[2].channel of pwmchip0 is another actuator's already, expected a channel of its own"
            ])
    }

    @Test(arguments: [
        ("pulse_min: 1ms, pulse_max: 1ms", "actuators[0].pulse_max is the same as pulse_min"),
        ("pulse_max: 6ms", "actuators[0].pulse_max is \"6ms\""),
        ("frequency: 50", "actuators[0].frequency is no known key"),
        ("min: 10, max: 20", "actuators[0].safe is missing, and 0 is not within min and max"),
    ]) func problemsOfAServo(keys: String, problem: String) {
        let problems = BusBench("- { id: a, driver: servo, channel: 1, \(keys) }").problems
        #expect(problems.count == 1 && problems[0].contains(problem), "\(problems)")
    }
}

@Suite struct BlinkTests {
    private func driver(_ keys: String) throws -> (any ActuatorDriver, FakeLine) {
        let bench = BusBench("- { id: a, driver: gpio, line: 4, \(keys) }")
        #expect(bench.problems == [])
        let hardware = FakeHardware()
        let driver = try #require(bench.plans.first).driver.open(hardware)
        return (driver, hardware.line)
    }

    @Test func aLineGoesToAndFroUntilTheNextOrder() throws {
        let (driver, line) = try driver("blink: { on: 300ms, off: 700ms }")
        #expect(driver.pause == nil)
        #expect(try driver.drive(.integer(1)) == .zero)
        var pauses: [Interval?] = []
        for _ in 0..<4 {
            pauses.append(driver.pause)
            #expect(try driver.readBack() == .integer(1))
            try driver.step()
        }
        #expect(pauses == [.milliseconds(300), .milliseconds(700), .milliseconds(300), .milliseconds(700)])
        #expect(line.levels == [false, true, false, true, false, true])
        #expect(try driver.drive(.integer(0)) == .zero)
        #expect(driver.pause == nil)
        try driver.step()
        #expect(line.levels == [false, true, false, true, false, true, false])
        #expect(try driver.readBack() == .integer(0))
    }

    @Test func aLineThatSticksShowsInEitherPart() throws {
        let (driver, line) = try driver("blink: { on: 10ms, off: 10ms }")
        _ = try driver.drive(.integer(1))
        line.isStuck = true
        try driver.step()
        #expect(try driver.readBack() == .integer(0))
        line.writesFail = true
        #expect(throws: ActuatorError.self) { try driver.step() }
        #expect(driver.pause == nil)
    }

    @Test func theSafeLevelDoesNotBlink() throws {
        let (driver, _) = try driver("safe: 1, blink: { on: 10ms, off: 10ms }")
        _ = try driver.drive(.integer(1))
        #expect(driver.pause == nil)
        _ = try driver.drive(.integer(0))
        #expect(driver.pause == .milliseconds(10))
    }

    @Test func bothTimesAreNeeded() {
        let problems = BusBench("- { id: a, driver: gpio, line: 4, blink: { on: 5ms } }").problems
        #expect(problems.count == 2, "\(problems)")
    }
}
