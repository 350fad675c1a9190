import Agent
import CShim
import Configuration
import Hardware
import Kafka
import Outbox
import Platform

extension Subcommand {
    static var demo: Subcommand {
        Subcommand(
            name: "demo", summary: "show all of it at work, on simulated hardware", synopsis: "[options]",
            description: """
                Needs nothing but itself: runs an embedded broker, and an agent with a BME280 on a
                simulated I2C bus (read by the real driver), a door contact that somebody opens
                and closes, and a pump. It prints the records as a consumer receives them, and the
                way of a command to its reply with the milliseconds that it took.

                While it runs, another terminal can use `kedge watch` and `kedge send` with the
                broker's address that it prints.
                """,
            options: [
                Options.Option("for", "TIME", "end by itself after this time, such as 10s (it runs until Ctrl-C)"),
                Options.Option(flag: "configuration", "print the demonstration's configuration and end"),
                Options.Option(flag: "json", "print nothing but JSON objects"),
            ],
            operands: 0...0,
            examples: """
                kedge demo --for 10s
                kedge demo --configuration > kedge.yaml
                """,
            body: runDemo)
    }

    private static func runDemo(_ options: Options) -> ExitCode {
        guard let limit = options.limit() else { return Subcommand.demo.wrongUsage(Options.limitWanted) }
        if options.has("configuration") {
            writeLine(Demonstration.configuration(servers: "127.0.0.1:9092"), to: 1)
            return .success
        }
        return withLoop { loop, log in
            do throws(DemonstrationError) {
                let demonstration = try Demonstration(loop: loop, log: log, asJSON: options.has("json"))
                demonstration.start(limit: limit)
                loop.runUntilStopped(after: nil, log: log) { demonstration.stop() }
                demonstration.close()
                return demonstration.hasShownAll ? .success : .unavailable
            } catch {
                log.error(error.text)
                return .unavailable
            }
        }
    }
}

/// Why the demonstration cannot be given.
private struct DemonstrationError: Error {
    let text: String
}

/// The embedded broker, an agent on simulated hardware, a consumer and a sender, all in one process and one loop.
private final class Demonstration {
    /// Whether there were records and a command was answered.
    var hasShownAll: Bool { records > 0 && hasReply }

    private let loop: EventLoop
    private let log: Log
    private let asJSON: Bool
    private let cluster: MockCluster
    private let hardware: SimulatedHardware
    private let agent: Agent
    private let watcher: Watcher
    private let exchange: CommandExchange
    private let output = LineWriter()
    private var records = 0
    private var commands = 0
    private var hasReply = false
    private var isDoorOpen = false
    private var isStopping = false

    private static let door = LineReference(chip: "pinctrl-bcm2711", line: .offset(17))
    private static let pump = LineReference(chip: "pinctrl-bcm2711", line: .offset(27))

    /// The configuration of the agent that is shown.
    static func configuration(servers: String) -> String {
        """
        node: pi-demo
        layer: greenhouse
        clock: trust   # this machine's clock will do, with or without NTP
        kafka:
          all: { bootstrap.servers: "\(servers)" }
          producer: { linger.ms: 50 }
          consumer: { fetch.wait.max.ms: 10 }   # the embedded broker lets a fetch wait to its end
        buses:
          i2c-1: { simulated: true }
        sensors:
          - { id: greenhouse, driver: bme280, bus: i2c-1, address: 0x76, every: 1s }
          - { id: door, driver: gpio, chip: pinctrl-bcm2711, line: 17, edges: both }
        actuators:
          - { id: pump, driver: gpio, chip: pinctrl-bcm2711, line: 27, safe: 0, max_on: 10m }
        commands: { topics: [commands, "commands.{layer}", "commands.{node}"], replies: replies }
        """
    }

