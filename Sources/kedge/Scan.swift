import CShim
import Hardware
import Platform
import Sensors

extension Subcommand {
    static var scan: Subcommand {
        Subcommand(
            name: "scan", summary: "find buses, chips and lines, as a configuration to paste", synopsis: "[options]",
            description: """
                Looks for I2C buses (/dev/i2c-*), what answers on them and which chip it is,
                and for GPIO chips and who holds their lines. Prints that as a configuration
                with comments, which `kedge check` accepts.

                Addresses are asked as carefully as i2cdetect does: with the bare address, and
                with the read of one byte at 0x30 to 0x37 and 0x50 to 0x5f. One that a driver of
                the kernel has is named and not asked. Where chips of an address have an id
                register, it is read; that begins with a write of the register's number, which
                all chips known to be there take well, but a multiplexer at 0x76 or 0x77 would
                switch: --no-identify leaves it out, and the chip is guessed by its address.

                Lines are looked at, never requested. Not while the agent runs, if its buses
                are slow: the two take turns. Exits with 69 when a bus or chip that is there
                cannot be used, or there is none at all.
                """,
            options: [
                Options.Option("bus", "NAME", "only this bus, such as i2c-1 or /dev/i2c-1; may be repeated"),
                Options.Option(flag: "no-gpio", "leave the GPIO chips out"),
                Options.Option(flag: "no-identify", "read no id registers"),
                Options.Option(flag: "simulated", "look at a simulated machine, to see what a scan looks like"),
                Options.Option(flag: "json", "print one JSON object: buses, gpio"),
            ],
            operands: 0...0,
            examples: """
                kedge scan
                kedge scan --bus i2c-1 --no-gpio > kedge.yaml
                """,
            body: runScan)
    }

    private static func runScan(_ options: Options) -> ExitCode {
        let hardware: any Hardware
        if options.has("simulated") {
            do throws(SystemError) {
                hardware = simulatedMachine(try EventLoop())
            } catch {
                writeLine(error.description, to: 2)
                return .failure
            }
        } else {
            hardware = KernelHardware(time: SystemTime())
        }
        let all = hardware.findBuses()
        var buses = all
        let wanted = options.all("bus")
        var failures: [String] = []
        if !wanted.isEmpty {
            buses = all.filter { contains(wanted, $0.name) || contains(wanted, $0.path) }
            for name in wanted where !all.contains(where: { sameBytes($0.name, name) || sameBytes($0.path, name) }) {
                let known = all.isEmpty ? absence : joined("there are ", list(all.map { $0.name }))
                failures.append(joined("no bus ", name, ": ", known))
            }
        }
        let survey = HardwareSurvey(
            hardware, buses: buses, gpio: !options.has("no-gpio"), reading: !options.has("no-identify"))
        for bus in survey.buses {
            if let failure = bus.failure { failures.append(joined(bus.found.name, ": ", failure)) }
        }
        for chip in survey.chips {
            if let failure = chip.failure { failures.append(joined(failure.description, remedy(failure))) }
        }
        if all.isEmpty && survey.chips.isEmpty && failures.isEmpty { failures.append(absence) }
        let report = ScanReport(survey)
        if options.has("json") { report.printJSON() } else { report.printConfiguration() }
        for failure in failures { writeLine(joined("kedge scan: ", failure), to: 2) }
        return failures.isEmpty ? .success : .unavailable
    }

    /// Why there may be no bus.
    private static var absence: String { SystemError(call: "open", code: ENOENT).busRemedy ?? "" }

    private static func remedy(_ error: SystemError) -> String {
        error.code == EACCES ? joined("; ", permissionRemedy(error.subject, group: "gpio")) : ""
    }

    /// What a scan might find on a Pi: a sensor of each kind that there is a twin of, a display, and a clock that the
    /// kernel has.
    private static func simulatedMachine(_ loop: EventLoop) -> SimulatedHardware {
        let hardware = SimulatedHardware(loop: loop)
        let bus = hardware.bus("i2c-1")
        attachSimulatedDevices(bus)
        bus.attach(SimulatedRegisterFile(), at: 0x3C)
        bus.hold(0x68, by: "rtc-ds1307 (ds3231)")
        return hardware
    }
}

/// Text that grows. Its methods are calls, so that what is put together of many parts costs little code.
private final class Page {
    private var bytes: [UInt8] = []

    @inline(never)
    func add(_ literal: StaticString) { literal.withUTF8Buffer { bytes.append(contentsOf: $0) } }

    /// Without control characters: names come from other programs, and a line feed in one would end its comment.
    @inline(never)
    func add(text: String) {
        for byte in text.utf8 { bytes.append(byte < 32 || byte == 127 ? UInt8(ascii: "?") : byte) }
    }

    @inline(never)
    func add(quoted text: String) { bytes.append(contentsOf: quotedJSON(text).utf8) }

