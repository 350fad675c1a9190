/// A property that librdkafka does not take as it stands: one of the Java client, or one that kedge owns.
public struct ForeignProperty: Sendable {
    public enum Treatment: Sendable {
        /// Means the same as this property of librdkafka.
        case renamed(StaticString)
        /// The same in bytes; librdkafka's property counts KiB. Rounded up.
        case inKibibytes(StaticString)
        /// Refused, with what to do instead.
        case refused(StaticString)
    }

    public let name: StaticString
    public let treatment: Treatment

    init(_ name: StaticString, _ treatment: Treatment) {
        self.name = name
        self.treatment = treatment
    }
}

/// The Java client's properties that have another name, another unit or no counterpart in librdkafka.
/// Those not listed (`linger.ms`, `batch.size`, `acks`, `max.in.flight.requests.per.connection`,
/// `delivery.timeout.ms`, `max.partition.fetch.bytes`, `security.protocol` …) are the same in both.
public let javaProperties: [ForeignProperty] = [
    ForeignProperty("buffer.memory", .inKibibytes("queue.buffering.max.kbytes")),
    ForeignProperty("max.request.size", .renamed("message.max.bytes")),
    ForeignProperty("fetch.max.wait.ms", .renamed("fetch.wait.max.ms")),
    ForeignProperty("receive.buffer.bytes", .renamed("socket.receive.buffer.bytes")),
    ForeignProperty("send.buffer.bytes", .renamed("socket.send.buffer.bytes")),
    ForeignProperty("compression.gzip.level", .renamed("compression.level")),
    ForeignProperty("compression.lz4.level", .renamed("compression.level")),
    ForeignProperty("compression.zstd.level", .renamed("compression.level")),
    ForeignProperty("default.api.timeout.ms", .refused("use socket.timeout.ms")),
    ForeignProperty("max.block.ms", .refused("remove it: kedge never blocks, the outbox takes what the queue cannot")),
    ForeignProperty("max.poll.records", .refused("use queued.min.messages")),
    ForeignProperty("key.serializer", .refused("remove it: kedge encodes records itself (see records)")),
    ForeignProperty("value.serializer", .refused("remove it: kedge encodes records itself (see records)")),
    ForeignProperty("key.deserializer", .refused("remove it: commands are JSON")),
    ForeignProperty("value.deserializer", .refused("remove it: commands are JSON")),
    ForeignProperty("partitioner.class", .refused("use partitioner, such as murmur2_random for the Java default")),
    ForeignProperty("partitioner.ignore.keys", .refused("use partitioner: random")),
    ForeignProperty("interceptor.classes", .refused("remove it: there are no Java classes here")),
    ForeignProperty("metric.reporters", .refused("remove it: there are no Java classes here")),
    ForeignProperty("sasl.jaas.config", .refused("use sasl.username and sasl.password")),
    ForeignProperty("sasl.login.callback.handler.class", .refused("use sasl.oauthbearer.method: oidc")),
    ForeignProperty("sasl.client.callback.handler.class", .refused("use sasl.oauthbearer.method: oidc")),
    ForeignProperty("ssl.truststore.location", .refused("use ssl.ca.location, a PEM file")),
    ForeignProperty("ssl.truststore.password", .refused("use ssl.ca.location, a PEM file, which needs no password")),
    ForeignProperty("ssl.truststore.type", .refused("use ssl.ca.location, a PEM file")),
    ForeignProperty("ssl.truststore.certificates", .refused("use ssl.ca.pem")),
    ForeignProperty("ssl.keystore.type", .refused("remove it: ssl.keystore.location is a PKCS#12 file")),
    ForeignProperty("ssl.keystore.certificate.chain", .refused("use ssl.certificate.pem")),
    ForeignProperty("ssl.keystore.key", .refused("use ssl.key.pem")),
    ForeignProperty("ssl.protocol", .refused("remove it: OpenSSL takes the best that both sides know")),
    ForeignProperty("ssl.enabled.protocols", .refused("remove it: OpenSSL takes the best that both sides know")),
]

private let commits: StaticString = "remove it: kedge commits each command before it acts on it"
private let programs: StaticString = "remove it: only a program can use it"

/// The properties of librdkafka that kedge sets itself, because its promises depend on them. So are all `*_cb`.
public let ownedProperties: [ForeignProperty] = [
    ForeignProperty("enable.auto.commit", .refused(commits)),
    ForeignProperty("auto.commit.enable", .refused(commits)),
    ForeignProperty("auto.commit.interval.ms", .refused(commits)),
    ForeignProperty("enable.auto.offset.store", .refused(commits)),
    ForeignProperty("offset.store.method", .refused("remove it: offsets are kept by the broker")),
    ForeignProperty("enable.partition.eof", .refused("remove it: kedge needs it to know its place")),
    ForeignProperty("delivery.report.only.error", .refused("remove it: the outbox needs every delivery report")),
    ForeignProperty("transactional.id", .refused("remove it: kedge names its transactions itself")),
    ForeignProperty("test.mock.num.brokers", .refused("use `kedge broker`, and its address as bootstrap.servers")),
    ForeignProperty("internal.termination.signal", .refused("remove it: kedge handles signals itself")),
    ForeignProperty("log.queue", .refused("remove it: kedge logs for librdkafka; use debug and log_level")),
    ForeignProperty("default_topic_conf", .refused("write the topic's properties here directly")),
    ForeignProperty("enabled_events", .refused(programs)),
    ForeignProperty("opaque", .refused(programs)),
    ForeignProperty("interceptors", .refused(programs)),
    ForeignProperty("msg_order_cmp", .refused(programs)),
    ForeignProperty("ssl_engine_callback_data", .refused(programs)),
    ForeignProperty("ssl_key", .refused("use ssl.key.pem")),
    ForeignProperty("ssl_certificate", .refused("use ssl.certificate.pem")),
    ForeignProperty("ssl_ca", .refused("use ssl.ca.pem")),
    ForeignProperty("builtin.features", .refused("remove it: it says what librdkafka was built with")),
]
