import Foundation

/// A file that goes away with the test.
final class TemporaryFile {
    let path: String
    init(_ text: String) throws {
        path = NSTemporaryDirectory() + "kedge-\(UUID().uuidString)"
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }
}
