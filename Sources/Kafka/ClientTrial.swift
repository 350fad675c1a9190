import CRdkafka
import CShim
import Configuration
import Platform

/// librdkafka looks at its properties one by one when they are set, and at all of them together only when a client is
/// made: whether they contradict each other, whether a login is complete, whether its files are there.
extension KafkaSettings {
    /// Makes a producer and a consumer as the agent will, and ends them at once. They get no brokers, so nothing is
    /// connected to or looked up. What librdkafka says against them is reported at the property that it names.
    /// - Parameters:
    ///   - name: `client.id` and `group.id` where the properties have none.
    ///   - mark: where `kafka:` stands, for what names no property that is written there.
    public func tryClients(name: String, delivery: DeliverySettings, mark: Mark, diagnostics: Diagnostics) {
        let isTransactional = delivery.mode == .exactlyOnce
        let identity = TransactionalProducer.Identity(client: name, topic: "")
        let more = isTransactional ? TransactionalProducer.properties(of: identity) : []
        do throws(KafkaError) {
            let properties = Self.withoutBrokers(producer) + more
            try ClientConfiguration.producer(name: name, properties: properties).tryOut(RD_KAFKA_PRODUCER)
        } catch {
            Self.report(error, of: producer, to: .producer, mark: mark, diagnostics)
        }
        do throws(KafkaError) {
            let properties = Self.withoutBrokers(consumer)
            try ClientConfiguration.consumer(name: name, properties: properties).tryOut(RD_KAFKA_CONSUMER)
        } catch {
            Self.report(error, of: consumer, to: .consumer, mark: mark, diagnostics)
        }
    }

    private static func withoutBrokers(_ properties: [Property]) -> [Property] {
        properties.filter { !$0.namesBrokers }
    }

    private static func report(
        _ error: KafkaError, of properties: [Property], to client: DefaultProperty.Client, mark: Mark,
        _ diagnostics: Diagnostics
    ) {
        // No thread to be had is no mistake of the configuration.
        if !error.isWrongConfiguration { return }
        let catalog = PropertyCatalog()
        let names = catalog.names(in: error.reason)
        func written(_ name: String) -> Property? {
            let canonical = catalog.canonicalName(name)
            return properties.last { sameBytes(catalog.canonicalName($0.name), canonical) }
        }
        var culprit: Property?
        for name in names where culprit == nil { culprit = written(name) }
        var text = shown(error.reason, properties)
        guard let culprit else {
            diagnostics.report(mark, joined("kafka: ", text, defaults(among: names, catalog, properties, client)))
            return
        }
        // OpenSSL's text for a file that is not there is "system lib".
        if culprit.name.hasEnding(".location"), let reason = whyUnreadable(culprit.value) { text = reason }
        diagnostics.report(
            culprit.mark,
            joined(
                culprit.name, ": ", culprit.shownValue, ": ", text,
                defaults(among: names, catalog, properties, client)))
    }

    /// librdkafka's words, unless they show what is hidden.
    private static func shown(_ reason: String, _ properties: [Property]) -> String {
        for property in properties where property.isHidden && holds(reason, property.value) {
            return "librdkafka refuses it (its words would show a hidden value)"
        }
        return reason
    }

    /// Whether `part`, which is not empty, stands in `text`.
    private static func holds(_ text: String, _ part: String) -> Bool {
        let text = Array(text.utf8)
        let part = Array(part.utf8)
        if part.isEmpty || part.count > text.count { return false }
        return (0...(text.count - part.count)).contains { text[$0..<($0 + part.count)].elementsEqual(part) }
    }

    private static func whyUnreadable(_ path: String) -> String? {
        do throws(SystemError) {
            try systemCall("access") { access(path, R_OK) }
            return nil
        } catch {
            return error.reason
        }
    }

    /// The values of named properties that kedge has chosen: the user cannot see them in the file.
    private static func defaults(
        among names: [String], _ catalog: PropertyCatalog, _ properties: [Property], _ client: DefaultProperty.Client
    ) -> String {
        var text = ""
        for name in names {
            let canonical = catalog.canonicalName(name)
            if properties.contains(where: { sameBytes(catalog.canonicalName($0.name), canonical) }) { continue }
            for property in defaultProperties where property.client == .both || property.client == client {
                guard sameBytes(catalog.canonicalName(property.name.text), canonical),
                    !ClientConfiguration.isRuledOut(property, by: properties)
                else { continue }
                text = joined(text, "; ", name, " is ", property.value.text, " where nothing is set")
            }
        }
        return text
    }
}

extension ClientConfiguration {
    /// Makes the client and ends it.
    /// - Throws: `KafkaError` as `start` does.
    fileprivate func tryOut(_ type: rd_kafka_type_t) throws(KafkaError) {
        // Neither a ticket nor a token is fetched: the shell ends before it gets to kinit, whose line is looked at all the
        // same, and no answer comes from where nobody listens.
        if let line = value("sasl.kerberos.kinit.cmd") {
            setIfKnown("sasl.kerberos.kinit.cmd", joined("exit 0; ", line))
        }
        if value("sasl.oauthbearer.token.endpoint.url") != nil {
            setIfKnown("sasl.oauthbearer.token.endpoint.url", "http://127.0.0.1:1/")
        }
        let client = try start(type, events: 0)
        let ending = Ending(client)
        _ = ClosingThread.perform(within: .milliseconds(500)) { ending.run() }
    }

    /// What a property has been set to, unless that is nothing.
    private func value(_ name: StaticString) -> String? { text(name).flatMap { $0.utf8.isEmpty ? nil : $0 } }
}
