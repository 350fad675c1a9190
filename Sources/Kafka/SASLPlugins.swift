import CShim
import Platform

/// The plugins of the Cyrus SASL library.
///
/// librdkafka lets that library load all of its plugins with the first client, whatever the clients use. On Debian these are
/// ten libraries, and Berkeley DB for one of them: 0.6 MB resident. librdkafka needs them for Kerberos alone; `PLAIN`, the
/// `SCRAM` mechanisms and `OAUTHBEARER` are its own (librdkafka, INTRODUCTION.md, "SASL").
extension KafkaSettings {
    /// Whether a client may authenticate with Kerberos, which is the mechanism where none is set.
    var needsSASLPlugins: Bool { Self.needsSASLPlugins(producer) || Self.needsSASLPlugins(consumer) }

    /// Keeps this process from loading the plugins, unless a client may need them or `SASL_PATH` says where they are.
    ///
    /// To be called before the first client is created, and before there is a second thread (setenv(3)).
    public func leaveOutSASLPlugins() {
        // No folder, so nothing is found in it.
        if !needsSASLPlugins { setenv("SASL_PATH", "/dev/null", 0) }
    }

    private static func needsSASLPlugins(_ properties: [Property]) -> Bool {
        var isSASL = false
        var isBuiltIn = false
        // Of several, the last one counts.
        for property in properties {
            if property.name.isEqual(to: "security.protocol") {
                // librdkafka takes it in any case: sasl_ssl, SASL_PLAINTEXT.
                let second = property.value.utf8.dropFirst().first
                isSASL = second == UInt8(ascii: "a") || second == UInt8(ascii: "A")
            } else if property.name.isEqual(to: "sasl.mechanism") || property.name.isEqual(to: "sasl.mechanisms") {
                isBuiltIn =
                    property.value.isEqual(to: "PLAIN") || property.value.isEqual(to: "SCRAM-SHA-256")
                    || property.value.isEqual(to: "SCRAM-SHA-512") || property.value.isEqual(to: "OAUTHBEARER")
            }
        }
        return isSASL && !isBuiltIn
    }
}
