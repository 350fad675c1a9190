import Agent
import Configuration
import Foundation
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
        var uncommented = 0
        let lines = try example().replacingOccurrences(of: "/etc/kedge/password", with: password.path)
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
