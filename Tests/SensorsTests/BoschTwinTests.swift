import CShim
import Hardware
import Platform
import Records
import TestSupport
import Testing

@testable import Sensors

/// The driver on the simulated chips, whose arithmetic is not the driver's.
@Suite struct BoschTwinTests {
    private let loop = ManualLoop()

    private struct Measured {
        let values: [Double]
        var temperature: Double { values[0] }
        var pressure: Double { values[1] }
        var humidity: Double { values[2] }
    }

    private func measure(_ driver: Bosch280, prepared: Bool = false) throws -> Measured {
        if !prepared { try driver.prepare() }
        loop.advance(by: try driver.trigger())
        var values: [Value] = []
        try driver.collect(into: &values)
        return Measured(values: values.compactMap { $0.number })
    }

    private func twin(_ model: Bosch280.Model) -> (chip: SimulatedBMP280, bus: SimulatedI2CBus) {
        let bus = SimulatedI2CBus(name: "i2c-1")
        let chip = model == .bme280 ? SimulatedBME280(time: loop) : SimulatedBMP280(time: loop)
        bus.attach(chip, at: 0x76)
        return (chip, bus)
    }

    private func driver(_ bus: any I2CBus, _ model: Bosch280.Model, finest: Bool = false) -> Bosch280 {
        let code: UInt8 = finest ? 5 : 1
        return Bosch280(
            bus: bus,
            settings: Bosch280.Settings(
                model: model, address: 0x76, temperature: code, pressure: code, humidity: code))
    }

    /// With one conversion the readings have 16 bits: 0.08 degrees Celsius, 2.6 Pa; with sixteen 20 bits: 0.005 degrees
    /// Celsius and 0.16 Pa (BME280 data sheet, 3.4 and 3.5), and 0.008 % of humidity always. What is reported is rounded
    /// to 0.01, 0.1 and 0.01; near 0 and 100 % humidity the converter is at its end.
    @Test(arguments: [Bosch280.Model.bme280, .bmp280], [false, true])
    func theAirComesBackWithinTheResolution(_ model: Bosch280.Model, finest: Bool) throws {
        let (chip, bus) = twin(model)
        let driver = driver(bus, model, finest: finest)
        try driver.prepare()
        let temperatureStep = finest ? 0.005 : 0.085
        let pressureStep = finest ? 0.18 : 3.2
        var compared = 0
        for temperature in stride(from: -39.5, through: 84.5, by: 6.2) {
            for pressure in stride(from: 30_500.0, through: 109_500, by: 7_900) {
                for humidity in model == .bme280 ? [1.5, 25, 50, 75, 98.5] : [50] {
                    chip.air = SimulatedAir(temperature: temperature, pressure: pressure, humidity: humidity)
                    let found = try measure(driver, prepared: true)
                    #expect(abs(found.temperature - temperature) <= temperatureStep + 0.005)
                    #expect(abs(found.pressure - pressure) <= pressureStep + 0.05)
                    if model == .bme280 { #expect(abs(found.humidity - humidity) <= 0.02 + 0.005) }
                    #expect(found.values.count == (model == .bme280 ? 3 : 2))
                    compared += 1
                }
            }
        }
        #expect(compared == 21 * 11 * (model == .bme280 ? 5 : 1))
    }

    @Test func aChipIsNotTakenForTheOther() {
        for (model, other) in [(Bosch280.Model.bme280, Bosch280.Model.bmp280), (.bmp280, .bme280)] {
            let (_, bus) = twin(other)
            let names = ["0x60 (a BME280)", "0x58 (a BMP280)"]
            #expect(
                throws: SensorError.wrongChip(
                    expected: model == .bme280 ? names[0] : names[1], found: model == .bme280 ? names[1] : names[0])
            ) {
                try measure(driver(bus, model))
            }
            // Nothing was written to a chip that is not ours.
            #expect(bus.transfers == 1)
        }
    }

