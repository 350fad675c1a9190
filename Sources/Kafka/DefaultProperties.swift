import Platform

/// What kedge sets where the user sets nothing: librdkafka's own defaults are made for servers.
public struct DefaultProperty: Sendable {
    public enum Client: Sendable { case both, producer, consumer }

    public let client: Client
    public let name: StaticString
    public let value: StaticString
    /// Why it differs from librdkafka's, in words for `--help` and the manual.
    public let reason: StaticString

    init(_ client: Client, _ name: StaticString, _ value: StaticString, _ reason: StaticString) {
        self.client = client
        self.name = name
        self.value = value
        self.reason = reason
    }
}

/// The defaults for a board with 512 MB of memory, an SD card and a bad link. The user's value always wins.
/// `client.id` and `group.id` are `kedge-<node>`.
public let defaultProperties: [DefaultProperty] = [
    DefaultProperty(
        .both, "socket.keepalive.enable", "true",
        "finds a link that died silently, which a broker behind NAT never reports"),
    DefaultProperty(
        .both, "socket.nagle.disable", "true",
        "a request is written as one piece; waiting for more would only delay it"),
    DefaultProperty(
        .both, "reconnect.backoff.ms", "250",
        "first wait before connecting again; librdkafka spreads it by -25 % to +50 %"),
    DefaultProperty(
        .both, "reconnect.backoff.max.ms", "30000",
        "longest wait, so that a fleet does not storm a broker that comes back"),
    DefaultProperty(
        .both, "log.connection.close", "false", "brokers close idle connections by design; that is no news"),
    DefaultProperty(
        .both, "statistics.interval.ms", "5000",
        "how soon kedge knows that its brokers are lost or back when nothing is sent; 0 leaves that to chance"),
    DefaultProperty(
        .producer, "queue.buffering.max.kbytes", "4096",
        "1 GiB by default; more than this waits in the outbox, which has a bound of its own"),
    DefaultProperty(
        .producer, "queue.buffering.max.messages", "5000", "each message costs about 200 bytes beside its payload"),
    DefaultProperty(
        .producer, "linger.ms", "200", "few, larger batches: fewer packets, better compression, a sleeping radio"),
    DefaultProperty(.producer, "batch.size", "65536", "bounds what one lost packet can hold up"),
    DefaultProperty(
        .producer, "compression.type", "gzip",
        "shrinks JSON to a fraction; every consumer reads it, while lz4 and zstd need a library in many languages"),
    DefaultProperty(.producer, "compression.level", "1", "the fastest; on JSON the others win little"),
    DefaultProperty(
        .producer, "enable.idempotence", "true",
        "a retry neither repeats nor reorders; left out when acks, retries or max.in.flight rule it out"),
    DefaultProperty(.producer, "acks", "all", "a record leaves the outbox only when all in-sync replicas have it"),
    DefaultProperty(
        .producer, "message.timeout.ms", "0",
        "no timeout: the outbox keeps the record anyway, and giving up would only send it again, out of order"),
    DefaultProperty(.consumer, "auto.offset.reset", "latest", "a first start must not replay old commands"),
    DefaultProperty(.consumer, "queued.max.messages.kbytes", "256", "64 MiB by default; commands are small"),
    DefaultProperty(.consumer, "queued.min.messages", "100", "100,000 by default; nobody commands that fast"),
    DefaultProperty(
        .consumer, "fetch.message.max.bytes", "65536",
        "what one answer may carry of a partition; a larger single message still arrives"),
    DefaultProperty(
        .consumer, "check.crcs", "true", "a message damaged on its way must not switch an actuator"),
    DefaultProperty(
        .consumer, "session.timeout.ms", "10000",
        "after a crash the group waits this long before the new process gets commands; 45 s by default"),
    DefaultProperty(
        .consumer, "topic.metadata.refresh.interval.ms", "60000",
        "how soon a command topic that is created later is noticed; 5 min by default"),
    DefaultProperty(
        .consumer, "allow.auto.create.topics", "true",
        "the node's own command topic exists from its first start, where the broker permits that"),
]

extension StaticString {
    /// As an ordinary string.
    var text: String { String(self) }

    func equals(_ text: String) -> Bool { text.isEqual(to: self) }
}
