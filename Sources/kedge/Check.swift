import Actuators
import Agent
import CShim
import Configuration
import Hardware
import Platform
import Records
import Sensors

extension Subcommand {
    static var check: Subcommand {
        Subcommand(
            name: "check", summary: "check a configuration", synopsis: "[options] [CONFIG]",
            description: """
                Reads CONFIG (/etc/kedge/kedge.yaml) as `kedge run` would and reports every
                mistake in it as FILE:LINE:COLUMN: what, what was expected. Kafka properties
                that contradict each other, an incomplete login and certificates that are not
                there are mistakes, too. Brokers are not asked. An outbox.path or commands.path
                in a folder that is not there is a warning: this may be another machine.

                With --hardware every sensor is measured once, each bus opened, and each
                actuator's line, chip or PWM channel looked at (it is not driven): what does
                not answer, or may not be used, is named,
                with what is wrong: no such bus, file, chip or line, no permission and the
                group that would give it, a line's or an address's present holder, another
                chip than the driver's, or the address at which the chip answers instead.
                A line that the running agent holds itself counts as there.
                """,
            options: [
                Options.Option(flag: "hardware", "ask every configured device, too"),
                Options.Option(flag: "json", "print one JSON object: file, ok, problems, warnings, devices"),
            ],
            operands: 0...1,
            examples: """
                kedge check kedge.yaml
                kedge check --hardware /etc/kedge/kedge.yaml
                """,
            body: runCheck)
    }

    private static func runCheck(_ options: Options) -> ExitCode {
        let path = options.operands.first ?? defaultConfiguration
        var report = CheckReport(path: path, asJSON: options.has("json"))
        let diagnostics = Diagnostics(file: path)
        var settings: AgentSettings?
        do throws(SystemError) {
            settings = try AgentSettings.load(
                path, environment: environment, tryingClients: true, diagnostics: diagnostics)
        } catch {
            report.unreadable(error)
            return .configuration
        }
        guard let settings, diagnostics.isEmpty else {
            report.wrong(diagnostics)
            return .configuration
        }
        report.warnings = diagnostics.warnings
        if !report.asJSON {
            for warning in diagnostics.warnings {
                writeLine(joined("warning: ", diagnostics.line(warning)), to: 2)
            }
        }
        guard options.has("hardware") else {
            report.right(settings)
            return .success
        }
        return withLoop(level: .error) { loop, log in
            guard let devices = inspect(settings, loop, log) else { return .failure }
            report.right(settings, devices: devices)
            return devices.allSatisfy { $0.error == nil } ? .success : .unavailable
        }
    }

    private static func inspect(_ settings: AgentSettings, _ loop: EventLoop, _ log: Log) -> [HardwareCheck.Device]? {
        let hardware = KernelHardware(time: loop.time, attach: attachSimulatedDevices)
        var devices: [HardwareCheck.Device]?
        do throws(SystemError) {
            let check = try HardwareCheck.start(settings, hardware: hardware, loop: loop, log: log) {
                devices = $0
                loop.stop()
            }
            withExtendedLifetime(check) { loop.runUntilStopped(after: nil, log: log) }
        } catch {
            log.error(error.description)
        }
        return devices
    }
}

/// What `kedge check` has found, in words or as JSON.
private struct CheckReport {
    let path: String
    let asJSON: Bool
    var warnings: [Diagnostics.Problem] = []

    func unreadable(_ error: SystemError) {
        if asJSON {
            writeJSON(ok: false, problems: [(nil, error.reason)])
        } else {
            writeLine("\(path): \(error.reason)", to: 2)
        }
    }

    func wrong(_ diagnostics: Diagnostics) {
        if asJSON {
            writeJSON(ok: false, problems: diagnostics.problems.map { ($0.mark, $0.text) })
        } else {
            for line in diagnostics.lines { writeLine(line, to: 2) }
        }
    }

    func right(_ settings: AgentSettings, devices: [HardwareCheck.Device] = []) {
        let isOK = devices.allSatisfy { $0.error == nil }
        if asJSON {
            writeJSON(ok: isOK, problems: [], devices: devices)
            return
        }
        for device in devices {
            if let error = device.error {
                writeLine("\(device.name): \(error)", to: 2)
            } else {
                writeLine("\(device.name): ok", to: 1)
            }
        }
        let failed = devices.reduce(0) { $0 + ($1.error == nil ? 0 : 1) }
        let counts =
            "\(settings.sensors.count) sensors, \(settings.channelCount) channels, \(settings.actuators.count) actuators"
        writeLine(
            failed == 0 ? "\(path): ok: \(counts)" : "\(path): \(failed) devices do not answer", to: failed == 0 ? 1 : 2
        )
    }

    private func writeJSON(ok: Bool, problems: [(Mark?, String)], devices: [HardwareCheck.Device] = []) {
        var line = "{\"file\":\(quotedJSON(path)),\"ok\":\(ok),\"problems\":[\(list(problems))],\"warnings\":["
        line += list(warnings.map { ($0.mark, $0.text) }) + "],\"devices\":["
        for (index, device) in devices.enumerated() {
            let error = device.error.map { ",\"error\":\(quotedJSON($0))" } ?? ""
            line +=
                "\(index == 0 ? "" : ","){\"device\":\(quotedJSON(device.name)),\"ok\":\(device.error == nil)\(error)}"
        }
        writeLine(line + "]}", to: 1)
    }

    private func list(_ problems: [(Mark?, String)]) -> String {
        var list = ""
        for (index, problem) in problems.enumerated() {
            let place = problem.0.map { "\"line\":\($0.line),\"column\":\($0.column)," } ?? ""
            list += "\(index == 0 ? "" : ","){\(place)\"text\":\(quotedJSON(problem.1))}"
        }
        return list
    }
}

/// `text` as a JSON string, quotes included.
func quotedJSON(_ text: String) -> String {
    let memory = UnsafeMutableRawBufferPointer.allocate(
        byteCount: JSONString.maximumBytes(utf8Count: text.utf8.count), alignment: 1)
    defer { memory.deallocate() }
    var writer = ByteWriter(memory)
    JSONString.write(text, to: &writer)
    return String(decoding: writer.written, as: UTF8.self)
}
