import CRdkafka
import CShim

/// The one owner of a `rd_kafka_topic_partition_list_t`.
final class PartitionList {
    let pointer: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?

    init(capacity: Int) { pointer = rd_kafka_topic_partition_list_new(Int32(clamping: capacity)) }

    deinit { if let pointer { rd_kafka_topic_partition_list_destroy(pointer) } }

    /// - Parameter offset: where to go on; logical offsets (`RD_KAFKA_OFFSET_…`) are permitted.
    func add(_ topic: String, _ partition: Int32, offset: Int64 = Int64(RD_KAFKA_OFFSET_INVALID)) {
        guard let pointer, let entry = rd_kafka_topic_partition_list_add(pointer, topic, partition) else { return }
        entry.pointee.offset = offset
    }

    /// - Parameter metadata: what the group keeps beside the offset; may be empty.
    func add(_ topic: String, _ partition: Int32, offset: Int64, metadata: String) {
        guard let pointer, let entry = rd_kafka_topic_partition_list_add(pointer, topic, partition) else { return }
        entry.pointee.offset = offset
        let size = metadata.utf8.count
        // librdkafka frees it with the list.
        guard size > 0, let copy = strdup(metadata) else { return }
        entry.pointee.metadata = UnsafeMutableRawPointer(copy)
        entry.pointee.metadata_size = size
    }

    /// - Parameter place: an entry of a list or of an event.
    static func place(_ entry: rd_kafka_topic_partition_t) -> MessagePlace {
        MessagePlace(
            topic: entry.topic.map { String(cString: $0) } ?? "", partition: entry.partition, offset: entry.offset)
    }
}