    /// Each transfer of a start, and of the measurement after it, goes wrong in each way. What the driver then reports is
    /// a failure or the truth, and the next attempt works. The readings' witnesses are the settings in the same burst.
    @Test(arguments: [Bosch280.Model.bme280, .bmp280])
    func aFaultNeverMakesAWrongValue(_ model: Bosch280.Model) throws {
        let (chip, clean) = twin(model)
        chip.air = SimulatedAir(temperature: 23, pressure: 98_700, humidity: 40)
        let truth = try measure(driver(clean, model)).values
        let count = Int(clean.transfers)
        var failed = 0
        for kind in [
            SimulatedI2CFault.noAcknowledge, .timeout, .arbitrationLost, .garbage, .noise, .stuckLow, .garbledWrite,
        ] {
            for number in 0..<count {
                let (chip, bus) = twin(model)
                chip.air = SimulatedAir(temperature: 23, pressure: 98_700, humidity: 40)
                var transfer = 0
                bus.fault = { _ in
                    defer { transfer += 1 }
                    return transfer == number ? kind : nil
                }
                let driver = driver(bus, model)
                do {
                    let values = try measure(driver).values
                    #expect(values == truth, "\(kind) in transfer \(number)")
                } catch is SensorError {
                    failed += 1
                }
                #expect(try measure(driver).values == truth, "after \(kind) in transfer \(number)")
            }
        }
        // A missing acknowledge and a lost bit of the status while the chip starts are borne; most else is not.
        #expect(failed > count)
    }

    @Test func faultsAtRandomAreFailuresOrTheTruth() throws {
        let (chip, bus) = twin(.bme280)
        chip.air = SimulatedAir(temperature: 5, pressure: 101_000, humidity: 70)
        let truth = try measure(driver(bus, .bme280)).values
        bus.injectFaults(oneIn: 20, seed: 11, [.noAcknowledge, .timeout, .arbitrationLost])
        let driver = driver(bus, .bme280)
        var good = 0
        var isPrepared = false
        for _ in 0..<2_000 {
            do {
                let values = try measure(driver, prepared: isPrepared).values
                #expect(values == truth)
                isPrepared = true
                good += 1
            } catch is SensorError {
                // As the sampler does: from the start.
                isPrepared = false
            }
        }
        #expect(good > 200 && good < 2_000)
    }

    /// A bus that reads all ones or zeros after the start.
    @Test func garbageInTheReadingsOfADeadBusIsNoValue() throws {
        let (chip, bus) = twin(.bme280)
        let driver = driver(bus, .bme280)
        _ = try measure(driver)
        for filler: UInt8 in [0x00, 0xFF] {
            let dead = SimulatedRegisterFile()
            dead.registers = [UInt8](repeating: filler, count: 256)
            bus.attach(dead, at: 0x76)
            #expect(throws: SensorError.self) { try measure(driver, prepared: true) }
        }
        bus.attach(chip, at: 0x76)
        #expect(try measure(driver, prepared: true).values.count == 3)
    }

    /// A brown-out: the chip answers, but has forgotten its settings.
    @Test func aChipThatWasResetIsNoticed() throws {
        let (_, bus) = twin(.bme280)
        let driver = driver(bus, .bme280)
        _ = try measure(driver)
        try bus.writeByte(0x76, register: 0xE0, 0xB6)
        let forgotten = SensorError.invalidData("the chip does not have the settings that were written to it")
        #expect(throws: forgotten) { try measure(driver, prepared: true) }
        #expect(try measure(driver).values.count == 3)
    }

    // MARK: Buses that come and go

    /// Hardware whose buses are counted when they are opened.
    private final class CountingHardware: Hardware {
        let simulated: SimulatedHardware
        private(set) var opened = 0
        var gpio: any GPIO { simulated.gpio }

        init(loop: any Loop) { simulated = SimulatedHardware(loop: loop) }

        func openBus(_ settings: BusSettings) throws(SystemError) -> any I2CBus {
            opened += 1
            return try simulated.openBus(settings)
        }
    }

    @Test func aBusThatAppearsLater() throws {
        let bench = Bench()
        let hardware = CountingHardware(loop: bench.loop)
        hardware.simulated.missingBuses = ["i2c-1"]
        hardware.simulated.bus("i2c-1").attach(SimulatedBME280(time: bench.loop), at: 0x76)
        let bus = PatientBus(BusSettings(name: "i2c-1", path: "/dev/i2c-1"), hardware: hardware)
        let channels = ["temperature", "pressure", "humidity"].map { ChannelPlan(Channel($0, unit: nil)) }
        bench.add(driver(bus, .bme280), channels: channels, on: InlineWorkQueue())
        bench.sampler.start()
        bench.loop.advance(by: .seconds(30))
        #expect(bench.samples.count == 3)
        let absent = SensorError.i2c(I2CError(bus: "i2c-1", address: 0x76, register: nil, code: ENOENT))
        #expect(bench.samples.map { $0.quality } == Array(repeating: .bad(reason: absent.code), count: 3))
        #expect(bench.sampler.status(0).error == absent)
        #expect(bench.recorder.lines.count { $0.contains("warning") } == 1)
        // Once for each attempt, and no attempt is given up.
        #expect(hardware.opened > 1)
        bench.clear()
        hardware.simulated.missingBuses = []
        bench.loop.advance(by: .seconds(70))
        #expect(bench.bad.isEmpty)
        #expect(bench.good.count > 3)
        let opened = hardware.opened
        bench.loop.advance(by: .seconds(70))
        #expect(hardware.opened == opened)
        #expect(bench.sampler.status(0).recovered == 1)
    }

