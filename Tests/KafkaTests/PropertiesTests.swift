import Configuration
import Platform
import TestSupport
import Testing

@testable import Kafka

@Suite struct PropertiesTests {
    /// The settings and what was said about these properties, one line each.
    private func check(
        all: KeyValuePairs<String, String> = [:], producer: KeyValuePairs<String, String> = [:],
        consumer: KeyValuePairs<String, String> = [:], isSecret: Bool = false
    ) -> (KafkaSettings, [String]) {
        let diagnostics = Diagnostics(file: "kedge.yaml")
        func properties(_ pairs: KeyValuePairs<String, String>, line: Int) -> [Property] {
            pairs.enumerated().map {
                Property(
                    name: $1.key, value: $1.value, mark: Mark(line: line, column: $0 + 1), isSecret: isSecret)
            }
        }
        let bootstrap = Property(name: "bootstrap.servers", value: "h:9092", mark: Mark(line: 1, column: 1))
        let settings = KafkaSettings(
            all: [bootstrap] + properties(all, line: 10), producer: properties(producer, line: 20),
            consumer: properties(consumer, line: 30), mark: Mark(line: 1, column: 1), diagnostics: diagnostics)
        return (settings, diagnostics.lines)
    }

    private func value(_ name: String, in properties: [Property]) -> String? {
        properties.last { $0.name == name }?.value
    }

