import Agent
import Configuration
import Foundation
import Kafka
import Testing

/// The example that users start from says what the code does: as it is, and with every commented key switched on.
@Suite struct ExampleConfigurationTests {
    private func example() throws -> String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return try String(contentsOf: root.appendingPathComponent("deploy/kedge.example.yaml"), encoding: .utf8)
    }

    private func problems(_ text: String) -> [String] {
        let diagnostics = Diagnostics(file: "kedge.example.yaml")
        let settings = AgentSettings.decode(
            bytes: Array(text.utf8), environment: { _ in nil }, diagnostics: diagnostics)
        #expect((settings == nil) == !diagnostics.isEmpty)
        return diagnostics.lines
    }

    @Test func theExampleAsItIsHasNoProblem() throws {
        #expect(problems(try example()) == [])
    }

    @Test func everyCommentedKeyIsKnownAndRight() throws {
        let password = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try "secret\n".write(to: password, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: password) }
        let keys = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: keys) }
        let digits = String(repeating: "5a", count: 32)
        try "ops-1 \(digits)\nops-2 \(digits)\n".write(to: keys, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: keys.path)
        let publicKey = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: publicKey) }
        // RFC 8032 section 7.1, test 1.
        try """
        id: app
        -----BEGIN PUBLIC KEY-----
        MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
        -----END PUBLIC KEY-----

        """.write(to: publicKey, atomically: true, encoding: .utf8)
        var uncommented = 0
        let lines = try example().replacingOccurrences(of: "/etc/kedge/password", with: password.path)
            .replacingOccurrences(of: "/etc/kedge/commands.key", with: keys.path)
            .replacingOccurrences(of: "/etc/kedge/app.pub", with: publicKey.path)
            .split(separator: "\n", omittingEmptySubsequences: false)
            .map { line -> String in
                // A commented key, or an element of a list; prose has neither a colon after one word nor a dash.
                guard let match = line.firstMatch(of: /^(\s*)# (\s*(- )?(\{.*|[a-z0-9_.-]+:( .*)?))$/) else {
                    return String(line)
                }
                uncommented += 1
                return String(match.1) + String(match.2)
            }
        #expect(problems(lines.joined(separator: "\n")) == [])
        #expect(uncommented > 70)
    }
}

/// The README's tables say what the code does.
@Suite struct ReadmeTests {
    private func readme() throws -> String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return try String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
    }

    @Test func itListsEveryDefaultPropertyWithItsValueAndReason() throws {
        let rows = Set(try readme().split(separator: "\n").map(String.init))
        for property in defaultProperties {
            let row = "| \(property.client) | `\(property.name)` | \(property.value) | \(property.reason) |"
            #expect(rows.contains(row), "\(row)")
        }
        #expect(
            rows.filter { $0.hasPrefix("| producer |") || $0.hasPrefix("| consumer |") || $0.hasPrefix("| both |") }
                .count == defaultProperties.count)
    }

    @Test func itsConfigurationIsRight() throws {
        // The first YAML block: indented by four, from `node:` to the next line that is not.
        let lines = try readme().split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let start = try #require(lines.firstIndex { $0.hasPrefix("    node: ") })
        let block = lines[start...].prefix { $0.hasPrefix("    ") }.map { String($0.dropFirst(4)) }
        let diagnostics = Diagnostics(file: "README.md")
        _ = AgentSettings.decode(
            bytes: Array(block.joined(separator: "\n").utf8), environment: { _ in nil }, diagnostics: diagnostics)
        #expect(diagnostics.lines == [])
        #expect(block.count > 10)
    }
}
