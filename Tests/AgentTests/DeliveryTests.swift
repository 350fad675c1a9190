import Agent
import Foundation
import Kafka
import Outbox
import Platform
import TestSupport
import Testing

/// What the whole agent makes of `delivery`.
@Suite struct DeliveryTests {
    private let sensor = "sensors: [{ id: a, driver: sim, every: 2ms }]\n"
    private let exact = "delivery: { mode: exactly-once, commit_every: 20ms }\n"

    private func counts(_ plant: Plant) -> OutboxCounters { plant.agent.outbox.counters(of: .record) }

    /// UNKNOWN_PRODUCER_ID and INVALID_PRODUCER_EPOCH: librdkafka gets over them by itself, without a loss.
    @Test(arguments: [Int32(59), 47]) func atLeastOnceOutlivesAForgottenProducer(_ code: Int32) throws {
        let plant = try Plant(sensor)
        let sensors = try plant.watch("sensors")
        plant.agent.start()
        #expect(try plant.wait { counts(plant).acknowledged > 50 })
        plant.cluster.answer(.produce, with: [code])
        let before = counts(plant).appended
        #expect(try plant.wait { counts(plant).acknowledged > before + 50 })
        #expect(try plant.stop() == 0)
        #expect(counts(plant).acknowledged == counts(plant).appended)
        #expect(try plant.wait { Set(sensors.sequences).count == Int(counts(plant).appended) })
    }

    @Test func exactlyOnceArrives() throws {
        let plant = try Plant(sensor + exact + "actuators: [{ id: pump, driver: gpio, line: 27 }]")
        let sensors = try plant.watch("sensors")
        let replies = try plant.watch("replies")
        plant.agent.start()
        #expect(try plant.wait { plant.receiving.contains("commands.pi-test") })
        try plant.send(#"{"id":"one","actuator":"pump","value":1}"#)
        #expect(try plant.wait { replies.records.count == 1 && counts(plant).acknowledged > 200 })
        #expect(try plant.stop() == 0)
        let counters = counts(plant)
        #expect(counters.acknowledged == counters.appended && counters.retried == 0)
        #expect(try plant.wait { sensors.records.count == Int(plant.agent.telemetry.samples) })
        #expect(sensors.sequences == sensors.sequences.sorted())
        #expect(sensors.isEveryIDThereOnce)
    }

    /// OUT_OF_ORDER_SEQUENCE_NUMBER is fatal: a new producer takes over, under the same name, and is not fenced by itself.
    @Test func exactlyOnceOutlivesAFatalError() throws {
        let plant = try Plant(sensor + exact)
        let sensors = try plant.watch("sensors")
        var fenced = false
        plant.agent.onFenced = { _ in fenced = true }
        plant.agent.start()
        #expect(try plant.wait { counts(plant).acknowledged > 50 })
        plant.cluster.answer(.produce, with: [45])
        #expect(try plant.wait { !plant.lines("the producer is started anew").isEmpty })
        let before = counts(plant).appended
        #expect(try plant.wait { counts(plant).acknowledged > before })
        #expect(try plant.stop() == 0)
        #expect(counts(plant).acknowledged == counts(plant).appended)
        #expect(counts(plant).failed + counts(plant).dropped == 0)
        #expect(try plant.wait { Set(sensors.sequences) == Set(1...counts(plant).appended) })
        #expect(!fenced)
    }

    @Test func exactlyOnceWaitsForABroker() throws {
        let plant = try Plant(sensor + exact) { $1.set(isUp: false) }
        let sensors = try plant.watch("sensors")
        plant.agent.start()
        #expect(try plant.wait { counts(plant).appended >= 100 })
        plant.cluster.set(isUp: true)
        #expect(try plant.wait { counts(plant).acknowledged >= 200 })
        #expect(try plant.stop() == 0)
        #expect(try plant.wait { sensors.records.count == Int(counts(plant).appended) })
        #expect(sensors.sequences == Array(1...counts(plant).appended))
    }

    @Test func aFencedAgentSaysSoAndSendsNoMore() throws {
        let plant = try Plant(sensor + exact)
        var fenced: [KafkaError] = []
        plant.agent.onFenced = { fenced.append($0) }
        plant.agent.start()
        #expect(try plant.wait { counts(plant).acknowledged > 50 })
        // INVALID_PRODUCER_EPOCH
        plant.cluster.answer(.endTransaction, with: [47])
        #expect(try plant.wait { !fenced.isEmpty })
        #expect(fenced.count == 1)
        #expect(plant.lines("another agent works under the name kedge-pi-test").count == 1)
        let acknowledged = counts(plant).acknowledged
        try plant.loop.turn(for: .milliseconds(300))
        #expect(counts(plant).acknowledged == acknowledged)
        #expect(plant.lines("started anew").isEmpty)
    }

    /// A broker that refuses at every start must not keep the node busy.
    @Test func aFatalErrorThatComesBackIsTriedMoreAndMoreSeldom() throws {
        let plant = try Plant(sensor) { _, cluster in
            // CLUSTER_AUTHORIZATION_FAILED
            cluster.answer(.initProducerID, with: Array(repeating: 31, count: 1_000))
        }
        plant.agent.start()
        #expect(try plant.wait { plant.lines("the producer is started anew").count == 2 })
        try plant.loop.turn(for: .milliseconds(500))
        #expect(plant.lines("the producer is started anew").count == 2)
        #expect(try plant.wait { plant.lines("the producer is started anew").count == 3 })
    }

    @Test func theConfiguration() {
        let rest = "node: n\nkafka: { all: { bootstrap.servers: \"b:1\" } }\n"
        #expect(decode(rest).settings?.delivery == DeliverySettings(mode: .atLeastOnce))
        #expect(decode(rest + "delivery: exactly-once").settings?.delivery == DeliverySettings(mode: .exactlyOnce))
        #expect(
            decode(rest + "delivery: { mode: exactly-once, commit_every: 2s, commit_records: 50 }").settings?.delivery
                == DeliverySettings(mode: .exactlyOnce, commitEvery: .seconds(2), commitRecords: 50))
        for (text, words) in [
            ("delivery: at-most-once", "3:11: delivery is \"at-most-once\", expected at-least-once or exactly-once"),
            ("delivery: { commit_every: 1h }", "delivery.commit_every is \"1h\""),
            ("delivery: { commit_records: 0 }", "delivery.commit_records is \"0\""),
        ] {
            let problems = decode(rest + text).problems
            #expect(problems.count == 1 && problems[0].contains(words), "\(problems)")
        }
    }