    @Test func goodOnesPassAndGoWhereTheyBelong() {
        let (settings, lines) = check(
            all: ["security.protocol": "SASL_SSL", "linger.ms": "50", "group.id": "g", "client.id": "c"],
            producer: ["acks": "all", "compression.type": "zstd", "batch.size": "1000"],
            consumer: ["auto.offset.reset": "earliest", "fetch.min.bytes": "10"])
        #expect(lines == [])
        #expect(
            settings.producer.map(\.name)
                == [
                    "bootstrap.servers", "security.protocol", "linger.ms", "client.id", "acks", "compression.type",
                    "batch.size",
                ])
        #expect(
            settings.consumer.map(\.name)
                == [
                    "bootstrap.servers", "security.protocol", "group.id", "client.id", "auto.offset.reset",
                    "fetch.min.bytes",
                ])
    }

    @Test(arguments: [
        ("linger.sm", "linger.ms"), ("bootstrap.server", "bootstrap.servers"), ("compresion.type", "compression.type"),
        ("buffer.memroy", "buffer.memory"), ("queue.buffering.max.kbyte", "queue.buffering.max.kbytes"),
    ])
    func unknownOneIsAnsweredWithTheNearest(_ wrong: String, _ right: String) {
        let (settings, lines) = check(all: [wrong: "1"])
        #expect(lines == ["kedge.yaml:10:1: \(wrong) is no property of librdkafka, did you mean \(right)?"])
        #expect(settings.producer.map(\.name) == ["bootstrap.servers"])
    }

    @Test func nothingNearIsNotSuggested() {
        let (_, lines) = check(all: ["colour": "blue"])
        #expect(lines == ["kedge.yaml:10:1: colour is no property of librdkafka"])
    }

    @Test func wrongValuesAreAnsweredWithTheRange() {
        let (settings, lines) = check(
            producer: [
                "linger.ms": "soon", "batch.size": "-1", "compression.type": "rar", "enable.idempotence": "maybe",
            ])
        #expect(
            lines == [
                "kedge.yaml:20:1: linger.ms: \"soon\", expected a number from 0 to 900000 (ms)",
                "kedge.yaml:20:2: batch.size: \"-1\", expected a whole number from 1 to 2147483647 (bytes)",
                "kedge.yaml:20:3: compression.type: \"rar\", expected none, gzip, snappy, lz4, zstd",
                "kedge.yaml:20:4: enable.idempotence: \"maybe\", expected true, false",
            ])
        #expect(settings.producer.map(\.name) == ["bootstrap.servers"])
    }

    /// librdkafka itself takes each of them, for another number than the one that was written.
    @Test(arguments: [
        ("batch.size", "64kB", "a whole number from 1 to 2147483647 (bytes), such as 64000"),
        ("batch.size", "99999999999", "a whole number from 1 to 2147483647 (bytes)"),
        ("batch.size", "010", "a whole number from 1 to 2147483647 (bytes)"),
        ("batch.size", " 5", "a whole number from 1 to 2147483647 (bytes)"),
        ("linger.ms", "1.5s", "a number from 0 to 900000 (ms), such as 1500"),
        ("linger.ms", "nan", "a number from 0 to 900000 (ms)"),
        ("linger.ms", "1h", "a number from 0 to 900000 (ms)"),
        ("retries", "1.5", "a whole number from 0 to 2147483647"),
        ("acks", "1.5", "a whole number from -1 to 1000"),
        ("queue.buffering.max.kbytes", "4MiB", "a whole number from 1 to 2147483647 (KiB), such as 4096"),
        ("queue.buffering.max.kbytes", "9223372036854775807B", "a whole number from 1 to 2147483647 (KiB)"),
        ("delivery.timeout.ms", "2m", "a whole number from 0 to 2147483647 (ms), such as 120000"),
        // In the words and units of the name that was written.
        ("max.request.size", "2MB", "a whole number from 1000 to 1000000000 (bytes), such as 2000000"),
        ("buffer.memory", "32MB", "a whole number from 1 to 2199023254528 (bytes), such as 32000000"),
        ("buffer.memory", "0", "a whole number from 1 to 2199023254528 (bytes)"),
    ])
    func numbersAreWholeAndWithoutUnits(name: String, value: String, expected: String) {
        let (settings, lines) = check(producer: [name: value])
        #expect(lines == ["kedge.yaml:20:1: \(name): \"\(value)\", expected \(expected)"])
        #expect(settings.producer.count == 1)
        // What was probably meant is the secret, too.
        let (_, hidden) = check(producer: [name: value], isSecret: true)
        #expect(hidden.count == 1 && hidden[0].contains("(not shown)") && !hidden[0].contains("such as"))
    }

    @Test(arguments: [
        ("acks", "all"), ("acks", "-1"), ("acks", "0"), ("acks", "1"), ("request.required.acks", "ALL"),
        ("linger.ms", "0"), ("linger.ms", "0.5"), ("linger.ms", "900000"), ("retries", "2147483647"),
        ("batch.size", "1"), ("topic.metadata.refresh.interval.ms", "-1"), ("compression.level", "-1"),
        ("check.crcs", "1"), ("enable.ssl.certificate.verification", "TRUE"), ("client.id", "010"),
        ("broker.version.fallback", "0.10.0"), ("client.rack", "1a"),
    ])
    func numbersInTheirRangeAndTextsPass(name: String, value: String) {
        let (settings, lines) = check(all: [name: value])
        #expect(lines == [])
        #expect(self.value(name, in: settings.producer + settings.consumer) == value)
    }

    /// librdkafka takes it: the consumer that it makes then is in no group, and has no queue.
    @Test func anEmptyGroupIsRefused() {
        let (settings, lines) = check(consumer: ["group.id": ""])
        #expect(lines == ["kedge.yaml:30:1: group.id is empty, expected a name; without group.id kedge chooses one"])
        #expect(settings.consumer.count == 1)
    }

    /// What no check has seen must not end the process.
    @Test func aConsumerWithoutAGroupIsAnError() throws {
        let fixture = try Fixture(mocked: true)
        let error = #expect(throws: KafkaError.self) {
            try Consumer(
                name: "n", topics: ["commands"], properties: fixture.consumerProperties(["group.id": ""]),
                loop: fixture.loop, log: fixture.log)
        }
        #expect(error?.description == "consumer: group.id is empty (_INVALID_ARG)")
        #expect(error?.isWrongConfiguration == true)
    }

    @Test func oneOfTheOtherClientIsRefused() {
        let (_, lines) = check(
            producer: ["group.id": "g", "fetch.min.bytes": "1"],
            consumer: ["linger.ms": "5", "request.timeout.ms": "1000"])
        #expect(
            lines == [
                "kedge.yaml:20:1: group.id is for consumers: move it to kafka.consumer",
                "kedge.yaml:20:2: fetch.min.bytes is for consumers: move it to kafka.consumer",
                "kedge.yaml:30:1: linger.ms is for producers: move it to kafka.producer",
                "kedge.yaml:30:2: request.timeout.ms is for producers: use socket.timeout.ms",
            ])
    }

    @Test func javaNamesAreTranslated() {
        let (settings, lines) = check(
            all: [
                "send.buffer.bytes": "-1", "receive.buffer.bytes": "8192", "ssl.endpoint.identification.algorithm": "",
            ],
            producer: [
                "buffer.memory": "33554432", "max.request.size": "2000000", "delivery.timeout.ms": "30000",
                "max.in.flight.requests.per.connection": "5", "compression.lz4.level": "3",
            ],
            consumer: ["fetch.max.wait.ms": "100", "max.partition.fetch.bytes": "1000", "auto.offset.reset": "none"])
        #expect(lines == [])
        #expect(value("queue.buffering.max.kbytes", in: settings.producer) == "32768")
        #expect(value("message.max.bytes", in: settings.producer) == "2000000")
        #expect(value("compression.level", in: settings.producer) == "3")
        #expect(value("socket.send.buffer.bytes", in: settings.producer) == "0")
        #expect(value("socket.receive.buffer.bytes", in: settings.consumer) == "8192")
        #expect(value("ssl.endpoint.identification.algorithm", in: settings.consumer) == "none")
        #expect(value("fetch.wait.max.ms", in: settings.consumer) == "100")
        #expect(value("auto.offset.reset", in: settings.consumer) == "error")
    }

    @Test(arguments: [
        ("1", "1"), ("1024", "1"), ("1025", "2"), ("9223372036854775807", nil), ("0", nil), ("32MB", nil),
    ])
    func bytesBecomeKibibytesRoundedUp(_ bytes: String, _ kibibytes: String?) {
        let (settings, lines) = check(producer: ["buffer.memory": bytes])
        #expect(value("queue.buffering.max.kbytes", in: settings.producer) == kibibytes)
        #expect(lines.isEmpty == (kibibytes != nil))
    }

    @Test func everyRefusalSaysWhatToDoInstead() {
        for property in javaProperties + ownedProperties {
            let name = property.name.description
            guard case .refused(let remedy) = property.treatment else { continue }
            let (settings, lines) = check(all: [name: "x"])
            #expect(lines == ["kedge.yaml:10:1: \(name) cannot be set: \(remedy.description)"])
            #expect(settings.producer.count == 1 && settings.consumer.count == 1)
        }
        let (_, lines) = check(producer: ["dr_msg_cb": "x"])
        #expect(lines == ["kedge.yaml:20:1: dr_msg_cb cannot be set: remove it: only a program can use it"])
    }

    @Test(arguments: [
        "sasl.password", "ssl.key.password", "ssl.key.pem", "ssl.keystore.password", "sasl.jaas.config",
        "ssl.key.pasword",
        "sasl.oauthbearer.client.secret", "linger.ms", "buffer.memory", "security.protocol", "partitioner",
    ])
    func secretsNeverAppear(_ name: String) {
        let (_, lines) = check(all: [name: "s3cr3t-value"], isSecret: true)
        #expect(lines.allSatisfy { !$0.contains("s3cr3t") })
        let isSecretByName =
            name.contains("pass") || name.contains("secret") || name.contains("key") || name.contains("jaas")
        if isSecretByName {
            let (_, lines) = check(all: [name: "s3cr3t-value"])
            #expect(lines.allSatisfy { !$0.contains("s3cr3t") })
        }
    }

    @Test func aSecretThatOnlyTheClientCanCheckIsHiddenToo() throws {
        let fixture = try Fixture(mocked: true)
        let error = #expect(throws: KafkaError.self) {
            try Producer(
                name: "n",
                properties: fixture.properties([
                    "security.protocol": "ssl", "ssl.key.pem": "s3cr3t", "ssl.certificate.pem": "x",
                    "ssl.key.password": "s3cr3t",
                ]), loop: fixture.loop, log: fixture.log)
        }
        #expect(error?.description.contains("s3cr3t") == false)
        #expect(fixture.lines.allSatisfy { !$0.contains("s3cr3t") })
    }

    @Test func missingBrokersAreReported() {
        let diagnostics = Diagnostics(file: "kedge.yaml")
        _ = KafkaSettings(all: [], producer: [], consumer: [], mark: Mark(line: 7, column: 3), diagnostics: diagnostics)
        #expect(
            diagnostics.lines
                == [
                    "kedge.yaml:7:3: kafka has no bootstrap.servers, expected all: { bootstrap.servers: \"host:9092\" }"
                ])
    }

    @Test func defaultsAreTakenByTheLibraryInUse() throws {
        for property in defaultProperties {
            let (_, lines) = check(
                all: property.client == .both ? [property.name.description: property.value.description] : [:],
                producer: property.client == .producer ? [property.name.description: property.value.description] : [:],
                consumer: property.client == .consumer ? [property.name.description: property.value.description] : [:])
            #expect(lines == [], "\(property.name)")
            #expect(property.reason.utf8CodeUnitCount > 10)
        }
    }

    @Test(arguments: [
        ("linger.ms", "queue.buffering.max.ms"), ("buffer.memory", "queue.buffering.max.kbytes"),
        ("compression.gzip.level", "compression.level"), ("message.timeout.ms", "delivery.timeout.ms"),
    ])
    func twoNamesOfOnePropertyAreReportedInOneMapping(_ first: String, _ second: String) {
        let (_, lines) = check(producer: [first: "4096", "retries": "9", second: "8192"])
        #expect(
            lines.filter { $0.contains("same property") } == [
                "kedge.yaml:20:3: \(second) is the same property as \(first) at line 20: leave one of them out"
            ])
        // What stands in `producer` overrides what stands in `all`.
        let (_, override) = check(all: [first: "4096"], producer: [second: "8192"])
        #expect(!override.contains { $0.contains("same property") })
    }

    @Test func theBrokersAreLookedAt() {
        let diagnostics = Diagnostics(file: "kedge.yaml")
        let mark = Mark(line: 3, column: 9)
        for (name, isSecret) in [("bootstrap.servers", false), ("metadata.broker.list", true)] {
            _ = KafkaSettings(
                all: [Property(name: name, value: "h:99999", mark: mark, isSecret: isSecret)], producer: [],
                consumer: [], mark: Mark(line: 1, column: 1), diagnostics: diagnostics)
        }
        let words = "has a port that is not a number from 1 to 65535, expected \(BrokerList.expected)"
        #expect(
            diagnostics.lines == [
                "kedge.yaml:3:9: bootstrap.servers: \"h:99999\" \(words)",
                "kedge.yaml:3:9: metadata.broker.list: an entry (not shown) \(words)",
            ])
    }

    @Test func laterPropertiesWin() throws {
        let settings = KafkaSettings(bootstrapServers: "a:1").replacing(bootstrapServers: "b:2")
        #expect(value("bootstrap.servers", in: settings.producer) == "b:2")
        #expect(value("bootstrap.servers", in: settings.consumer) == "b:2")
    }

    @Test func valuesAreTextOrListsOfText() {
        func scalar(_ text: String, isSecret: Bool = false) -> Node.Scalar {
            Node.Scalar(text: text, mark: Mark(line: 4, column: 7), isQuoted: false, isSecret: isSecret)
        }
        func property(_ value: Node) -> (Property?, [String]) {
            let diagnostics = Diagnostics(file: "kedge.yaml")
            let entry = Node.Entry(key: scalar("bootstrap.servers"), value: value)
            return (KafkaSettings.property(entry, diagnostics: diagnostics), diagnostics.lines)
        }
        let mark = Mark(line: 4, column: 7)
        #expect(
            property(.scalar(scalar("a:1"))).0 == Property(name: "bootstrap.servers", value: "a:1", mark: mark))
        let list = property(.sequence([.scalar(scalar("a:1")), .scalar(scalar("b:2", isSecret: true))], mark))
        #expect(list.0 == Property(name: "bootstrap.servers", value: "a:1,b:2", mark: mark, isSecret: true))
        #expect(list.1 == [])
        for wrong in [Node.mapping([], mark), .sequence([.sequence([], mark)], mark)] {
            let (value, lines) = property(wrong)
            #expect(value == nil)
            #expect(lines.count == 1 && lines[0].hasPrefix("kedge.yaml:4:7: bootstrap.servers: a "))
        }
    }

    @Test(
        arguments: [
            (["security.protocol": "ssl"], false),
            (["security.protocol": "SASL_SSL"], true),
            (["security.protocol": "sasl_plaintext", "sasl.mechanisms": "GSSAPI"], true),
            (["security.protocol": "sasl_ssl", "sasl.mechanism": "SCRAM-SHA-512"], false),
            (["sasl.mechanisms": "GSSAPI"], false),
            ([:], false),
        ] as [(KeyValuePairs<String, String>, Bool)])
    func onlyKerberosNeedsThePluginsOfCyrusSASL(_ pairs: KeyValuePairs<String, String>, isNeeded: Bool) {
        #expect(check(all: pairs).0.needsSASLPlugins == isNeeded)
        // One client that needs them is enough: they are the process's.
        #expect(check(consumer: pairs).0.needsSASLPlugins == isNeeded)
    }
}
