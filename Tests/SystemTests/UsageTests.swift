import Foundation
import Testing

/// What a user meets before anything runs.
@Suite struct UsageTests {
    @Test(arguments: ["run", "check", "read", "scan", "watch", "send", "keygen", "outbox", "broker", "demo"])
    func helpDescribesTheCommandAndSucceeds(name: String) throws {
        let result = try KedgeProcess.run(name, "--help")
        #expect(result.code == 0)
        let text = result.output.joined(separator: "\n")
        for heading in [
            "NAME\n    kedge \(name) - ", "SYNOPSIS\n    kedge \(name)", "DESCRIPTION", "EXIT STATUS", "EXAMPLES",
        ] {
            #expect(text.contains(heading), "\(heading) is missing in:\n\(text)")
        }
        #expect(result.output.allSatisfy { $0.utf8.count <= 100 })
        #expect(result.errors.isEmpty)
    }

    @Test func theOverviewListsEveryCommand() throws {
        let result = try KedgeProcess.run("--help")
        #expect(result.code == 0)
        for name in ["run", "check", "read", "scan", "watch", "send", "keygen", "outbox", "broker", "demo"] {
            #expect(result.output.contains { $0.hasPrefix("  \(name) ") })
        }
    }

    @Test(arguments: [
        [], ["fly"], ["run", "--fly"], ["run", "a", "b"], ["watch"], ["send", "pump"],
        ["send", "pump", "1", "--expect", "0"],
        ["send", "pump", "1", "--priority", "256"], ["send", "--for", "1s"], ["send", "--safe"],
        ["send", "pump", "1", "--query"], ["send", "pump", "1", "--key-id", "a"],
        ["send", "pump", "--safe", "--query"], ["send", "pump", "--safe", "--for", "5s"],
        ["send", "*", "--query", "--for", "5s"], ["send", "pump", "1", "--for", "25h"], ["send", "*", "1"],
        ["send", "pump", "1", "--id", ""], ["send", "pump", "1", "--id", String(repeating: "x", count: 129)],
        ["watch", "sensors", "-b", ""], ["watch", "sensors", "-b", "h:99999"], ["send", "pump", "1", "-b", "x y:1"],
        ["broker", "--listen", "nonsense", "--for", "10ms"], ["broker", "--listen", "0.0.0.0", "--for", "10ms"],
        ["keygen"], ["keygen", "--type", "rsa", "a"], ["keygen", "--type", "ed25519", "--id", "a"],
        ["keygen", "--id", "a:b"], ["broker", "-n", "none"],
        ["broker", "-n"], ["demo", "--for", "5 parsecs"], ["watch", "sensors", "--for", "5"],
        ["watch", "sensors", "--from", "the moon"], ["watch", "a b", "-b", "127.0.0.1:1"], ["scan", "i2c-1"],
        ["scan", "--bus"], ["check", "--hardware=yes"],
        ["outbox"], ["outbox", "fly", "--path", "x"], ["outbox", "drop", "--path", "x"],
        ["outbox", "recover", "--path", "x"],
    ])
    func wrongUsageEndsWith64AndSaysWhy(arguments: [String]) throws {
        let process = try KedgeProcess(arguments)
        #expect(try process.exitCode() == 64)
        #expect(process.outputLines.isEmpty)
        #expect(!process.errorLines.isEmpty)
    }

    /// It asked for the configuration first, which need not be there.
    @Test(arguments: ["fly", "recover", "drop"])
    func theActionOnTheOutboxIsLookedAtBeforeItsFile(action: String) throws {
        let result = try KedgeProcess.run("outbox", action, "--config", "/absent/kedge.yaml")
        #expect(result.code == 64)
        #expect(result.errors.contains { $0.contains("stat|verify|dump|recover|drop") })
    }

    @Test func aWrongConfigurationEndsWith78AndNamesEveryPlace() throws {
        let folder = try TemporaryFolder()
        let file = try folder.file(
            "kedge.yaml",
            """
            node: pi-01
            kafka:
              all: { bootstrap.servers: "127.0.0.1:9092", linger.msec: 5 }
            sensors:
              - { id: a, driver: sim, every: 5 parsecs }
              - { id: b, driver: simm, every: 5s }
              - { id: c, driver: gpio, line: 17, edges: both }
              - { id: c, driver: sim, every: 5s }
            actuators:
              - { id: pump, driver: gpio, line: 17, save: 0 }
            """)
        for command in ["check", "run", "read"] {
            let result = try KedgeProcess.run(command, file)
            #expect(result.code == 78)
            let text = result.errors.joined(separator: "\n")
            for expected in [
                "\(file):3:60: linger.msec is no property of librdkafka, did you mean linger.ms?",
                "\(file):5:34: sensors[0].every is \"5 parsecs\", expected a duration such as 500ms",
                "\(file):6:22: sensors[1].driver is \"simm\", expected bme280, bmp280, gpio",
                "\(file):8:11: the name \"c\" is taken by the sensor at line 7",
                "\(file):10:37: actuator pump: GPIO gpiochip0 17 is used by sensor c already",
                "\(file):10:41: actuators[0].save is no known key, did you mean safe?",
            ] {
                #expect(text.contains(expected), "\(command): \(expected) is missing in:\n\(text)")
            }
        }
    }

