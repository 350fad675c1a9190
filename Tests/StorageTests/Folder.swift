import Foundation
import Platform
import Testing

@testable import Storage

/// A folder of its own for a test, which goes with it.
final class Folder {
    let path: String

    init() {
        // In memory where there is such a place: these tests are about what is written, not about how long it takes.
        let memory = "/dev/shm"
        let parent =
            FileManager.default.isWritableFile(atPath: memory)
            ? memory : FileManager.default.temporaryDirectory.path
        path = "\(parent)/kedge-\(UUID().uuidString)"
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }
    func size(_ name: String) -> Int {
        (try? FileManager.default.attributesOfItem(atPath: file(name)))?[.size] as? Int ?? -1
    }
}
