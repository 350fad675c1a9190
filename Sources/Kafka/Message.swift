import CRdkafka
import Platform

/// Where a message stands: what a commit names.
public struct MessagePlace: Equatable, Hashable, Sendable {
    public let topic: String
    public let partition: Int32
    public let offset: Int64

    public init(topic: String, partition: Int32, offset: Int64) {
        self.topic = topic
        self.partition = partition
        self.offset = offset
    }

    /// Whether both are of one partition.
    func isBeside(_ other: MessagePlace) -> Bool { partition == other.partition && sameBytes(topic, other.topic) }
}

/// A message in librdkafka's memory: valid only during the call that hands it over.
public struct Message {
    private let message: UnsafePointer<rd_kafka_message_t>

    init(_ message: UnsafePointer<rd_kafka_message_t>) { self.message = message }

    public var topic: String {
        guard let topic = message.pointee.rkt, let name = rd_kafka_topic_name(topic) else { return "" }
        return String(cString: name)
    }
    public var partition: Int32 { message.pointee.partition }
    public var offset: Int64 { message.pointee.offset }
    public var place: MessagePlace { MessagePlace(topic: topic, partition: partition, offset: offset) }

    /// Empty when the message has no key.
    public var key: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: message.pointee.key, count: message.pointee.key == nil ? 0 : message.pointee.key_len)
    }
    /// Empty also for a tombstone.
    public var payload: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: message.pointee.payload, count: message.pointee.payload == nil ? 0 : message.pointee.len)
    }
    /// Whether it has no value at all: on a compacted topic, the deletion of its key.
    public var isTombstone: Bool { message.pointee.payload == nil }

    /// When it was made or, by the topic's configuration, appended; milliseconds are its resolution.
    public var timestamp: WallTime? {
        var type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
        let milliseconds = rd_kafka_message_timestamp(message, &type)
        guard type != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE, milliseconds >= 0 else { return nil }
        return WallTime(nanoseconds: milliseconds &* 1_000_000)
    }

    /// The value of the last header of that name; `nil` when there is none, empty when it has no value.
    public func header(_ name: StaticString) -> UnsafeRawBufferPointer? {
        var headers: OpaquePointer?
        guard rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
        var value: UnsafeRawPointer?
        var size = 0
        let found = name.withUTF8Buffer { name in
            // A StaticString ends with a zero byte.
            rd_kafka_header_get_last(
                headers, UnsafeRawPointer(name.baseAddress)?.assumingMemoryBound(to: CChar.self), &value, &size)
        }
        return found == RD_KAFKA_RESP_ERR_NO_ERROR ? UnsafeRawBufferPointer(start: value, count: size) : nil
    }

    /// All headers in their order; a name may occur more than once.
    public func forEachHeader(_ body: (_ name: String, _ value: UnsafeRawBufferPointer) -> Void) {
        var headers: OpaquePointer?
        guard rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR else { return }
        var index = 0
        var name: UnsafePointer<CChar>?
        var value: UnsafeRawPointer?
        var size = 0
        while rd_kafka_header_get_all(headers, index, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR {
            if let name { body(String(cString: name), UnsafeRawBufferPointer(start: value, count: size)) }
            index += 1
        }
    }
}