    /// They came to light only when a client was made: `run` ended with 69, and was started again for ever.
    @Test(arguments: [
        ("message.timeout.ms: 100, linger.ms: 5000", "5:25: message.timeout.ms: \"100\": "),
        (
            "ssl.ca.location: /absent.pem, security.protocol: ssl",
            "5:22: ssl.ca.location: \"/absent.pem\": No such file"
        ),
        (
            "security.protocol: sasl_ssl, sasl.mechanism: PLAIN",
            "3:3: kafka: sasl.username and sasl.password must be set"
        ),
        ("max.poll.interval.ms: 1", "5:27: max.poll.interval.ms: \"1\": "),
        ("group.id: ''", "5:15: group.id is empty"),
        (
            "session.timeout.ms: 5s",
            "5:25: session.timeout.ms: \"5s\", expected a whole number from 1 to 3600000 (ms), such as 5000"
        ),
        (
            "linger.ms: 5, queue.buffering.max.ms: 6",
            "6:29: queue.buffering.max.ms is the same property as linger.ms at line 5"
        ),
    ])
    func propertiesThatContradictEachOtherEndWith78(properties: String, expected: String) throws {
        let folder = try TemporaryFolder()
        let file = try folder.file(
            "kedge.yaml",
            """
            node: pi-01
            kafka:
              all:
                bootstrap.servers: "127.0.0.1:1"
            """ + "\n    " + properties.replacingOccurrences(of: ", ", with: "\n    ") + "\n")
        for command in ["check", "run"] {
            let result = try KedgeProcess.run(command, file)
            #expect(result.code == 78)
            #expect(result.errors.count == 1)
            #expect(result.errors.first?.hasPrefix("\(file):\(expected)") == true, "\(command): \(result.errors)")
        }
    }

    /// Without `--port`, `--listen` had no effect.
    @Test func theBrokerListensWhereItIsToldWithAnyPort() throws {
        let result = try KedgeProcess.run("broker", "--listen", "127.0.0.3", "-n", "2", "--for", "10ms")
        #expect(result.code == 0)
        let servers = result.output.joined().dropFirst("bootstrap.servers=".count).split(separator: ",")
        #expect(servers.count == 2 && servers.allSatisfy { $0.hasPrefix("127.0.0.3:") }, "\(result.output)")
    }

    /// `TransactionTests` shows that it is true.
    @Test func theBrokersHelpSaysThatTransactionsAreNotIsolated() throws {
        let text = try KedgeProcess.run("broker", "--help").output.joined(separator: " ")
        #expect(text.contains("no isolation of transactions"))
    }

    @Test func theHardwareOfActuatorsIsAskedFor() throws {
        let folder = try TemporaryFolder()
        let file = try folder.file(
            "kedge.yaml",
            """
            node: pi-01
            kafka: { all: { bootstrap.servers: "127.0.0.1:9092" } }
            buses: { desk: { simulated: true } }
            actuators:
              - { id: there, driver: sim }
              - { id: other, driver: pca9685, bus: desk, address: 0x77, channel: 3 }
              - { id: absent, driver: mcp23017, bus: desk, address: 0x21, line: 3 }
              - { id: fan, driver: pwm, chip: \(folder.path)/pwmchip0, channel: 0 }
            """)
        let result = try KedgeProcess.run("check", "--hardware", file)
        #expect(result.code == 69)
        #expect(result.output.contains("actuator there: ok"))
        #expect(
            result.errors.contains(
                "actuator other: desk 0x77: wrong chip: expected one for the driver pca9685, found a BMP280"))
        #expect(result.errors.contains { $0.hasPrefix("actuator absent: desk 0x21: no acknowledge") })
        #expect(result.errors.contains("actuator fan: \(folder.path)/pwmchip0: not there"))
    }

    @Test func anAbsentConfigurationIsNamed() throws {
        let result = try KedgeProcess.run("check", "/absent/kedge.yaml")
        #expect(result.code == 78)
        #expect(result.errors.contains { $0.contains("/absent/kedge.yaml: No such file or directory") })
    }

    @Test func brokersOfTheEnvironmentAreNamedByTheirVariable() throws {
        let process = try KedgeProcess(
            ["watch", "sensors", "--for", "1s"], environment: ["KAFKA_BOOTSTRAP_SERVERS": "here:99999"])
        #expect(try process.exitCode() == 78)
        let expected = "KAFKA_BOOTSTRAP_SERVERS: \"here:99999\" has a port that is not a number from 1 to 65535, "
        #expect(process.errorLines.first?.hasPrefix(expected) == true)
    }
}
