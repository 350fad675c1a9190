import CRdkafka
import Platform
import Records

/// A producer as the agent needs it, whichever way it delivers.
public protocol KafkaProducer: PositionedTransport {
    /// Called once, from the loop, when librdkafka can go on no longer: close this producer and make a new one.
    var onFatal: ((KafkaError) -> Void)? { get set }
    /// The identifier of a topic for `offer`; the same for the same name. The topic itself is not made.
    func topic(named name: String) throws(KafkaError) -> TopicID
    /// Sends what waits at once, and calls `done` with the number of records still outstanding when that is none or after
    /// `limit`.
    func flush(within limit: Interval, _ done: @escaping (Int) -> Void)
    /// Sends what waits now, without waiting for the brokers' answers: for a reply that somebody waits for.
    func hasten()
    /// Ends the producer within some seconds; what is outstanding is reported as failed, as far as a report can be had. What
    /// has had none by then gets none any more.
    /// - Returns: for how many records no report could be had while their payloads may be read still: those must be left
    ///   where they are. 0 when the instance has ended.
    @discardableResult
    func close() -> Int
    /// Ends the producer without holding up the loop: what is outstanding is reported as failed, and when that is done the
    /// instance is ended on `queue`, which blocks there. Nothing is taken any more meanwhile, and nothing is delivered any more when
    /// `done` is called: once, from the loop, and not after `close`.
    /// - Parameter done: gets the number of records for which no report could be had; their payloads must be left where
    ///   they are.
    func retire(on queue: any WorkQueue, _ done: @escaping (Int) -> Void)
}

extension KafkaError {
    /// Whether another producer of the same transactional.id has taken over: this one must not go on, nor come back.
    public var isFenced: Bool {
        switch rd_kafka_resp_err_t(rawValue: code) {
        // librdkafka takes the brokers' word in the answer to an offset for something that an abort helps against.
        case RD_KAFKA_RESP_ERR__FENCED, RD_KAFKA_RESP_ERR_PRODUCER_FENCED: return true
        case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH: return isFatal
        default: return false
        }
    }
}
