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

@inline(never)
func list(_ texts: [String]) -> String {
    var all = ""
    for text in texts {
        if !all.utf8.isEmpty { all += ", " }
        all += text
    }
    return all
}
