import Platform
import Testing

@testable import Configuration

@Suite struct SecrecyTests {
    @Test(arguments: [
        "password", "sasl.password", "ssl.key.password", "PASSWORD", "db_passwd", "passphrase", "client.secret",
        "secrets",
        "apiToken", "hmac_key", "credentials", "ssl.key.pem", "sasl.oauthbearer.config", "passwords",
    ])
    func keysOfSecrets(key: String) { #expect(Secrecy(key: key) == .secret) }

    @Test(arguments: ["key", "keys", "pin", "pins", "reset_pin"])
    func keysInDoubt(key: String) { #expect(Secrecy(key: key) == .doubtful) }

    @Test(arguments: ["every", "ssl.key.location", "key_file", "sasl.username", "id", "s", "", "bypass", "access"])
    func keysOfOpenValues(key: String) { #expect(Secrecy(key: key) == .open) }

    /// The value reads as "hunter2", or holds it, and must not be seen whatever is wrong with it.
    @Test(arguments: [
        "password: hunter2",
        "password: 'hunter2'",
        "password: x${file:/pw}y",
        "password: ${env:PW}",
        "password: ${env:NOT:-hunter2}",
        "password: ${hunter2}",
        "password: ${hunter2:x}",
        "password: ${x:hunter2}",
        "password: ab${hunter2",
        "password: ${env:hunter2 }",
        "password: [hunter2]",
        "password: { a: { b: hunter2 } }",
        "anything: ${file:/pw}",
        "anything: x${env:NOT:-y}${file:/pw}",
        "key: ${env:PW}",
        "pin: \"${env:PW}\"",
        "url: http://me:hunter2@host/",
        "a: ${file:/pw}\nb: [ ${env:NOT}",
    ])
    func secretsAreNeverShown(text: String) {
        let source = Source(text, environment: ["PW": "hunter2"], files: ["/pw": "hunter2"])
        let (node, diagnostics) = source.parse()
        func misread(_ field: Field) {
            _ = field.integer(in: 0...1)
            _ = field.number(in: 0...1)
            _ = field.boolean()
            _ = field.interval(in: .zero ... .zero)
            _ = field.size(in: 0...1)
            _ = field.choice(["one", "hunter3"])
            _ = field.topic(TopicNames(node: "n", layer: nil))
            field.refuse(expected: "something else")
            _ = field.reader()
            switch field.node {
            case .scalar: break
            case .sequence: field.elements().forEach(misread)
            case .mapping: field.reader().fields().forEach(misread)
            }
        }
        if let node { Reader(node, path: "", diagnostics: diagnostics).fields().forEach(misread) }
        #expect(!diagnostics.isEmpty)
        for line in diagnostics.lines {
            #expect(!line.contains("hunter2"), "\(line)")
        }
    }

    @Test(arguments: [
        "a: &a hunter2\npassword: *a\n", "a: &a [hunter2]\npassword: *a\n", "a: &a { b: [hunter2] }\npassword: *a\n",
        "a: &a { password: hunter2 }\nb: { <<: *a }\n", "a: &a ${env:PW}\nkey: *a\n",
    ])
    func anAliasUnderASecretsKeyIsSecret(text: String) {
        let (node, _) = Source(text, environment: ["PW": "hunter2"]).parse()
        func shown(_ node: Node) -> String {
            switch node {
            case .scalar(let scalar): scalar.shown
            case .sequence(let nodes, _): nodes.map(shown).joined()
            case .mapping(let entries, _): entries.map { shown($0.value) }.joined()
            }
        }
        guard case .mapping(let entries, _)? = node else {
            Issue.record("no mapping")
            return
        }
        #expect(entries.last.map { shown($0.value) } == "(secret, not shown)")
    }

    @Test func openValuesAreShown() {
        let source = Source("every: ${env:E}\npin: 99\nkey: ab\n", environment: ["E": "5 parsecs"])
        let lines = source.read {
            _ = $0.interval("every", in: .milliseconds(1) ... .seconds(86_400))
            _ = $0.integer("pin", in: 0...53)
            _ = $0.integer("key", in: 0...1)
        }.lines
        #expect(
            lines == [
                "kedge.yaml:1:8: every is \"5 parsecs\", expected a duration such as 500ms, 5s or 10m (1ms to 24h)",
                "kedge.yaml:2:6: pin is \"99\", expected an integer from 0 to 53",
                "kedge.yaml:3:6: key is \"ab\", expected an integer from 0 to 1",
            ])
    }

    @Test func hiddenValuesSayWhy() {
        let lines = Source("password: abc\n").read { _ = $0.integer("password", in: 0...1) }.lines
        #expect(lines == ["kedge.yaml:1:11: password is (secret, not shown), expected an integer from 0 to 1"])
    }
}
