import CRdkafka
import CShim
import Platform
import Records

/// Reads what a group has committed for partition 0 of a topic: the outbox's position.
///
/// It is a consumer of its own, for the moment: the producer could ask as well (`rd_kafka_ListConsumerGroupOffsets`), but
/// where the coordinator moves at that time librdkafka 2.0.2 then refers to a group that a producer does not have.
final class PositionReader {
    private let group: String
    private let topic: String
    private var handle: OpaquePointer?
    /// After `read` has succeeded; `nil` when the group never committed anything there.
    private(set) var position: CommittedPosition?

    /// - Parameter properties: `KafkaSettings.consumer`.
    init(name: String, group: String, topic: String, properties: [Property]) throws(KafkaError) {
        self.group = group
        self.topic = topic
        let configuration = try ClientConfiguration(
            .consumer, name: name,
            properties: properties + [
                Property(name: "group.id", value: group), Property(name: "statistics.interval.ms", value: "0"),
                // A transaction of this group that is about to end is waited for.
                Property(name: "isolation.level", value: "read_committed"),
            ], owned: [])
        handle = try configuration.start(RD_KAFKA_CONSUMER, events: 0)
    }

    deinit { close() }

    /// Asks the brokers; blocks for a second at most.
    func read() -> KafkaError? {
        let place = joined("kafka producer: position of group ", group)
        let list = PartitionList(capacity: 1)
        list.add(topic, 0)
        guard let handle, let entries = list.pointer else {
            return KafkaError(RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE, place: place)
        }
        let code = rd_kafka_committed(handle, entries, TransactionCalls.slice)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { return KafkaError(code, place: place) }
        let entry = entries.pointee.elems[0]
        guard entry.err == RD_KAFKA_RESP_ERR_NO_ERROR else { return KafkaError(entry.err, place: place) }
        if entry.offset >= 0 {
            let name = UnsafeRawBufferPointer(
                start: entry.metadata, count: entry.metadata == nil ? 0 : entry.metadata_size)
            position = CommittedPosition(number: entry.offset, outbox: String(decoding: name, as: UTF8.self))
        }
        close()
        return nil
    }

    /// Ends its client; blocks. Not while `read` runs.
    func close() {
        guard let handle else { return }
        self.handle = nil
        rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE)
    }
}
