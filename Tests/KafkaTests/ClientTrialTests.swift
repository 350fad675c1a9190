import Configuration
import Foundation
import Platform
import Testing

@testable import Kafka

/// What librdkafka says only when a client is made.
@Suite struct ClientTrialTests {
    private func property(_ name: String, _ value: String, line: Int, isSecret: Bool = false) -> Property {
        Property(name: name, value: value, mark: Mark(line: line, column: 5), isSecret: isSecret)
    }

    /// What the trial of clients with these properties, one on each line from 10 on, reports.
    private func problems(
        _ pairs: KeyValuePairs<String, String>, secret: String? = nil, delivery: DeliverySettings = DeliverySettings(),
        bootstrap: String = "127.0.0.1:1"
    ) -> [String] {
        let diagnostics = Diagnostics(file: "kedge.yaml")
        let properties = pairs.enumerated().map {
            property($1.key, $1.value, line: 10 + $0, isSecret: $1.key == secret)
        }
        let settings = KafkaSettings(
            all: [property("bootstrap.servers", bootstrap, line: 9)] + properties, producer: [], consumer: [],
            mark: Mark(line: 8, column: 1), diagnostics: diagnostics)
        #expect(diagnostics.lines == [], "one by one they are right")
        settings.tryClients(
            name: "kedge-a", delivery: delivery, mark: Mark(line: 8, column: 1), diagnostics: diagnostics)
        return diagnostics.lines
    }

    @Test(arguments: [.atLeastOnce, .exactlyOnce] as [DeliverySettings.Mode])
    func whatAgreesIsNotReported(_ mode: DeliverySettings.Mode) {
        #expect(problems([:], delivery: DeliverySettings(mode: mode)) == [])
        #expect(
            problems(
                ["linger.ms": "50", "message.timeout.ms": "5000", "max.poll.interval.ms": "60000"],
                delivery: DeliverySettings(mode: mode)) == [])
    }

    @Test func aContradictionIsReportedAtTheFirstPropertyThatIsNamed() {
        #expect(
            problems(["linger.ms": "5000", "message.timeout.ms": "100"]) == [
                "kedge.yaml:11:5: message.timeout.ms: \"100\": `message.timeout.ms` must be greater than `linger.ms`"
            ])
        // By their other names.
        #expect(
            problems(["queue.buffering.max.ms": "5000", "delivery.timeout.ms": "100"]) == [
                "kedge.yaml:11:5: delivery.timeout.ms: \"100\": `message.timeout.ms` must be greater than `linger.ms`"
            ])
    }

    @Test func whatContradictsADefaultIsToldTheDefault() throws {
        let line = try #require(problems(["max.poll.interval.ms": "1"]).first)
        #expect(line.hasPrefix("kedge.yaml:10:5: max.poll.interval.ms: \"1\": "))
        #expect(line.hasSuffix("; session.timeout.ms is 10000 where nothing is set"))
        #expect(
            problems(["message.timeout.ms": "100"]).first?.hasSuffix("; linger.ms is 200 where nothing is set") == true)
    }

    @Test(arguments: ["ssl.ca.location", "ssl.certificate.location", "ssl.key.location"])
    func aFileThatIsNotThereIsNamed(_ name: String) {
        let path = "/absent/\(UUID().uuidString).pem"
        #expect(
            problems(["security.protocol": "ssl", name: path])
                == ["kedge.yaml:11:5: \(name): \"\(path)\": No such file or directory"])
    }

    @Test func anIncompleteLoginIsReported() {
        let words = "sasl.username and sasl.password must be set"
        let login: KeyValuePairs = ["security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN"]
        #expect(problems(login) == ["kedge.yaml:8:1: kafka: \(words)"])
        #expect(
            problems(["security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN", "sasl.password": "swordfish"])
                == ["kedge.yaml:12:5: sasl.password: (not shown): \(words)"])
    }

    @Test func aHiddenValueIsNotShownInLibrdkafkasWordsEither() {
        let lines = problems(
            ["security.protocol": "sasl_plaintext", "sasl.mechanism": "swordfish"], secret: "sasl.mechanism")
        #expect(lines.count == 1)
        #expect(!lines.joined().contains("swordfish"))
        // The same in the open is librdkafka's own text.
        #expect(
            problems(["security.protocol": "sasl_plaintext", "sasl.mechanism": "swordfish"]).joined()
                .contains("swordfish"))
    }

    /// Kerberos: the line that would fetch a ticket is checked, and not run.
    @Test func noTicketIsFetched() throws {
        let witness = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        let login: KeyValuePairs = [
            "security.protocol": "sasl_plaintext", "sasl.mechanism": "GSSAPI", "sasl.kerberos.keytab": "/x",
            "sasl.kerberos.kinit.cmd": "touch \(witness)",
        ]
        let begin = ContinuousClock.now
        #expect(problems(login) == [])
        #expect(begin.duration(to: .now) < .seconds(10))
        #expect(!FileManager.default.fileExists(atPath: witness))
        #expect(
            problems(["security.protocol": "sasl_plaintext", "sasl.mechanism": "GSSAPI"]).first?
                .contains("Property not available: \"sasl.kerberos.keytab\"") == true)
    }

    @Test func noBrokerIsConnectedTo() throws {
        let listener = try Listener()
        #expect(problems([:], bootstrap: "127.0.0.1:\(listener.port)") == [])
        #expect(!listener.hasConnection)
        #expect(try listener.connectsFromHere(), "a connection would have been seen")
    }
}

/// A socket that listens, and never answers.
private final class Listener {
    private let socket: Int32
    let port: UInt16

    init() throws {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = socket
        let isListening = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.bind(descriptor, $0, size) == 0 && listen(descriptor, 8) == 0
                    && getsockname(descriptor, $0, &size) == 0
            }
        }
        port = UInt16(bigEndian: address.sin_port)
        try #require(isListening)
    }

    deinit { close(socket) }

    /// Takes a connection, if there is one.
    var hasConnection: Bool {
        let connection = accept(socket, nil, nil)
        if connection >= 0 { close(connection) }
        return connection >= 0
    }

    func connectsFromHere() throws -> Bool {
        let client = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(client) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(client, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(result == 0)
        return hasConnection
    }
}
