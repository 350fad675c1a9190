import CRdkafka
import Configuration
import Platform

/// Passes the user's properties through librdkafka's own check, one by one.
struct PropertyCheck {
    private let diagnostics: Diagnostics
    private let catalog = PropertyCatalog()
    private let scratch = ScratchConfiguration()

    init(diagnostics: Diagnostics) { self.diagnostics = diagnostics }

    func isForProducer(_ property: Property) -> Bool { catalog.find(property.name)?.producer ?? true }
    func isForConsumer(_ property: Property) -> Bool { catalog.find(property.name)?.consumer ?? true }

    /// The good ones, in librdkafka's names and units; the others are reported.
    func pass(_ properties: [Property], for client: DefaultProperty.Client) -> [Property] {
        var passed: [Property] = []
        for written in properties where !written.isBroken {
            guard let property = translate(written), isKnown(property, to: client) else { continue }
            if isAccepted(property, as: written) {
                passed.append(property)
            }
        }
        return passed
    }

    /// Two names of one property, librdkafka's own or Java's, in one mapping: only one of them can count, and which one
    /// nobody should have to guess. The second is reported.
    func reportAliases(_ properties: [Property]) {
        var seen: [(canonical: String, property: Property)] = []
        for property in properties {
            let canonical = canonicalName(property.name)
            guard let first = seen.first(where: { sameBytes($0.canonical, canonical) })?.property else {
                seen.append((canonical, property))
                continue
            }
            // The same name twice is another mistake, which the configuration's reader reports.
            if sameBytes(first.name, property.name) { continue }
            diagnostics.report(
                property.mark,
                joined(
                    property.name, " is the same property as ", first.name, " at line ", decimal(first.mark.line),
                    ": leave one of them out"))
        }
    }

    private func canonicalName(_ name: String) -> String {
        if catalog.find(name) == nil {
            for foreign in javaProperties where foreign.name.equals(name) {
                switch foreign.treatment {
                case .renamed(let other), .inKibibytes(let other): return catalog.canonicalName(other.text)
                case .refused: return name
                }
            }
        }
        return catalog.canonicalName(name)
    }

    private func translate(_ property: Property) -> Property? {
        if property.name.hasEnding("_cb") {
            diagnostics.report(
                property.mark, joined(property.name, " cannot be set: remove it: only a program can use it"))
            return nil
        }
        for foreign in ownedProperties where foreign.name.equals(property.name) { return apply(foreign, to: property) }
        // A newer librdkafka may know some of Java's by itself.
        if catalog.find(property.name) == nil {
            for foreign in javaProperties where foreign.name.equals(property.name) {
                return apply(foreign, to: property)
            }
        }
        // As Java writes them.
        if property.name.isEqual(to: "auto.offset.reset"), property.value.isEqual(to: "none") {
            return property.with(value: "error")
        }
        if property.name.isEqual(to: "ssl.endpoint.identification.algorithm"), property.value.utf8.isEmpty {
            return property.with(value: "none")
        }
        return property
    }

    private func apply(_ foreign: ForeignProperty, to property: Property) -> Property? {
        switch foreign.treatment {
        case .refused(let remedy):
            diagnostics.report(property.mark, joined(property.name, " cannot be set: ", remedy.text))
            return nil
        case .renamed(let name):
            // Java's -1 is the system's own buffer size, which librdkafka writes as 0.
            let isSystemSize = property.value.isEqual(to: "-1") && property.name.hasEnding("buffer.bytes")
            return property.with(name: name.text, value: isSystemSize ? "0" : property.value)
        case .inKibibytes(let name):
            let number = PropertyNumber(catalog.find(name.text))?.inBytes
            guard number?.allows(property.value) ?? true, let bytes = wholeNumber(property.value), bytes > 0 else {
                refuse(property, number)
                return nil
            }
            return property.with(name: name.text, value: decimal((bytes - 1) / 1_024 + 1))
        }
    }

    private func refuse(_ property: Property, _ number: PropertyNumber?) {
        diagnostics.report(
            property.mark, joined(property.name, ": ", property.shownValue),
            expected: number?.words(property.name, property.isHidden ? "" : property.value) ?? "a number of bytes")
    }

    private func isKnown(_ property: Property, to client: DefaultProperty.Client) -> Bool {
        guard let entry = catalog.find(property.name) else { return true }
        switch client {
        case .producer where !entry.producer:
            diagnostics.report(property.mark, joined(property.name, " is for consumers: move it to kafka.consumer"))
            return false
        case .consumer where !entry.consumer:
            let remedy =
                property.name.isEqual(to: "request.timeout.ms") ? "use socket.timeout.ms" : "move it to kafka.producer"
            diagnostics.report(property.mark, joined(property.name, " is for producers: ", remedy))
            return false
        default: return true
        }
    }

    /// - Parameter written: the same by the name that stands in the configuration.
    private func isAccepted(_ property: Property, as written: Property) -> Bool {
        if property.namesBrokers, let problem = BrokerList.problem(of: property.value) {
            diagnostics.report(
                property.mark, joined(property.name, ": ", problem.words(isHidden: property.isHidden)),
                expected: BrokerList.expected)
            return false
        }
        if property.name.isEqual(to: "group.id"), property.value.utf8.isEmpty {
            // librdkafka takes it, and makes a consumer without a group of it, which cannot even be asked for messages.
            diagnostics.report(
                property.mark, "group.id is empty", expected: "a name; without group.id kedge chooses one")
            return false
        }
        let entry = catalog.find(property.name)
        let number = PropertyNumber(entry)
        if let number, !number.allows(property.value) {
            refuse(written, number)
            return false
        }
        switch scratch.set(property.name, property.value) {
        case .accepted: return true
        case .unknown:
            let hint = catalog.nearest(to: property.name).map { joined(", did you mean ", $0, "?") } ?? ""
            diagnostics.report(property.mark, joined(property.name, " is no property of librdkafka", hint))
        case .refused(let text):
            let range = entry?.range ?? ""
            if let number {
                refuse(written, number)
            } else if !range.isEmpty {
                diagnostics.report(property.mark, joined(property.name, ": ", property.shownValue), expected: range)
            } else if property.isHidden {
                // librdkafka's text may quote the value.
                diagnostics.report(property.mark, joined(property.name, ": librdkafka refuses the value (not shown)"))
            } else {
                diagnostics.report(property.mark, joined(property.name, ": ", text))
            }
        }
        return false
    }
}

/// A `rd_kafka_conf_t` to try values on.
final class ScratchConfiguration {
    enum Answer {
        case accepted, unknown
        case refused(String)
    }

    private let configuration: OpaquePointer? = rd_kafka_conf_new()

    deinit { if let configuration { rd_kafka_conf_destroy(configuration) } }

    func set(_ name: String, _ value: String) -> Answer {
        guard let configuration else { return .refused("no memory") }
        return Self.set(name, value, in: configuration)
    }

    /// Sets a property of any `rd_kafka_conf_t`.
    static func set(_ name: String, _ value: String, in configuration: OpaquePointer) -> Answer {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { text in
            guard let start = text.baseAddress else { return .refused("no memory") }
            start[0] = 0
            switch rd_kafka_conf_set(configuration, name, value, start, text.count) {
            case RD_KAFKA_CONF_OK: return .accepted
            case RD_KAFKA_CONF_UNKNOWN: return .unknown
            default: return .refused(String(cString: start))
            }
        }
    }
}
