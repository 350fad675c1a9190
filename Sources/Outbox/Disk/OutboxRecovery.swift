import CShim
import Platform
import Records
import Storage

/// What has become of a damaged file.
public struct OutboxRecovery: Sendable {
    /// Where it is now.
    public var setAside = ""
    /// Records that were read out of it.
    public var recovered: Int64 = 0
    /// Records that did not agree with their checksum.
    public var damaged: Int64 = 0
    /// Records that are missing, by the file's own count; `nil` where that cannot be read.
    public var lost: Int64?
    /// When the last record before the first missing one was sampled.
    public var lostAfter: WallTime?
    /// Whether it is still the same outbox to whoever has kept a position of it.
    public var isIdentityKept = false
}

extension OutboxFile {
    /// Opens the file; a damaged one is set aside as `<path>.damaged-<date>`, and what can be read of it is in
    /// the new file. A power cut in between leaves one or the other: the new file is complete before names change.
    static func openOrRecover(
        _ path: String, maxSize: Int64, at time: WallTime, known: KnownOutbox = KnownOutbox(),
        fileSystem: String? = nil,
        written: WriteCounters = WriteCounters()
    ) throws(StorageError) -> (file: OutboxFile, recovery: OutboxRecovery?) {
        let spare = path + ".recovering"
        if !exists(path), exists(spare) { try rename(spare, path) }
        do throws(StorageError) {
            let file = try open(
                path, access: .create, maxSize: maxSize, fileSystem: fileSystem, written: written)
            // Touches the root of every table: what is torn there shows now.
            _ = try file.state()
            return (file, nil)
        } catch {
            if !error.isDamage { throw error }
        }
        let recovery = try replace(path, maxSize: maxSize, at: time, known: known, fileSystem: fileSystem)
        let file = try open(path, access: .create, maxSize: maxSize, fileSystem: fileSystem, written: written)
        return (file, recovery)
    }

    /// Sets a damaged file aside and puts what can be read of it in its place. Nobody may have it open.
    static func replace(
        _ path: String, maxSize: Int64, at time: WallTime, known: KnownOutbox, fileSystem: String? = nil
    ) throws(StorageError) -> OutboxRecovery {
        let spare = path + ".recovering"
        remove(spare)
        var recovery = try recover(path, to: spare, known: known, fileSystem: fileSystem)
        let aside = freeName(path, time)
        // The log belongs to its file, by name; its index does not outlive it.
        (path + "-shm").withCString { _ = unlink($0) }
        let log = path + "-wal"
        if exists(log) {
            if isEmpty(log) { log.withCString { _ = unlink($0) } } else { try rename(log, aside + "-wal") }
        }
        try rename(path, aside)
        try rename(spare, path)
        recovery.setAside = aside
        return recovery
    }

    /// Copies what can be read of `path` into a new file at `copy`.
    public static func recover(
        _ path: String, to copy: String, fileSystem: String? = nil
    ) throws(StorageError) -> OutboxRecovery {
        try recover(path, to: copy, known: KnownOutbox(), fileSystem: fileSystem)
    }

    private static func recover(
        _ path: String, to copy: String, known: KnownOutbox, fileSystem: String?
    ) throws(StorageError) -> OutboxRecovery {
        let target = try open(copy, access: .create, fileSystem: fileSystem)
        let salvage = Salvage(path, into: target, known: known, fileSystem: fileSystem)
        let recovery = try salvage.run()
        try target.database.checkpoint(truncating: true)
        return recovery
    }

    /// Copies the file, which may have lost its name, to `copy`, which is on the disk when this returns.
    /// - Throws: errors of the copy; damage is none of those.
    func copy(to copy: String) throws(StorageError) {
        Self.remove(copy)
        do throws(StorageError) {
            let vacuum = try database.prepare("VACUUM INTO ?")
            try vacuum.bind(1, copy)
            try vacuum.run()
        } catch {
            throw error.isDamage
                ? StorageError(file: path, operation: "copy", code: 10, reason: error.reason) : error
        }
        do throws(SystemError) {
            let descriptor = try Descriptor.open(copy, flags: O_RDONLY)
            try systemCall("fsync", on: copy) { fsync(descriptor.number) }
        } catch {
            throw StorageError(file: copy, operation: "fsync", code: 10, reason: error.reason)
        }
    }

    /// Gives `copy` its place, where there is nothing but perhaps another's log.
    static func put(_ copy: String, at path: String) throws(StorageError) {
        remove(path)
        try rename(copy, path)
    }

    /// `<path>.damaged-20261121T094748Z`, with a number behind it where that is taken.
    private static func freeName(_ path: String, _ time: WallTime) -> String {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: TimestampFormat.maximumBytes, alignment: 1)
        defer { memory.deallocate() }
        var writer = ByteWriter(memory)
        TimestampFormat.rfc3339.write(time, to: &writer)
        var name = path + ".damaged-"
        // Without quotes, dashes, colons and milliseconds.
        for byte in writer.written.prefix(20) where byte != 34 && byte != 45 && byte != 58 {
            name.unicodeScalars.append(Unicode.Scalar(byte))
        }
        name += "Z"
        var free = name
        var number = 1
        while exists(free) {
            free = joined(name, "-", decimal(number))
            number += 1
        }
        return free
    }

    /// Whether a log with something in it belongs to the file.
    static func hasLog(_ path: String) -> Bool {
        let log = path + "-wal"
        return exists(log) && !isEmpty(log)
    }

    private static func isEmpty(_ path: String) -> Bool {
        do throws(SystemError) {
            return try readFile(path, limit: 1).isEmpty
        } catch {
            return false
        }
    }

    public static func exists(_ path: String) -> Bool { path.withCString { access($0, F_OK) } == 0 }

    private static func remove(_ path: String) {
        for suffix in ["", "-wal", "-shm"] { (path + suffix).withCString { _ = unlink($0) } }
    }

    private static func rename(_ old: String, _ new: String) throws(StorageError) {
        do throws(SystemError) {
            try systemCall("rename", on: old) {
                old.withCString { old in new.withCString { new in CShim.rename(old, new) } }
            }
        } catch {
            throw StorageError(file: old, operation: "rename", code: 10, reason: error.reason)
        }
    }
}
