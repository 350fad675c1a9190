import CShim
import Platform
import TestSupport
import Testing

@testable import Hardware

/// A device that holds SDA low, and how the bus is freed from it.
@Suite struct BusRecoveryTests {
    private let loop = ManualLoop()
    private let hardware: SimulatedHardware
    private let bus: SimulatedI2CBus
    private let lines = RecoveryLines(
        scl: LineReference(chip: nil, line: .offset(23)), sda: LineReference(chip: nil, line: .offset(24)))
    private let device: SimulatedStuckDevice
    private let patient: PatientBus
    private let chip = SimulatedRegisterFile()

    init() throws {
        hardware = SimulatedHardware(loop: loop)
        bus = hardware.bus("i2c-1")
        bus.attach(chip, at: 0x40)
        chip.registers[1] = 7
        device = try SimulatedStuckDevice(bus, hardware.simulatedGPIO, lines)
        let settings = BusSettings(name: "i2c-1", path: nil, recovery: lines)
        patient = PatientBus(settings, hardware: hardware, time: loop, wait: { [loop] in loop.advance(by: $0) })
    }

    private func code(_ bus: PatientBus, _ register: UInt8 = 1) -> Int32? {
        failure(I2CError.self) { () throws(I2CError) in _ = try bus.readByte(0x40, register: register) }?.code
    }

    @Test(arguments: 1...9)
    func aDeviceIsClockedFree(_ clocks: Int) throws {
        #expect(try patient.readByte(0x40, register: 1) == 7)
        #expect(patient.takeOutcome() == nil)
        device.hang(clocks: clocks)
        // The transfer that finds it so fails; the one after it does not.
        #expect(code(patient) == ETIMEDOUT)
        #expect(!device.isStuck)
        #expect(device.clocks >= clocks)
        #expect(patient.takeOutcome() == .freed(clocks: clocks))
        #expect(patient.takeOutcome() == nil)
        #expect(try patient.readByte(0x40, register: 1) == 7)
        // Each time anew.
        loop.advance(by: .seconds(1))
        device.hang(clocks: clocks)
        #expect(code(patient) == ETIMEDOUT)
        #expect(patient.takeOutcome() == .freed(clocks: clocks))
    }

    @Test func theLinesAreHeldForTheRecoveryOnlyAndNeverDrivenHigh() throws {
        device.hang(clocks: 4)
        #expect(code(patient) == ETIMEDOUT)
        for line in [lines.scl, lines.sda] {
            #expect(try hardware.gpio.inspect(line).consumer == nil)
            #expect(try hardware.simulatedGPIO.history(line).allSatisfy { $0.high != true })
        }
        // Four clocks and that of the STOP.
        #expect(try hardware.simulatedGPIO.history(lines.scl).filter { $0.high == false }.count == 5)
        #expect(try hardware.simulatedGPIO.history(lines.sda).filter { $0.high == false }.count == 1)
    }

