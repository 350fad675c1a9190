import CShim
import Configuration
import Platform

/// Reads a list of brokers as librdkafka does (`rd_kafka_broker_name_parse`), but refuses what it would pass over in
/// silence: it takes an empty name for `localhost`, `99999` for another port, and leaves out what it cannot read.
public enum BrokerList {
    /// What is wrong with a list.
    public struct Problem: Equatable, Sendable {
        /// The entry it was found in; `nil` where that is the list as a whole.
        let entry: String?
        let what: StaticString

        public static func == (left: Problem, right: Problem) -> Bool {
            sameBytes(left.entry ?? "", right.entry ?? "") && sameBytes(left.what.text, right.what.text)
        }

        /// Such as `"h:99999" has a port that is none`.
        /// - Parameter isHidden: whether the entry must not be shown.
        public func words(isHidden: Bool = false) -> String {
            guard let entry else { return what.text }
            // What has an @ is a login for somebody's else server, perhaps with its password.
            let isShown = !isHidden && !entry.utf8.contains(UInt8(ascii: "@"))
            return joined(isShown ? joined("\"", entry, "\"") : "an entry (not shown)", " ", what.text)
        }
    }

    /// What a list is made of, in words.
    public static var expected: String {
        "HOST, HOST:PORT or [IPv6]:PORT, several with commas between them; PROTOCOL:// may stand before each"
    }

    /// What is wrong with `list`; `nil` when nothing is. Of several problems the first.
    public static func problem(of list: String) -> Problem? {
        let bytes = Array(list.utf8)
        if bytes.allSatisfy({ $0 == UInt8(ascii: " ") }) { return Problem(entry: nil, what: "the list is empty") }
        for part in bytes.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
            // As after the comma of "a, b".
            let entry = part.drop { $0 == UInt8(ascii: " ") }
            if entry.isEmpty { return Problem(entry: nil, what: "an entry of the list is empty") }
            if let what = problem(ofEntry: entry) {
                return Problem(entry: String(decoding: entry, as: UTF8.self), what: what)
            }
        }
        return nil
    }

    private static func problem(ofEntry entry: ArraySlice<UInt8>) -> StaticString? {
        if entry.contains(where: { $0 <= 32 || $0 == 127 }) { return "has a blank in it" }
        var host = entry
        if let end = separator(in: entry) {
            if !isProtocol(entry[..<end]) {
                return "has a protocol that is none of plaintext, ssl, sasl_plaintext and sasl_ssl"
            }
            host = entry[(end + 3)...]
        }
        if host.first == UInt8(ascii: "[") {
            guard let end = host.firstIndex(of: UInt8(ascii: "]")), isIPv6(host[(host.startIndex + 1)..<end]) else {
                return "has no IPv6 address in its brackets"
            }
            let rest = host[(end + 1)...]
            if rest.isEmpty { return nil }
            return rest.first == UInt8(ascii: ":") && isPort(rest.dropFirst()) ? nil : wrongPort
        }
        // Two colons are no port: librdkafka takes them for an address without one.
        if isIPv6(host) { return nil }
        guard let colon = host.lastIndex(of: UInt8(ascii: ":")) else { return isHost(host) ? nil : wrongHost }
        if !isHost(host[..<colon]) { return wrongHost }
        return isPort(host[(colon + 1)...]) ? nil : wrongPort
    }

    private static var wrongPort: StaticString { "has a port that is not a number from 1 to 65535" }
    private static var wrongHost: StaticString { "has no host name or address" }

    /// Where `://` begins.
    private static func separator(in entry: ArraySlice<UInt8>) -> Int? {
        guard let colon = entry.firstIndex(of: UInt8(ascii: ":")), colon + 2 < entry.endIndex,
            entry[colon + 1] == UInt8(ascii: "/"), entry[colon + 2] == UInt8(ascii: "/")
        else { return nil }
        return colon
    }

    /// In any case of letters.
    private static func isProtocol(_ name: ArraySlice<UInt8>) -> Bool {
        String(decoding: name.map { lowercased($0) }, as: UTF8.self).isOneOf([
            "plaintext", "ssl", "sasl_plaintext", "sasl_ssl",
        ])
    }

    private static func isPort(_ digits: ArraySlice<UInt8>) -> Bool {
        guard digits.allSatisfy({ (48...57).contains($0) }),
            let number = wholeNumber(String(decoding: digits, as: UTF8.self))
        else { return false }
        return (1...65_535).contains(number)
    }

    private static func isHost(_ name: ArraySlice<UInt8>) -> Bool {
        !name.isEmpty
            && name.allSatisfy {
                (97...122).contains($0) || (65...90).contains($0) || (48...57).contains($0) || $0 == UInt8(ascii: ".")
                    || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
            }
    }

    /// With or without a zone, as in `fe80::1%eth0`.
    private static func isIPv6(_ text: ArraySlice<UInt8>) -> Bool {
        let address = text.prefix { $0 != UInt8(ascii: "%") }
        return kedge_is_ipv6(String(decoding: address, as: UTF8.self))
    }
}
