import CShim
import Platform

/// Keeps a second agent off a file that only one may write. Both would give the same numbers to different things: the
/// outbox's positions to records, the claims' sequences to commands; and each would do what the other has taken on.
///
/// It is a lock (`flock(2)`) on an empty file beside it, `<path>.lock`, which ends with the process, however that ends.
/// The database itself stays open to all who look at it: SQLite's own locks hold for a transaction only.
public final class FileLock {
    private let descriptor: Descriptor

    private init(_ descriptor: Descriptor) { self.descriptor = descriptor }

    /// Takes the lock for the file at `path`; it is held for as long as the result lives.
    /// - Parameters:
    ///   - setting: what in the configuration names the file, for the error, such as `outbox.path`.
    ///   - creating: `false` makes no `<path>.lock` where there is none, and so nobody who has it.
    /// - Returns: `nil` where there are no locks, or no such folder: the file itself will tell what is wrong.
    /// - Throws: `StorageError` with `isBusy` when another has it.
    public static func take(
        _ path: String, setting: StaticString, creating: Bool = true
    ) throws(StorageError) -> FileLock? {
        let name = path + ".lock"
        do throws(SystemError) {
            let descriptor = try Descriptor.open(name, flags: creating ? O_RDWR | O_CREAT : O_RDONLY)
            try systemCall("flock", on: name) { kedge_lock(descriptor.number) }
            return FileLock(descriptor)
        } catch {
            guard error.code == EAGAIN else { return nil }
            throw StorageError(
                file: path, operation: "lock", code: 5,
                reason: joined(
                    "another agent has it; stop that one, or give this one a different ", String(setting)))
        }
    }
}