    @inline(never)
    func add(number: Int) { add(text: decimal(number)) }

    /// Separates the elements of a list.
    @inline(never)
    func addComma(before index: Int) { if index > 0 { bytes.append(UInt8(ascii: ",")) } }

    func print() {
        _ = bytes.withUnsafeBytes { kedge_write_all(1, $0.baseAddress, $0.count) }
    }
}

@inline(never)
private func list(_ texts: [String]) -> String {
    var all = ""
    for text in texts {
        if !all.utf8.isEmpty { all += ", " }
        all += text
    }
    return all
}

/// What was found, as a configuration with comments or as JSON.
private final class ScanReport {
    private let survey: HardwareSurvey
    private let page = Page()
    /// The drivers of the sensors so far.
    private var drivers: [String] = []
    /// Whether the key `sensors` stands there; without elements it would be an empty one.
    private var hasSensors = false

    init(_ survey: HardwareSurvey) { self.survey = survey }

    // MARK: The configuration

    func printConfiguration() {
        page.add(
            """
            # What kedge scan has found, as a configuration: keep what you want, and try it with kedge check --hardware.
            node: ${env:KEDGE_NODE:-pi-01}
            kafka:
              all: { bootstrap.servers: "${env:KAFKA_BOOTSTRAP_SERVERS:-127.0.0.1:9092}" }

            """)
        var isFirst = true
        for bus in survey.buses {
            guard let functions = bus.functions else {
                page.add("# ")
                page.add(text: bus.found.name)
                page.add(": ")
                page.add(text: bus.failure ?? "")
                page.add("\n")
                continue
            }
            page.add(isFirst ? "\nbuses:\n  # " : "  # ")
            isFirst = false
            page.add(text: bus.found.adapter)
            if !bus.found.adapter.utf8.isEmpty { page.add(": ") }
            page.add(text: list(functions.names))
            page.add("\n  ")
            page.add(text: bus.found.name)
            page.add(": { path: ")
            page.add(text: bus.found.path)
            page.add(" }\n")
        }
        page.add("\n")
        // What can only be a comment comes first: below the key there is then at least one element.
        for bus in survey.buses where bus.functions != nil { addComments(bus) }
        for bus in survey.buses {
            for device in bus.devices {
                guard let driver = device.driver, let recognition = device.recognition else { continue }
                beginSensors()
                addSensor(string(driver), bus, device, recognition)
            }
        }
        addProcessor()
        for chip in survey.chips { addChip(chip) }
        addExamples()
        page.print()
    }

    private func beginSensors() {
        if !hasSensors { page.add("sensors:\n") }
        hasSensors = true
    }

    /// What is there but no sensor, or not for certain.
    private func addComments(_ bus: HardwareSurvey.Bus) {
        if let failure = bus.failure {
            addPlace(bus, nil)
            page.add(text: failure)
            page.add("\n")
        } else if bus.devices.isEmpty {
            addPlace(bus, nil)
            page.add("no device answers\n")
        }
        for device in bus.devices where device.driver == nil {
            addPlace(bus, device)
            if case .held(let holder) = device.state {
                page.add("in use by the kernel's driver ")
                page.add(text: holder ?? "(which is not known)")
            } else if let recognition = device.recognition {
                if !recognition.isCertain { page.add("likely ") }
                page.add(recognition.chip.name)
                page.add(", ")
                page.add(recognition.chip.what)
                if recognition.chip.isSupported {
                    page.add("; if it is one, driver: ")
                    page.add(recognition.chip.driver)
                } else if recognition.chip.actuator.utf8CodeUnitCount > 0 {
                    page.add("; if it is one, an actuator's driver: ")
                    page.add(recognition.chip.actuator)
                } else {
                    page.add("; kedge has no driver for it")
                }
            } else {
                page.add("answers; kedge does not know what it is")
            }
            page.add("\n")
        }
    }

    private func addPlace(_ bus: HardwareSurvey.Bus, _ device: HardwareSurvey.Device?) {
        page.add("# ")
        page.add(text: bus.found.name)
        if let device {
            page.add(" ")
            page.add(text: hexadecimal(device.address))
        }
        page.add(": ")
    }

    /// Its id is its driver's name, with a number from the second on.
    private func addSensor(
        _ driver: String, _ bus: HardwareSurvey.Bus, _ device: HardwareSurvey.Device, _ recognition: Recognition
    ) {
        page.add("  - { id: ")
        page.add(text: driver)
        var count = 1
        for other in drivers where sameBytes(other, driver) { count += 1 }
        drivers.append(driver)
        if count > 1 {
            page.add("-")
            page.add(number: count)
        }
        page.add(", driver: ")
        page.add(text: driver)
        page.add(", bus: ")
        page.add(text: bus.found.name)
        page.add(", address: ")
        page.add(text: hexadecimal(device.address))
        page.add(", every: 60s }   # ")
        page.add(recognition.chip.name)
        page.add(", ")
        page.add(recognition.chip.what)
        page.add("\n")
    }

