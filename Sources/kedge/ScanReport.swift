import CShim
import Hardware
import Platform
import Sensors

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

/// What was found, as a configuration with comments or as JSON.
final class ScanReport {
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
        guard let chip = survey.chips.first(where: { $0.failure == nil }) else { return }
        let lines = free(chip.lines)
        if lines.isEmpty { return }
        page.add("\n# A free line as a sensor")
        page.add(lines.count > 1 ? ", and one as an actuator:\n" : ":\n")
        for (index, line) in lines.prefix(2).enumerated() {
            page.add(index == 0 ? "#   - { id: door, driver: gpio, chip: " : "#   - { id: pump, driver: gpio, chip: ")
            page.add(text: chip.label)
            page.add(", line: ")
            page.add(number: Int(line.offset))
            page.add(index == 0 ? ", edges: both, debounce: 20ms }\n" : ", safe: 0 }\n")
        }
    }

    /// Lines that nobody has; those of a Pi's header first, from the last one on, since its first ones have other uses.
    private func free(_ lines: [FoundChip.Line]) -> [FoundChip.Line] {
        let free = lines.filter { $0.consumer == nil }
        return free.filter { $0.offset <= 27 }.reversed() + free.filter { $0.offset > 27 }
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