    init(loop: EventLoop, log: Log, asJSON: Bool) throws(DemonstrationError) {
        self.loop = loop
        self.log = log
        self.asJSON = asJSON
        do throws(MockClusterError) {
            cluster = try MockCluster.start(loop: loop, log: log)
        } catch {
            throw DemonstrationError(text: error.description)
        }
        let diagnostics = Diagnostics(file: "demonstration")
        let text = Self.configuration(servers: cluster.bootstrapServers)
        guard
            let settings = AgentSettings.decode(
                bytes: Array(text.utf8), environment: environment, diagnostics: diagnostics)
        else { throw DemonstrationError(text: diagnostics.lines.joined(separator: "\n")) }
        // A demonstration leaves no files behind, wherever it is given.
        settings.outbox.durability = .memory
        hardware = SimulatedHardware(loop: loop)
        let time = SystemTime()
        let chip = SimulatedBME280(time: time)
        // A day in the greenhouse takes a minute.
        chip.airNow = {
            let turn = Double(time.now.nanoseconds) / 60e9 * 2 * Double.pi
            return SimulatedAir(temperature: 21.5 + 4 * sin(turn), pressure: 101_325, humidity: 55 - 10 * sin(turn))
        }
        hardware.bus("i2c-1").attach(chip, at: 0x76)
        do throws(AgentError) {
            agent = try Agent(settings: settings, hardware: hardware, loop: loop, log: log)
        } catch {
            throw DemonstrationError(text: error.description)
        }
        do throws(KafkaError) {
            watcher = try Watcher(
                name: "kedge-demo", topic: "sensors", from: .beginning, properties: settings.kafka.consumer, loop: loop,
                log: log)
            exchange = try CommandExchange(
                settings: settings.kafka, topic: "commands.pi-demo", replies: "replies", loop: loop, log: log)
        } catch {
            throw DemonstrationError(text: error.description)
        }
    }

    func start(limit: Interval?) {
        say("broker at \(cluster.bootstrapServers), node pi-demo; sensors greenhouse (BME280) and door, actuator pump")
        watcher.onMessage = { [unowned(unsafe) self] message in
            records += 1
            if asJSON {
                _ = output.write(message.payload)
            } else {
                writeLine("record   \(text(message.payload))", to: 1)
            }
        }
        agent.onReceiving = { [unowned(unsafe) self] topic in
            if topic.isEqual(to: "commands.pi-demo") { switchPump() }
        }
        agent.start()
        moveDoor()
        say("waiting for the consumer of commands to join its group (about 3 s)")
        if let limit { loop.after(limit) { [unowned(unsafe) self] in endWhenShown(patience: 300) } }
    }

    /// The joining of the group may take longer than the time given: the demonstration is not over before a
    /// command was answered, or clearly will not be.
    private func endWhenShown(patience: Int) {
        if hasShownAll || patience == 0 {
            stop()
        } else {
            loop.after(.milliseconds(100)) { [unowned(unsafe) self] in endWhenShown(patience: patience - 1) }
        }
    }

    private func moveDoor() {
        if isStopping { return }
        do throws(GPIOError) {
            try hardware.simulatedGPIO.set(Self.door, active: isDoorOpen)
        } catch {
            log.warning(error.description)
        }
        isDoorOpen.toggle()
        loop.after(.milliseconds(1_500)) { [unowned(unsafe) self] in moveDoor() }
    }

    private func switchPump() {
        if isStopping { return }
        commands += 1
        let payload = "{\"id\":\"demo-\(commands)\",\"actuator\":\"pump\",\"value\":1,\"for\":\"2s\"}"
        if !asJSON { writeLine("command  \(payload)", to: 1) }
        let before = loop.time.now
        exchange.send(id: "demo-\(commands)", payload: Array(payload.utf8)) { [unowned(unsafe) self] reply in
            hasReply = hasReply || reply.isDone
            if asJSON {
                writeLine(
                    "{\"command\":\(payload),\"reply\":\(reply.text),\"milliseconds\":\(milliseconds(reply.after))}",
                    to: 1)
                return
            }
            if let moved = lastMove(), moved > before {
                writeLine("pump     GPIO 27 went high \(milliseconds(moved - before)) ms after the command", to: 1)
            }
            writeLine("reply    \(reply.text)  after \(milliseconds(reply.after)) ms", to: 1)
        }
        loop.after(.seconds(5)) { [unowned(unsafe) self] in switchPump() }
    }

    /// When the pump's line was driven high last.
    private func lastMove() -> Instant? {
        do throws(GPIOError) {
            return try hardware.simulatedGPIO.history(Self.pump).last { $0.high == true }?.timestamp
        } catch {
            return nil
        }
    }

    func stop() {
        if isStopping { return }
        isStopping = true
        agent.stop { [unowned(unsafe) self] left in
            say("stopped: \(agent.status)\(left > 0 ? ", \(left) left unsent" : "")")
            loop.stop()
        }
    }

    func close() {
        agent.close()
        exchange.close()
        watcher.close()
        cluster.close()
    }

    private func say(_ text: String) { log.info(text) }

    private func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }
}
