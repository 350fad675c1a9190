import CRdkafka
import CShim
import Platform

/// The embedded broker: librdkafka's mock cluster, for development (`kedge broker`, `kedge demo`) and for tests.
///
/// It keeps everything in memory and forgets it when it ends; librdkafka 2.0's drops old records beyond about 5 MB a
/// partition, has no admin calls and does not check sizes. A topic comes into being when it is first asked for.
/// Transactions are accepted and not isolated: no record of one is ever held back, whatever becomes of it.
public final class MockCluster {
    /// Such as `127.0.0.1:9092,127.0.0.1:9093`.
    public let bootstrapServers: String

    private let client: Client
    private let cluster: OpaquePointer
    private let brokers: Int32

    /// - Parameters:
    ///   - brokers: how many, 1 to 16; their identifiers count from 1.
    ///   - address: the IPv4 address to listen on, and by which clients on other machines are told to connect.
    ///   - port: of the first broker, the others follow; 0 lets the system choose.
    /// - Throws: `SystemError` when a port is taken or not permitted, or the address is none of this machine's, with
    ///   `address:port` as its subject.
    public static func start(
        brokers: Int = 1, address: String = "127.0.0.1", port: UInt16 = 0, loop: any Loop, log: Log
    ) throws(MockClusterError) -> MockCluster {
        let count = max(1, min(brokers, 16))
        for index in 0..<(port == 0 ? 1 : count) {
            let number = Int(port) + index
            guard let number = UInt16(exactly: number) else {
                throw .listen(SystemError(call: "bind", code: EINVAL, subject: "\(address):\(number)"))
            }
            // Tried beforehand: librdkafka only says that the cluster could not be made.
            do throws(SystemError) {
                try systemCall("bind", on: "\(address):\(number)") { kedge_bind_probe(address, number) }
            } catch {
                throw .listen(error)
            }
        }
        return try MockCluster(brokers: count, address: address, port: port, loop: loop, log: log)
    }

    private init(
        brokers count: Int, address: String, port: UInt16, loop: any Loop, log: Log
    ) throws(MockClusterError) {
        brokers = Int32(count)
        let client: Client
        do throws(KafkaError) {
            // The cluster needs an instance for its threads and its log; it never connects to anything.
            let configuration = try ClientConfiguration(
                .both, name: "kedge-broker", properties: [], owned: [("statistics.interval.ms", "0")])
            client = try Client(
                owning: configuration.start(RD_KAFKA_PRODUCER, events: RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_ERROR),
                isConsumer: false, name: "broker", loop: loop, log: log)
        } catch {
            throw .create(error)
        }
        self.client = client
        client.onError = { _, error in
            log.debug("kafka broker: \(error.description)")
            return true
        }
        let isUsual = port == 0 && address.isEqual(to: "127.0.0.1")
        let isRedirecting = !isUsual && kedge_bind_next(address, port)
        let cluster = rd_kafka_mock_cluster_new(client.handle, Int32(count))
        let redirected = kedge_bind_default()
        guard let cluster else {
            client.destroy(within: .seconds(2))
            throw .create(
                KafkaError(
                    RD_KAFKA_RESP_ERR__FAIL, place: "embedded broker",
                    reason: port == 0
                        ? "cannot listen on \(address)" : "cannot listen on \(address):\(port) and following"))
        }
        self.cluster = cluster
        bootstrapServers = rd_kafka_mock_cluster_bootstraps(cluster).map { String(cString: $0) } ?? ""
        if isRedirecting && redirected < UInt32(count) {
            // A librdkafka that is linked in statically, say, does not find our bind().
            close()
            throw .create(
                KafkaError(
                    RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED, place: "embedded broker",
                    reason: "this build cannot choose the address and the port"))
        }
    }

    deinit { close() }

    /// Makes a topic.
    /// - Throws: `KafkaError` when there is one of that name, or with more replicas than brokers.
    public func createTopic(_ name: String, partitions: Int, replicas: Int = 1) throws(KafkaError) {
        let code = rd_kafka_mock_topic_create(cluster, name, Int32(clamping: partitions), Int32(clamping: replicas))
        if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(code, place: "creating topic \(name)") }
    }

    /// Ends the cluster and all connections to it.
    public func close() {
        guard client.isOpen else { return }
        rd_kafka_mock_cluster_destroy(cluster)
        client.destroy(within: .seconds(2))
    }

    // MARK: Faults

    /// The requests that faults can be put on (Kafka protocol, "Api Keys").
    public enum Request: Int16, Sendable {
        case produce = 0
        case fetch = 1
        case listOffsets = 2
        case metadata = 3
        case offsetCommit = 8
        case offsetFetch = 9
        case findCoordinator = 10
        case joinGroup = 11
        case heartbeat = 12
        case initProducerID = 22
        case addPartitionsToTransaction = 24
        case addOffsetsToTransaction = 25
        case endTransaction = 26
        case transactionOffsetCommit = 28
    }

    /// The brokers answer the next requests of that kind with these errors of the protocol, in this order.
    public func answer(_ request: Request, with errors: [Int32]) {
        let codes = errors.map { rd_kafka_resp_err_t(rawValue: $0) }
        rd_kafka_mock_push_request_errors_array(cluster, request.rawValue, codes.count, codes)
    }

    /// One broker answers its next request of that kind so much later, with that error (0 is success).
    public func delay(_ request: Request, of broker: Int32, by interval: Interval, error: Int32 = 0) {
        _ = kedge_kafka_mock_push(
            cluster, broker, request.rawValue, rd_kafka_resp_err_t(rawValue: error),
            Int32(clamping: interval.millisecondsRoundedUp))
    }

    /// Metadata gives the topic this error of the protocol from now on; 0 ends that. Who knows the topic still reads and
    /// writes it: see `setLeader`.
    public func setError(_ code: Int32, ofTopic name: String) {
        rd_kafka_mock_topic_set_error(cluster, name, rd_kafka_resp_err_t(rawValue: code))
    }

    /// Moves a partition to another broker. Without one nobody can write or read it: what is sent waits.
    public func setLeader(of topic: String, partition: Int32 = 0, broker: Int32?) {
        rd_kafka_mock_partition_set_leader(cluster, topic, partition, broker ?? -1)
    }

    /// Moves the coordinator of a `transactional.id` to a broker.
    public func setCoordinator(ofTransactions id: String, broker: Int32) {
        rd_kafka_mock_coordinator_set(cluster, "transaction", id, broker)
    }

    /// Cuts all connections to a broker and takes no new ones, or takes them again. `nil` is all brokers.
    public func set(broker: Int32? = nil, isUp: Bool) {
        for number in 1...brokers where broker == nil || broker == number {
            if isUp {
                rd_kafka_mock_broker_set_up(cluster, number)
            } else {
                rd_kafka_mock_broker_set_down(cluster, number)
            }
        }
    }

    /// How long all brokers take for every answer.
    public func set(roundTrip: Interval) {
        for number in 1...brokers {
            rd_kafka_mock_broker_set_rtt(cluster, number, Int32(clamping: roundTrip.millisecondsRoundedUp))
        }
    }
}

/// Why there is no embedded broker.
public enum MockClusterError: Error, Equatable, Sendable {
    /// The address cannot be listened on: another program has the port, or it is none of this machine's.
    case listen(SystemError)
    case create(KafkaError)

    /// Such as "bind 127.0.0.1:9092: Address already in use (errno 98)".
    public var description: String {
        switch self {
        case .listen(let error): error.description
        case .create(let error): error.description
        }
    }
}
