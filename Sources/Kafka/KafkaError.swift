import CRdkafka
import Platform

/// What librdkafka or a broker answered instead of doing what was asked.
public struct KafkaError: Error, Equatable, Sendable {
    /// `rd_kafka_resp_err_t`: negative for librdkafka's own errors, positive for the Kafka protocol's.
    public let code: Int32
    /// What was being done, and to what, such as `creating the producer` or `topic sensors`.
    public let place: String
    /// librdkafka's words for this one case; the words for the code where it had none.
    public let reason: String
    /// The instance that raised it is of no use any more and must be made anew
    /// (librdkafka, INTRODUCTION.md, "Fatal errors").
    public let isFatal: Bool

    public init(code: Int32, place: String, reason: String? = nil, isFatal: Bool = false) {
        self.code = code
        self.place = place
        self.reason = reason ?? errorReason(code)
        self.isFatal = isFatal
    }

    init(_ code: rd_kafka_resp_err_t, place: String, reason: String? = nil, isFatal: Bool = false) {
        self.init(code: code.rawValue, place: place, reason: reason, isFatal: isFatal)
    }

    /// The code's name, such as `_ALL_BROKERS_DOWN` or `TOPIC_AUTHORIZATION_FAILED`.
    public var name: String { errorName(code) }

    /// Whether librdkafka does not take the properties: the same fails again until somebody changes them.
    public var isWrongConfiguration: Bool { code == RD_KAFKA_RESP_ERR__INVALID_ARG.rawValue }

    /// Whether the same may succeed later, with this very instance.
    public var isRetriable: Bool { !isFatal && errorIsRetriable(code) }

    /// Such as "topic sensors: Broker: Topic authorization failed (TOPIC_AUTHORIZATION_FAILED)".
    public var description: String { "\(place): \(reason) (\(name))" }
}

func errorName(_ code: Int32) -> String {
    String(cString: rd_kafka_err2name(rd_kafka_resp_err_t(rawValue: code)))
}

func errorReason(_ code: Int32) -> String {
    String(cString: rd_kafka_err2str(rd_kafka_resp_err_t(rawValue: code)))
}

/// Whether a record that failed with `code` is worth another attempt.
///
/// What is wrong with the link, the cluster, the permissions or this client can be put right while the record
/// waits, so these are retriable. What is wrong with the record itself stays wrong: the codes of brokers below are those
/// of a Produce request that Kafka's table of errors (kafka.apache.org/protocol, "Error Codes") does not call retriable.
/// `INVALID_MSG`, Kafka's CORRUPT_MESSAGE, is not among them: a batch that arrived damaged is sound when it is sent again.
func errorIsRetriable(_ code: Int32) -> Bool {
    switch rd_kafka_resp_err_t(rawValue: code) {
    case RD_KAFKA_RESP_ERR__BAD_MSG, RD_KAFKA_RESP_ERR__BAD_COMPRESSION, RD_KAFKA_RESP_ERR__INVALID_ARG,
        RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,
        RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
        RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT,
        RD_KAFKA_RESP_ERR_POLICY_VIOLATION, RD_KAFKA_RESP_ERR_INVALID_RECORD:
        false
    default: true
    }
}