    /// The processor's temperature, which every Pi has.
    private func addProcessor() {
        let path = "/sys/class/thermal/thermal_zone0/temp"
        if firstLine(path) == nil { return }
        beginSensors()
        page.add("  - { id: cpu, driver: sysfs, path: ")
        page.add(text: path)
        page.add(", scale: 0.001, unit: Cel, every: 30s }\n")
    }

    private func addChip(_ chip: FoundChip) {
        page.add("\n# ")
        page.add(text: chip.name)
        if let failure = chip.failure {
            page.add(": ")
            page.add(text: failure.description)
            page.add("\n")
            return
        }
        page.add(", ")
        page.add(text: chip.label)
        page.add(": ")
        page.add(number: chip.lines.count)
        page.add(" lines\n")
        for line in chip.lines {
            page.add("#   ")
            page.add(text: padded(decimal(Int(line.offset)), to: 4))
            page.add(text: padded(line.name, to: 20))
            page.add(line.isOutput ? "output" : "input")
            if let consumer = line.consumer {
                page.add(", in use by \"")
                page.add(text: consumer)
                page.add("\"")
            }
            page.add("\n")
        }
    }

    private func addExamples() {
        guard let chip = survey.chips.first(where: { $0.failure == nil }), let line = free(chip.lines) else { return }
        page.add("\n# A free line as a sensor, and as an actuator:\n")
        for isSensor in [true, false] {
            page.add(isSensor ? "#   - { id: door, driver: gpio, chip: " : "#   - { id: pump, driver: gpio, chip: ")
            page.add(text: chip.label)
            page.add(", line: ")
            page.add(number: Int(line.offset))
            page.add(isSensor ? ", edges: both, debounce: 20ms }\n" : ", safe: 0 }\n")
        }
    }

    /// A line that nobody has; the last one of a Pi's header, whose first ones have other uses.
    private func free(_ lines: [FoundChip.Line]) -> FoundChip.Line? {
        lines.last { $0.consumer == nil && $0.offset <= 27 } ?? lines.first { $0.consumer == nil }
    }

    // MARK: JSON

    func printJSON() {
        page.add("{\"buses\":[")
        for (index, bus) in survey.buses.enumerated() {
            page.addComma(before: index)
            addJSON(bus)
        }
        page.add("],\"gpio\":[")
        for (index, chip) in survey.chips.enumerated() {
            page.addComma(before: index)
            addJSON(chip)
        }
        page.add("]}\n")
        page.print()
    }

    /// `start`, which is a key with what separates it, and its text.
    private func add(_ start: StaticString, _ text: String) {
        page.add(start)
        page.add(quoted: text)
    }

    private func addJSON(_ bus: HardwareSurvey.Bus) {
        add("{\"name\":", bus.found.name)
        add(",\"path\":", bus.found.path)
        add(",\"adapter\":", bus.found.adapter)
        if let functions = bus.functions {
            page.add(",\"functions\":[")
            for (index, name) in functions.names.enumerated() {
                page.addComma(before: index)
                page.add(quoted: name)
            }
            page.add("]")
        }
        page.add(",\"devices\":[")
        for (index, device) in bus.devices.enumerated() {
            page.addComma(before: index)
            addJSON(device)
        }
        page.add("]")
        if let failure = bus.failure { add(",\"error\":", failure) }
        page.add("}")
    }

    private func addJSON(_ device: HardwareSurvey.Device) {
        page.add("{\"address\":")
        page.add(number: Int(device.address))
        if case .held(let holder) = device.state {
            if let holder { add(",\"kernel\":", holder) } else { page.add(",\"kernel\":null") }
        }
        if let recognition = device.recognition {
            add(",\"chip\":", string(recognition.chip.name))
            page.add(recognition.isCertain ? ",\"certain\":true" : ",\"certain\":false")
        }
        if let driver = device.driver { add(",\"driver\":", string(driver)) }
        page.add("}")
    }

    private func addJSON(_ chip: FoundChip) {
        add("{\"name\":", chip.name)
        add(",\"label\":", chip.label)
        page.add(",\"lines\":[")
        for (index, line) in chip.lines.enumerated() {
            page.addComma(before: index)
            page.add("{\"offset\":")
            page.add(number: Int(line.offset))
            add(",\"name\":", line.name)
            page.add(line.isOutput ? ",\"direction\":\"output\"" : ",\"direction\":\"input\"")
            if let consumer = line.consumer { add(",\"consumer\":", consumer) }
            page.add("}")
        }
        page.add("]")
        if let failure = chip.failure { add(",\"error\":", failure.description) }
        page.add("}")
    }
}