    @Test func nineClocksAreTheMostAndTheNextAttemptComesLater() throws {
        device.hang(clocks: 1_000)
        #expect(code(patient) == ETIMEDOUT)
        #expect(device.clocks == 9)
        #expect(patient.takeOutcome() == .sdaStaysLow)
        for _ in 0..<50 { #expect(code(patient) == ETIMEDOUT) }
        #expect(device.clocks == 9)
        // Attempts after 2, 4, 8, 16, 16 … seconds, and one report of all of them.
        for _ in 0..<600 {
            loop.advance(by: .seconds(1))
            #expect(code(patient) == ETIMEDOUT)
        }
        #expect((36...45).contains(device.clocks / 9))
        #expect(patient.takeOutcome() == nil)
        #expect(device.isStuck)
    }

    @Test func aBusThatTimesOutForAnotherReasonIsLeftAlone() throws {
        bus.fault = { _ in .timeout }
        #expect(code(patient) == ETIMEDOUT)
        #expect(patient.takeOutcome() == nil)
        #expect(try hardware.simulatedGPIO.history(lines.scl).isEmpty)
        #expect(try hardware.simulatedGPIO.history(lines.sda).allSatisfy { $0.high == nil })
    }

    @Test func aDeviceThatDoesNotAnswerIsNoReasonToLook() throws {
        bus.fault = { _ in .noAcknowledge }
        for _ in 0..<10 { #expect(code(patient) == EREMOTEIO) }
        #expect(try hardware.simulatedGPIO.history(lines.sda).isEmpty)
    }

    /// What a controller makes of it that does not look at SDA while it sends.
    @Test func aBusThatReadsNothingButZerosIsLookedAt() throws {
        device.hang(clocks: 5, .stuckLow)
        #expect(try patient.readByte(0x40, register: 1) == 0)
        #expect(device.isStuck)
        #expect(try patient.readByte(0x40, register: 1) == 0)
        #expect(!device.isStuck)
        #expect(try patient.readByte(0x40, register: 1) == 7)
        #expect(patient.takeOutcome() == .freed(clocks: 5))
        // A device that has only zeros to say is looked at now and then, and nothing is done to the bus.
        chip.registers[1] = 0
        for _ in 0..<100 {
            loop.advance(by: .seconds(1))
            #expect(try patient.readByte(0x40, register: 1) == 0)
        }
        #expect(try hardware.simulatedGPIO.history(lines.scl).filter { $0.high == false }.count == 6)
        #expect(patient.takeOutcome() == .notStuck)
        #expect(patient.takeOutcome() == nil)
    }

    @Test func aClockThatIsHeldLowIsSaid() throws {
        device.hang(clocks: 3)
        try hardware.simulatedGPIO.drive(lines.scl, high: false)
        #expect(code(patient) == ETIMEDOUT)
        #expect(patient.takeOutcome() == .sclIsLow)
        #expect(device.clocks == 0)
    }

    @Test func linesThatSomebodyHoldsAreSaid() throws {
        device.hang(clocks: 3)
        try hardware.simulatedGPIO.occupy(lines.sda, by: "i2c-gpio")
        #expect(code(patient) == ETIMEDOUT)
        let outcome = patient.takeOutcome()
        #expect(outcome == .noLines(GPIOError(line: lines.sda, cause: .busy(consumer: "i2c-gpio"))))
        #expect(outcome?.description == "SDA cannot be looked at: GPIO gpiochip0 24: in use by \"i2c-gpio\"")
        // When the lines are free, the bus is freed.
        try hardware.simulatedGPIO.occupy(lines.sda, by: nil)
        loop.advance(by: .seconds(2))
        #expect(code(patient) == ETIMEDOUT)
        #expect(patient.takeOutcome() == .freed(clocks: 3))
    }

    @Test func withoutLinesTheKernelIsLeftToIt() throws {
        let plain = PatientBus(BusSettings(name: "i2c-1", path: nil), hardware: hardware, time: loop)
        device.hang(clocks: 1)
        for _ in 0..<10 {
            #expect(code(plain) == ETIMEDOUT)
            loop.advance(by: .seconds(10))
        }
        #expect(device.clocks == 0)
        #expect(plain.takeOutcome() == nil)
    }

    @Test func theLogIsToldOnce() throws {
        let recorder = LogRecorder()
        let queue = TellingQueue(InlineWorkQueue(), patient, recorder.log)
        var completions = 0
        func ask() {
            queue.perform {
                _ = code(patient)
            } completion: {
                completions += 1
            }
        }
        device.hang(clocks: 100)
        for _ in 0..<100 {
            ask()
            loop.advance(by: .seconds(1))
        }
        device.hang(clocks: 3)
        loop.advance(by: .seconds(16))
        for _ in 0..<10 { ask() }
        #expect(completions == 110)
        #expect(
            recorder.lines == [
                "warning: bus i2c-1: SDA is held low, and nine clocks do not free it",
                "warning: bus i2c-1: SDA was held low; 3 clocks freed it",
            ])
    }
}
