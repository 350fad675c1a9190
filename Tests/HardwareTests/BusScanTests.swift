import CShim
import Foundation
import Platform
import TestSupport
import Testing

@testable import Hardware

@Suite struct BusScanTests {
    private let bus = SimulatedI2CBus(name: "i2c-1")

    /// A device that notes what it is sent and how often it is read.
    private final class Witness: SimulatedI2CDevice {
        var received: [[UInt8]] = []
        var reads = 0
        func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
            received.append(Array(bytes))
            return true
        }
        func send(into buffer: UnsafeMutableRawBufferPointer) -> Bool {
            reads += 1
            return true
        }
    }

    @Test func whatAnswersIsFoundAndNothingIsSentToIt() {
        var witnesses: [UInt8: Witness] = [:]
        for address: UInt8 in 0x00...0x7F {
            let witness = Witness()
            witnesses[address] = witness
            bus.attach(witness, at: address)
        }
        let scan = BusScan(bus)
        #expect(scan.devices.map { $0.address } == Array(0x08...0x77))
        #expect(scan.devices.allSatisfy { $0.state == .answers })
        #expect(scan.failure == nil)
        for (address, witness) in witnesses {
            #expect(witness.received.isEmpty)
            // One byte is read where EEPROMs are; the reserved addresses are not asked at all.
            let isRead = (0x30...0x37).contains(address) || (0x50...0x5F).contains(address)
            #expect(witness.reads == (isRead ? 1 : 0), "\(address)")
        }
        #expect(bus.transfers == 0x70)
        // So many are none: SDA is low whoever is asked.
        #expect(scan.isHeldLow)
        for address: UInt8 in 0x08..<0x20 { bus.detach(address) }
        #expect(!BusScan(bus).isHeldLow)
    }

    @Test func anAdapterWithoutTheQuickCommandReads() {
        bus.functions = BusFunctions(bits: BusFunctions.readByte.bits | BusFunctions.byteData.bits)
        bus.attach(SimulatedRegisterFile(), at: 0x40)
        bus.attach(SimulatedRegisterFile(), at: 0x50)
        #expect(BusScan(bus).devices.map { $0.address } == [0x40, 0x50])
    }

    /// A bus that claims to do everything, and cannot send nothing but an address.
    private final class Boaster: I2CBus {
        let name = "i2c-1"
        func readByte(_ address: UInt8) throws(I2CError) -> UInt8 {
            if address == 0x40 { return 0 }
            throw I2CError(bus: name, address: address, register: nil, code: EREMOTEIO)
        }
        func transfer(
            _ address: UInt8, write: UnsafeRawBufferPointer, read: UnsafeMutableRawBufferPointer
        ) throws(I2CError) {}
        func writeByte(_ address: UInt8, _ value: UInt8) throws(I2CError) {}
        func readByte(_ address: UInt8, register: UInt8) throws(I2CError) -> UInt8 { 0 }
        func writeByte(_ address: UInt8, register: UInt8, _ value: UInt8) throws(I2CError) {}
        func readWord(_ address: UInt8, register: UInt8) throws(I2CError) -> UInt16 { 0 }
        func writeWord(_ address: UInt8, register: UInt8, _ value: UInt16) throws(I2CError) {}
        func readBlock(
            _ address: UInt8, register: UInt8, into buffer: UnsafeMutableRawBufferPointer
        ) throws(I2CError) {}
        func writeBlock(_ address: UInt8, register: UInt8, _ bytes: UnsafeRawBufferPointer) throws(I2CError) {}
    }

    @Test func anAdapterThatRefusesTheQuickCommandAfterAllReads() {
        #expect(BusScan(Boaster()).devices.map { $0.address } == [0x40])
    }

    @Test func anAdapterThatCanDoNeitherIsSaid() {
        bus.functions = .blocks
        let scan = BusScan(bus)
        #expect(scan.failure?.code == EOPNOTSUPP)
        #expect(bus.transfers == 0)
    }

    @Test func addressesOfTheKernelAreNamed() {
        bus.attach(SimulatedRegisterFile(), at: 0x68)
        bus.hold(0x68, by: "rtc-ds1307")
        bus.hold(0x1A, by: "wm8960")
        let scan = BusScan(bus) { $0 == 0x68 ? "rtc-ds1307" : nil }
        #expect(
            scan.devices == [
                BusScan.Device(address: 0x1A, state: .held(by: nil)),
                BusScan.Device(address: 0x68, state: .held(by: "rtc-ds1307")),
            ])
        #expect(bus.transfers == 0x70 - 2)
    }

    @Test func aBusThatIsHeldLowIsGivenUp() {
        bus.attach(SimulatedRegisterFile(), at: 0x09)
        var asked = 0
        bus.fault = { address in
            asked += 1
            return address > 0x10 ? .timeout : nil
        }
        let scan = BusScan(bus)
        #expect(scan.devices.map { $0.address } == [0x09])
        #expect(scan.failure == I2CError(bus: "i2c-1", address: 0x13, register: nil, code: ETIMEDOUT))
        #expect(asked == 9 + 3)
        // One that answers late now and then is no such bus.
        bus.fault = { $0 % 3 == 0 ? .timeout : nil }
        #expect(BusScan(bus).failure == nil)
    }

    @Test func functionsHaveNames() {
        #expect(BusFunctions.all.names.first == "plain I2C")
        #expect(BusFunctions(bits: 0).names.isEmpty)
        // i2c-stub on a Debian kernel.
        #expect(
            BusFunctions(bits: 0x0F7F_0000).names == [
                "quick", "byte", "byte data", "word data", "SMBus block", "I2C block",
            ])
        #expect(BusFunctions.all.has(.quick) && !BusFunctions.plain.has(.quick))
    }
}