    @Test(arguments: [ENODEV, ESHUTDOWN, EBADF])
    func aBusThatGoesAwayIsOpenedAnew(_ code: Int32) throws {
        let hardware = CountingHardware(loop: loop)
        let bus = hardware.simulated.bus("i2c-1")
        bus.attach(SimulatedBME280(time: loop), at: 0x76)
        let gone = GoingBus(bus)
        let patient = PatientBus(BusSettings(name: "i2c-1", path: nil), hardware: GoingHardware(hardware, gone))
        let driver = driver(patient, .bme280)
        _ = try measure(driver)
        #expect(hardware.opened == 1)
        gone.code = code
        hardware.simulated.missingBuses = ["i2c-1"]
        func failure(_ register: UInt8?, _ code: Int32) -> SensorError {
            .i2c(I2CError(bus: "i2c-1", address: 0x76, register: register, code: code))
        }
        #expect(throws: failure(0xD0, code)) { try measure(driver) }
        // The old descriptor is not used again.
        #expect(throws: failure(nil, ENOENT)) { try measure(driver) }
        #expect(hardware.opened == 2)
        gone.code = nil
        hardware.simulated.missingBuses = []
        #expect(try measure(driver).values.count == 3)
        #expect(hardware.opened == 3)
    }

    @Test func aDeviceThatDoesNotAnswerIsNoBusThatIsGone() throws {
        let hardware = CountingHardware(loop: loop)
        let patient = PatientBus(BusSettings(name: "i2c-1", path: nil), hardware: hardware)
        let driver = driver(patient, .bme280)
        for _ in 0..<3 { #expect(throws: SensorError.self) { try measure(driver) } }
        #expect(hardware.opened == 1)
    }
}

/// A bus whose adapter a test takes away: every transfer then fails with `code`.
private final class GoingBus: I2CBus {
    let bus: any I2CBus
    var code: Int32?
    var name: String { bus.name }

    init(_ bus: any I2CBus) { self.bus = bus }

    private func check(_ address: UInt8, _ register: UInt8? = nil) throws(I2CError) {
        if let code { throw I2CError(bus: name, address: address, register: register, code: code) }
    }

    func transfer(
        _ address: UInt8, write: UnsafeRawBufferPointer, read: UnsafeMutableRawBufferPointer
    ) throws(I2CError) {
        try check(address)
        try bus.transfer(address, write: write, read: read)
    }
    func readByte(_ address: UInt8) throws(I2CError) -> UInt8 {
        try check(address)
        return try bus.readByte(address)
    }
    func writeByte(_ address: UInt8, _ value: UInt8) throws(I2CError) {
        try check(address)
        try bus.writeByte(address, value)
    }
    func readByte(_ address: UInt8, register: UInt8) throws(I2CError) -> UInt8 {
        try check(address, register)
        return try bus.readByte(address, register: register)
    }
    func writeByte(_ address: UInt8, register: UInt8, _ value: UInt8) throws(I2CError) {
        try check(address, register)
        try bus.writeByte(address, register: register, value)
    }
    func readWord(_ address: UInt8, register: UInt8) throws(I2CError) -> UInt16 {
        try check(address, register)
        return try bus.readWord(address, register: register)
    }
    func writeWord(_ address: UInt8, register: UInt8, _ value: UInt16) throws(I2CError) {
        try check(address, register)
        try bus.writeWord(address, register: register, value)
    }
    func readBlock(_ address: UInt8, register: UInt8, into buffer: UnsafeMutableRawBufferPointer) throws(I2CError) {
        try check(address, register)
        try bus.readBlock(address, register: register, into: buffer)
    }
    func writeBlock(_ address: UInt8, register: UInt8, _ bytes: UnsafeRawBufferPointer) throws(I2CError) {
        try check(address, register)
        try bus.writeBlock(address, register: register, bytes)
    }
}

/// Opens what `hardware` has as that bus.
private final class GoingHardware: Hardware {
    private let hardware: any Hardware
    private let bus: GoingBus
    var gpio: any GPIO { hardware.gpio }

    init(_ hardware: any Hardware, _ bus: GoingBus) {
        self.hardware = hardware
        self.bus = bus
    }

    func openBus(_ settings: BusSettings) throws(SystemError) -> any I2CBus {
        _ = try hardware.openBus(settings)
        return bus
    }
}
