import CShim
import Foundation
import Hardware
import Platform
import Testing

/// What the kernel's hardware says where there is none. The lines and buses themselves are exercised in a virtual
/// machine with gpio-sim and i2c-stub.
@Suite struct KernelHardwareTests {
    private let gpio = KernelGPIO(time: SystemTime())

    private func cause(_ chip: String?, _ line: LineReference.Line, _ settings: LineSettings) -> GPIOError.Cause? {
        let reference = LineReference(chip: chip, line: line)
        let error = failure(GPIOError.self) { () throws(GPIOError) in _ = try gpio.request(reference, settings) }
        if let error { #expect(error.line == reference) }
        return error?.cause
    }

    @Test(arguments: ["/dev/gpiochip-absent", "gpiochip-absent", "pinctrl-absent", "/no/such/path"])
    func anAbsentChip(_ chip: String) {
        #expect(cause(chip, .offset(17), LineSettings(direction: .input)) == .noSuchChip)
        #expect(cause(chip, .name("GPIO17"), LineSettings(direction: .output(active: true))) == .noSuchChip)
    }

    @Test(arguments: ["/dev/null", "null", "/etc/passwd", "../etc/passwd"])
    func aFileThatIsNoChip(_ chip: String) {
        let reference = LineReference(chip: chip, line: .offset(17))
        let error = failure(GPIOError.self) { () throws(GPIOError) in
            _ = try gpio.request(reference, LineSettings(direction: .input))
        }
        #expect(error?.cause == .noSuchChip)
        #expect(error?.description.hasPrefix("GPIO \(chip) 17: no such GPIO chip") == true)
    }

    @Test func whatNoLineCanDoIsRefusedBeforeTheKernelIsAsked() {
        let edges = LineSettings(direction: .output(active: false), edges: .both)
        #expect(cause("absent", .offset(1), edges) == .unsupported("edge detection on an output"))
        let debounced = LineSettings(direction: .output(active: false), debounce: .milliseconds(5))
        #expect(cause("absent", .offset(1), debounced) == .unsupported("debouncing an output"))
    }

    @Test func aFailureLeaksNoDescriptor() throws {
        func open() throws -> Int { try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count }
        let before = try open()
        for _ in 0..<500 {
            _ = cause("/dev/null", .offset(1), LineSettings(direction: .input))
            _ = failure(SystemError.self) { () throws(SystemError) in
                _ = try KernelI2CBus.open(name: "i2c-1", path: "/dev/null")
            }
        }
        // Other tests open a few of their own meanwhile.
        #expect(try open() < before + 400)
    }

    @Test func anAbsentBus() {
        let hardware = KernelHardware(time: SystemTime())
        let error = failure(SystemError.self) { () throws(SystemError) in
            _ = try hardware.openBus(BusSettings(name: "i2c-7", path: "/dev/i2c-absent"))
        }
        #expect(error == SystemError(call: "open", code: ENOENT, subject: "/dev/i2c-absent"))
        #expect(error?.busRemedy?.contains("enable I2C") == true)
    }

    @Test func aFileThatIsNoBus() {
        let error = failure(SystemError.self) { () throws(SystemError) in
            _ = try KernelI2CBus.open(name: "i2c-1", path: "/dev/null")
        }
        #expect(error == SystemError(call: "ioctl I2C_FUNCS", code: ENOTTY, subject: "/dev/null"))
        #expect(error?.description.hasPrefix("ioctl I2C_FUNCS /dev/null: ") == true)
        #expect(error?.busRemedy?.contains("not an I2C bus") == true)
    }

    @Test func aReasonForABusNotToOpenHasARemedyOrNone() {
        #expect(SystemError(call: "open", code: EACCES).busRemedy == "the user must be in the group i2c")
        #expect(SystemError(call: "open", code: ENODEV).busRemedy != nil)
        #expect(SystemError(call: "open", code: EMFILE).busRemedy == nil)
    }

    @Test func aBusWithoutAPathIsSimulatedWithTheDevicesGivenToIt() throws {
        let hardware = KernelHardware(time: SystemTime()) { bus in
            if bus.name == "bench" { bus.attach(SimulatedBME280(), at: 0x76) }
        }
        let bus = try hardware.openBus(BusSettings(name: "bench", path: nil))
        #expect(bus.name == "bench")
        #expect(try bus.readByte(0x76, register: 0xD0) == 0x60)
        let other = try hardware.openBus(BusSettings(name: "other", path: nil))
        #expect(throws: I2CError.self) { try other.readByte(0x76, register: 0xD0) }
    }

    @Test func anI2CErrorSaysWhereAndWhat() {
        let error = I2CError(bus: "i2c-1", address: 0x76, register: 0xD0, code: EREMOTEIO)
        #expect(error.description == "i2c-1 0x76 register 0xd0: no acknowledge (errno 121)")
        let plain = I2CError(bus: "i2c-1", address: 0x08, register: nil, code: ETIMEDOUT)
        #expect(plain.description == "i2c-1 0x08: timed out (errno 110)")
    }
}
