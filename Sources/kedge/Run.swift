import Agent
import CShim
import Configuration
import Hardware
import Kafka
import Platform

/// Where the configuration is looked for when none is named.
let defaultConfiguration = "/etc/kedge/kedge.yaml"

/// Reads and checks a configuration; everything that is wrong with it goes to standard error.
///
/// - Parameter tryingClients: for `kedge run`; see `AgentSettings.decode`.
func loadConfiguration(_ path: String, tryingClients: Bool = false) -> AgentSettings? {
    let diagnostics = Diagnostics(file: path)
    do throws(SystemError) {
        let settings = try AgentSettings.load(
            path, environment: environment, tryingClients: tryingClients, diagnostics: diagnostics)
        for line in diagnostics.lines { writeLine(line, to: 2) }
        return diagnostics.isEmpty ? settings : nil
    } catch {
        writeLine("\(path): \(error.reason)", to: 2)
        return nil
    }
}

extension Subcommand {
    static var run: Subcommand {
        Subcommand(
            name: "run", summary: "run the agent", synopsis: "[options] [CONFIG]",
            description: """
                Reads the sensors, delivers their records to Kafka and carries out commands, as
                CONFIG (/etc/kedge/kedge.yaml) says, until SIGTERM, SIGINT or SIGHUP: then
                sampling ends, actuators go to their safe values, and what is queued is sent
                for at most `stop_within` (10 s) or goes to the disk. A second signal ends at
                once.

                It starts without a broker and waits for it. Messages go to standard error,
                with priorities when the journal reads them. Under systemd it notifies
                readiness and answers the watchdog.
                """,
            options: [Options.Option("for", "TIME", "end by itself after this time, such as 1h")],
            operands: 0...1,
            examples: """
                kedge run kedge.yaml
                KAFKA_BOOTSTRAP_SERVERS=broker:9092 kedge run kedge.yaml --for 10m
                """,
            body: runAgent)
    }

    private static func runAgent(_ options: Options) -> ExitCode {
        guard let limit = options.limit() else { return Subcommand.run.wrongUsage(Options.limitWanted) }
        let path = options.operands.first ?? defaultConfiguration
        guard let settings = loadConfiguration(path, tryingClients: true) else { return .configuration }
        return withLoop(level: settings.logLevel) { loop, log in
            do throws(AgentError) {
                let hardware = KernelHardware(time: loop.time, attach: attachSimulatedDevices)
                // STATE_DIRECTORY is systemd's word for /var/lib/kedge; it separates several with colons.
                let directory = environment("STATE_DIRECTORY").map {
                    String(decoding: Array($0.utf8.prefix { $0 != UInt8(ascii: ":") }), as: UTF8.self)
                }
                let agent = try Agent(
                    settings: settings, hardware: hardware, stateDirectory: directory, loop: loop, log: log)
                let stall = StallGuard(loop: loop)
                let service = ServiceNotifier(loop: loop, log: log)
                var stored: Int?
                stall.start()
                var fenced: KafkaError?
                agent.onFenced = { [unowned(unsafe) agent] error in
                    fenced = error
                    service.stopping()
                    agent.stop(sending: false) {
                        stored = $0
                        loop.stop()
                    }
                }
                agent.start()
                service.ready(status: agent.status)
                loop.runUntilStopped(after: limit, log: log) {
                    service.stopping()
                    agent.stop {
                        stored = $0
                        loop.stop()
                    }
                }
                // Before the clients are closed, which gives back what they still hold.
                let summary = agent.status
                // A second signal, or the end of the loop itself, ends before what waits is stored.
                let left = stored ?? agent.unstoredCount
                stall.stop()
                agent.close()
                if let fenced {
                    log.error(
                        joined(
                            "stopped: another agent has taken the place of node ", settings.node, " (", fenced.name,
                            "): give each node a name of its own, then start this one again; ", summary,
                            left > 0 ? joined("; ", decimal(left), " records are lost, not being on a disk") : ""))
                    return .fenced
                }
                log.info("stopped: \(summary), \(resourceUse())")
                if left > 0 {
                    log.error("\(left) records are lost: no acknowledgement within stop_within, and not on a disk")
                }
                return left == 0 ? .success : .left
            } catch {
                log.error(error.description)
                // As it may be in spite of the trial: a certificate that has gone away since.
                if case .kafka(let cause) = error, cause.isWrongConfiguration { return .configuration }
                return .unavailable
            }
        }
    }

    /// The processor time and the peak resident memory of this process, in words.
    private static func resourceUse() -> String {
        var usage = rusage()
        guard kedge_resource_usage(&usage) == 0 else { return "" }
        let milliseconds =
            Int64(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1_000
            + Int64(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1_000
        return "\(milliseconds) ms of CPU, \(usage.ru_maxrss) KiB at most"
    }

    /// What hangs on a bus with `simulated: true`: one of each chip that there is a twin of, at its usual address.
    static func attachSimulatedDevices(_ bus: SimulatedI2CBus) {
        bus.attach(SimulatedBME280(), at: 0x76)
        bus.attach(SimulatedBMP280(), at: 0x77)
    }
}