/// What sysfs tells, on one that the test makes.
@Suite struct KernelSurveyTests {
    private let root: String
    private let survey: KernelSurvey

    init() throws {
        root = NSTemporaryDirectory() + "kedge-survey-\(UUID().uuidString)"
        survey = KernelSurvey(sys: root + "/sys", dev: root + "/dev")
        let manager = FileManager.default
        for (file, text) in [
            ("dev/i2c-10", ""), ("dev/i2c-1", ""), ("dev/i2c", ""), ("dev/null", ""), ("dev/gpiochip0", ""),
            ("dev/gpiochip11", ""), ("dev/gpiochip2", ""), ("sys/class/i2c-dev/i2c-1/name", "bcm2835 (i2c@7e804000)\n"),
            ("sys/bus/i2c/devices/1-0068/name", "ds3231\n"), ("sys/bus/i2c/devices/1-0069/name", "free\n"),
            ("sys/bus/i2c/devices/1-0008/name", "tiny\n"), ("sys/bus/i2c/drivers/rtc-ds1307/x", ""),
            ("sys/bus/i2c/drivers/tiny/x", ""),
        ] {
            let path = root + "/" + file
            try manager.createDirectory(
                atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            try text.write(toFile: path, atomically: true, encoding: .utf8)
        }
        for (link, target) in [
            ("sys/bus/i2c/devices/1-0068/driver", "../../../../bus/i2c/drivers/rtc-ds1307"),
            ("sys/bus/i2c/devices/1-0008/driver", "../../drivers/tiny"), ("dev/gpiochip4", "gpiochip0"),
            ("dev/garden", "i2c-1"),
        ] {
            try manager.createSymbolicLink(atPath: root + "/" + link, withDestinationPath: target)
        }
    }

    @Test func busesAreListedInOrderWithTheirAdapters() {
        defer { try? FileManager.default.removeItem(atPath: root) }
        #expect(
            survey.buses() == [
                FoundBus(name: "i2c-1", path: root + "/dev/i2c-1", adapter: "bcm2835 (i2c@7e804000)"),
                FoundBus(name: "i2c-10", path: root + "/dev/i2c-10", adapter: ""),
            ])
        // A link is a second name.
        #expect(survey.chips() == ["gpiochip0", "gpiochip2", "gpiochip11"])
        #expect(KernelSurvey(sys: root + "/none", dev: root + "/none").buses().isEmpty)
    }

    @Test func aKernelDriverIsNamed() {
        defer { try? FileManager.default.removeItem(atPath: root) }
        #expect(survey.holder(of: 0x68, on: root + "/dev/i2c-1") == "rtc-ds1307 (ds3231)")
        #expect(survey.holder(of: 0x68, on: root + "/dev/garden") == "rtc-ds1307 (ds3231)")
        #expect(survey.holder(of: 0x08, on: root + "/dev/i2c-1") == "tiny")
        #expect(survey.holder(of: 0x69, on: root + "/dev/i2c-1") == nil)
        #expect(survey.holder(of: 0x68, on: root + "/dev/i2c-10") == nil)
        #expect(survey.holder(of: 0x68, on: root + "/dev/null") == nil)
    }

    @Test func theGroupOfAFileIsNamed() throws {
        defer { try? FileManager.default.removeItem(atPath: root) }
        let path = root + "/dev/i2c-1"
        func set(_ mode: Int) throws {
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        }
        try set(0o660)
        let group = try #require(
            try FileManager.default.attributesOfItem(atPath: path)[.groupOwnerAccountName] as? String)
        #expect(
            SystemError(call: "open", code: EACCES, subject: path).busRemedy == "the user must be in the group \(group)"
        )
        try set(0o600)
        #expect(
            SystemError(call: "open", code: EACCES, subject: path).busRemedy
                == "no group may use \(path): a udev rule (60-kedge.rules) must give it to the group i2c")
        #expect(
            SystemError(call: "open", code: EACCES, subject: "/absent").busRemedy == "the user must be in the group i2c"
        )
    }

    @Test func aFileThatIsNoChipSaysSo() {
        // Whatever this machine has: nothing here must crash, and what cannot be opened says why.
        for chip in KernelGPIO(time: SystemTime()).survey() { #expect(!chip.label.isEmpty || chip.failure != nil) }
        _ = KernelHardware(time: SystemTime()).findBuses()
    }

    @Test func simulatedChipsAreSurveyed() throws {
        let loop = ManualLoop()
        let gpio = SimulatedGPIO(loop: loop)
        gpio.addChip(name: "gpiochip0", label: "pinctrl-test", lines: ["A", "", "C"])
        let line = try gpio.request(
            LineReference(chip: nil, line: .name("C")), LineSettings(direction: .output(active: true)))
        try gpio.occupy(LineReference(chip: nil, line: .name("A")), by: "led0")
        #expect(
            gpio.survey() == [
                FoundChip(
                    name: "gpiochip0", label: "pinctrl-test",
                    lines: [
                        FoundChip.Line(offset: 0, name: "A", consumer: "led0", isOutput: false),
                        FoundChip.Line(offset: 1, name: "", consumer: nil, isOutput: false),
                        FoundChip.Line(offset: 2, name: "C", consumer: "kedge", isOutput: true),
                    ])
            ])
        withExtendedLifetime(line) {}
        gpio.removeChip("gpiochip0")
        #expect(gpio.survey().isEmpty)
    }
}
