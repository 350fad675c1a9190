import CRdkafka
import Platform

/// A `rd_kafka_conf_t` on its way to becoming a client: kedge's defaults, then the user's properties, then those
/// that kedge owns, each overriding those before.
final class ClientConfiguration {
    private var configuration: OpaquePointer?
    private let place: String

    /// - Parameters:
    ///   - client: `both` for one that never connects: the embedded broker's.
    ///   - name: for `client.id`, and `group.id` of a consumer, where the user has set none.
    /// - Throws: `KafkaError` naming the property that librdkafka refuses; never its value when that is hidden.
    init(
        _ client: DefaultProperty.Client, name: String, properties: [Property],
        owned: [(name: StaticString, value: StaticString)]
    ) throws(KafkaError) {
        place =
            switch client {
            case .producer: "creating the producer"
            case .consumer: "creating the consumer"
            case .both: "creating the embedded broker"
            }
        configuration = rd_kafka_conf_new()
        try set("client.id", name)
        if client == .consumer { try set("group.id", name) }
        for property in defaultProperties where property.client == .both || property.client == client {
            if Self.isRuledOut(property, by: properties) { continue }
            try set(property.name.text, property.value.text)
        }
        for property in properties { try set(property.name, property.value) }
        for property in owned { try set(property.name.text, property.value.text) }
        try set("log.queue", "true")
    }

    deinit { if let configuration { rd_kafka_conf_destroy(configuration) } }

    /// As the agent's producer, and everyone's, has it.
    static func producer(name: String, properties: [Property]) throws(KafkaError) -> ClientConfiguration {
        try ClientConfiguration(.producer, name: name, properties: properties, owned: [])
    }

    /// As the consumer of commands has it.
    static func consumer(name: String, properties: [Property]) throws(KafkaError) -> ClientConfiguration {
        try ClientConfiguration(
            .consumer, name: name, properties: properties,
            owned: [
                ("enable.auto.commit", "false"), ("enable.auto.offset.store", "false"),
                ("enable.partition.eof", "true"),
            ])
    }

    /// A default that contradicts what the user chose yields to it.
    static func isRuledOut(_ property: DefaultProperty, by properties: [Property]) -> Bool {
        if property.name.equals("enable.idempotence") {
            return properties.contains(where: rulesOutIdempotence)
        }
        // A transaction has a time limit of its own, which a record's may not exceed.
        if property.name.equals("message.timeout.ms") {
            return properties.contains { $0.name.isEqual(to: "transactional.id") }
        }
        return false
    }

    static func rulesOutIdempotence(_ property: Property) -> Bool {
        let name = property.name
        if name.isEqual(to: "acks") || name.isEqual(to: "request.required.acks") {
            return !property.value.isEqual(to: "all") && !property.value.isEqual(to: "-1")
        }
        if name.isEqual(to: "retries") || name.isEqual(to: "message.send.max.retries") {
            return property.value.isEqual(to: "0")
        }
        if name.isEqual(to: "max.in.flight") || name.isEqual(to: "max.in.flight.requests.per.connection") {
            return (wholeNumber(property.value) ?? 0) > 5
        }
        return false
    }

    /// Sets a property that this librdkafka may be without.
    func setIfKnown(_ name: StaticString, _ value: String) {
        if let configuration { _ = ScratchConfiguration.set(name.text, value, in: configuration) }
    }

    private func set(_ name: String, _ value: String) throws(KafkaError) {
        guard let configuration else { throw KafkaError(RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE, place: place) }
        switch ScratchConfiguration.set(name, value, in: configuration) {
        case .accepted: return
        case .unknown:
            throw KafkaError(
                RD_KAFKA_RESP_ERR__INVALID_ARG, place: place, reason: joined(name, " is no property of librdkafka"))
        case .refused(let text):
            let isHidden = Property(name: name, value: value).isHidden
            throw KafkaError(
                RD_KAFKA_RESP_ERR__INVALID_ARG, place: place,
                reason: isHidden ? joined(name, ": librdkafka refuses the value (not shown)") : text)
        }
    }

    /// A property's value as librdkafka took it, when it is a number.
    func number(_ name: StaticString) -> Int? {
        text(name).flatMap { wholeNumber($0) }.flatMap { Int(exactly: $0) }
    }

    /// A property's value as librdkafka took it: its first 500 bytes or so.
    func text(_ name: StaticString) -> String? {
        guard let configuration else { return nil }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { text in
            var size = text.count
            guard let start = text.baseAddress,
                rd_kafka_conf_get(configuration, name.text, start, &size) == RD_KAFKA_CONF_OK
            else { return nil }
            return String(cString: start)
        }
    }

    /// Makes the client; its events of the kinds in `events` (`RD_KAFKA_EVENT_…`) come through its queue.
    /// - Throws: `KafkaError` with librdkafka's text: `isWrongConfiguration`, such as for properties that contradict each
    ///   other, or `_CRIT_SYS_RESOURCE`.
    func start(_ type: rd_kafka_type_t, events: Int32) throws(KafkaError) -> OpaquePointer {
        var failure: String?
        var code = RD_KAFKA_RESP_ERR__INVALID_ARG
        var client: OpaquePointer?
        rd_kafka_conf_set_events(configuration, events)
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { text in
            guard let start = text.baseAddress else { return }
            start[0] = 0
            client = rd_kafka_new(type, configuration, start, text.count)
            if client == nil {
                // Two codes are known: this one, where a thread or a descriptor was not to be had, and INVALID_ARG.
                if rd_kafka_last_error() == RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE {
                    code = RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE
                }
                failure = String(cString: start)
            }
        }
        guard let client else { throw KafkaError(code, place: place, reason: failure) }
        // librdkafka owns it from here on.
        configuration = nil
        return client
    }
}