    @Test(arguments: [
        ("acks: 1", true), ("acks: all", false), ("acks: -1", false), ("retries: 0", true), ("retries: 3", false),
        ("max.in.flight: 6", true), ("max.in.flight: 5", false), ("enable.idempotence: false", true),
        ("enable.idempotence: true", false), ("message.timeout.ms: 0", true), ("message.timeout.ms: 60001", true),
        ("message.timeout.ms: 60000", false), ("delivery.timeout.ms: 60001", true),
        ("message.timeout.ms: 90000, transaction.timeout.ms: 90000", false), ("transactional.id: x", true),
    ])
    func propertiesThatContradictIt(_ property: String, isRefused: Bool) throws {
        let text = """
            node: n
            kafka:
              all: { bootstrap.servers: "b:1" }
              producer: { \(property) }

            """
        let (settings, problems) = decode(text + "delivery: exactly-once")
        #expect(problems.count == (isRefused ? 1 : 0), "\(problems)")
        if isRefused {
            #expect(problems.first?.hasPrefix("kedge.yaml:4:") == true)
        } else {
            // And librdkafka agrees.
            let loop = try EventLoop()
            let kafka = try #require(settings).kafka
            _ = try TransactionalProducer(
                name: "n", identity: .init(client: "n", topic: "t"), settings: DeliverySettings(mode: .exactlyOnce),
                kafka: kafka, loop: loop, log: LogRecorder().log)
        }
        if !property.hasPrefix("transactional") { #expect(decode(text).problems == []) }
    }
}
