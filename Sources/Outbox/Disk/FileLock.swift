import CShim
import Platform
import Storage

/// Keeps a second agent off an outbox's file: both would give the same positions to different records, and each would
/// send what the other has stored.
///
/// It is a lock (`flock(2)`) on an empty file beside it, `<path>.lock`, which ends with the process, however that ends.
/// The database itself stays open to all who look at it: SQLite's own locks hold for a transaction only.
final class FileLock {
    private let descriptor: Descriptor

    private init(_ descriptor: Descriptor) { self.descriptor = descriptor }

    /// Takes the lock for the file at `path`.
    /// - Returns: `nil` where there are no locks: that is no reason to have no outbox.
    /// - Throws: `StorageError` with `isBusy` when another has it.
    static func take(_ path: String) throws(StorageError) -> FileLock? {
        let name = path + ".lock"
        do throws(SystemError) {
            let descriptor = try Descriptor.open(name, flags: O_RDWR | O_CREAT)
            try systemCall("flock", on: name) { kedge_lock(descriptor.number) }
            return FileLock(descriptor)
        } catch {
            guard error.code == EAGAIN else { return nil }
            throw StorageError(
                file: path, operation: "lock", code: 5,
                reason: "another agent has it; stop that one, or give this one an outbox.path of its own")
        }
    }
}
