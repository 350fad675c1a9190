import CShim
import Kafka
import Platform
import Records
import TestSupport
import Testing

/// One at a time: two tests must not pick the same free port.
@Suite(.serialized) struct MockClusterTests {
    /// The first of `count` ports in a row that are free now.
    private func freePorts(_ count: Int) throws -> UInt16 {
        for _ in 0..<100 {
            let port = UInt16.random(in: 20_000...30_000)
            if (0..<count).allSatisfy({ kedge_bind_probe("127.0.0.1", port + UInt16($0)) == 0 }) { return port }
        }
        throw SystemError(call: "bind", code: EADDRINUSE)
    }

    @Test func portsAreAsWished() throws {
        let fixture = try Fixture(mocked: true)
        let port = try freePorts(3)
        let cluster = try MockCluster.start(brokers: 3, port: port, loop: fixture.loop, log: fixture.log)
        #expect(
            cluster.bootstrapServers
                == "127.0.0.1:\(port),127.0.0.1:\(port + 1),127.0.0.1:\(port + 2)")
        // They are real: a record goes through, also after a restart on the same ports.
        try deliver(to: cluster, fixture)
        cluster.close()
        let second = try MockCluster.start(brokers: 3, port: port, loop: fixture.loop, log: fixture.log)
        #expect(second.bootstrapServers == cluster.bootstrapServers)
        try deliver(to: second, fixture)
        second.close()
    }

    private func deliver(to cluster: MockCluster, _ fixture: Fixture) throws {
        let producer = TestProducer(
            try Producer(
                name: "kedge-test", properties: KafkaSettings(bootstrapServers: cluster.bootstrapServers).producer,
                loop: fixture.loop, log: fixture.log))
        let topic = try producer.producer.topic(named: "t")
        #expect(producer.offer(topic, "x") == .taken)
        #expect(try fixture.wait { producer.acknowledged.count == 1 })
        producer.producer.close()
    }

    @Test func takenPortIsNamed() throws {
        let fixture = try Fixture(mocked: true)
        let port = try freePorts(2)
        let first = try MockCluster.start(port: port + 1, loop: fixture.loop, log: fixture.log)
        let error = #expect(throws: MockClusterError.self) {
            try MockCluster.start(brokers: 2, port: port, loop: fixture.loop, log: fixture.log)
        }
        #expect(error?.description == "bind 127.0.0.1:\(port + 1): Address already in use (errno 98)")
        first.close()
    }

    @Test func anAddressServesWithAnyPort() throws {
        let fixture = try Fixture(mocked: true)
        let cluster = try MockCluster.start(brokers: 2, address: "127.0.0.3", loop: fixture.loop, log: fixture.log)
        let servers = cluster.bootstrapServers.split(separator: ",")
        #expect(servers.count == 2 && servers.allSatisfy { $0.hasPrefix("127.0.0.3:") })
        try deliver(to: cluster, fixture)
        cluster.close()
        for address in ["192.0.2.1", "nonsense"] {
            let error = #expect(throws: MockClusterError.self) {
                try MockCluster.start(address: address, loop: fixture.loop, log: fixture.log)
            }
            #expect(error?.description.contains("\(address):0: ") == true)
        }
    }

    @Test func addressThatIsNotOursIsNamed() throws {
        let fixture = try Fixture(mocked: true)
        for (address, reason) in [("192.0.2.1", "Cannot assign"), ("nonsense", "Invalid argument")] {
            let error = #expect(throws: MockClusterError.self) {
                try MockCluster.start(address: address, port: 9_092, loop: fixture.loop, log: fixture.log)
            }
            #expect(error?.description.contains("\(address):9092: \(reason)") == true)
        }
        let error = #expect(throws: MockClusterError.self) {
            try MockCluster.start(brokers: 2, port: 65_535, loop: fixture.loop, log: fixture.log)
        }
        #expect(error?.description.contains(":6553") == true)
    }

    @Test func otherAddressIsTakenAndTold() throws {
        let fixture = try Fixture(mocked: true)
        let port = try freePorts(1)
        let cluster = try MockCluster.start(address: "127.0.0.2", port: port, loop: fixture.loop, log: fixture.log)
        #expect(cluster.bootstrapServers == "127.0.0.2:\(port)")
        try deliver(to: cluster, fixture)
        cluster.close()
    }

    @Test func withoutAPortTheSystemChooses() throws {
        let fixture = try Fixture(mocked: true)
        let first = try MockCluster.start(loop: fixture.loop, log: fixture.log)
        let second = try MockCluster.start(loop: fixture.loop, log: fixture.log)
        #expect(first.bootstrapServers != second.bootstrapServers)
        #expect(first.bootstrapServers.hasPrefix("127.0.0.1:"))
        first.close()
        second.close()
        #expect(fixture.lines.allSatisfy { $0.hasPrefix("debug: ") }, "it has nothing to say")
    }

    @Test func otherSocketsAreLeftAlone() {
        // A redirection ends with the creation: port 0 is any port again.
        #expect(kedge_bind_next("127.0.0.1", 1))
        #expect(kedge_bind_default() == 0)
        #expect(kedge_bind_probe("127.0.0.1", 0) == 0)
        #expect(!kedge_bind_next("nonsense", 1))
    }

    @Test func delayedAnswerIsLate() throws {
        let fixture = try Fixture(mocked: true)
        let topic = try fixture.topic("slow")
        let producer = try fixture.producer(["linger.ms": "0"])
        let id = try producer.producer.topic(named: topic)
        #expect(producer.offer(id, "x") == .taken)
        #expect(try fixture.wait { producer.acknowledged.count == 1 })
        fixture.mock?.delay(.produce, of: 1, by: .milliseconds(400))
        let start = fixture.loop.time.now
        #expect(producer.offer(id, "y") == .taken)
        #expect(try fixture.wait { producer.acknowledged.count == 2 })
        #expect((fixture.loop.time.now - start).milliseconds >= 390)
    }
}
