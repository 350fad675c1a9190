import CSQLite
import Foundation

/// A SQLite VFS over the system's that writes down what is written, and can be told to fail. For one test at a time in one
/// process: methods find it by a global.
final class RecordingFileSystem: @unchecked Sendable {
    enum Step {
        case open(String)
        case write(String, offset: Int, [UInt8])
        case truncate(String, size: Int)
        case sync(String)
        case delete(String)
    }

    nonisolated(unsafe) static var steps: [Step] = []
    /// Writes fail with this code while it is not 0.
    nonisolated(unsafe) static var failure: Int32 = 0
    /// Reads do, too, with this one.
    nonisolated(unsafe) static var readFailure: Int32 = 0
    /// Files are opened for reading alone and none are made, as on a card that is mounted read-only.
    nonisolated(unsafe) static var isReadOnly = false
    nonisolated(unsafe) private static var below: UnsafeMutablePointer<sqlite3_vfs>?
    nonisolated(unsafe) private static var originals: [UnsafeRawPointer: UnsafePointer<sqlite3_io_methods>] = [:]
    nonisolated(unsafe) private static var tables: [UnsafeRawPointer: UnsafePointer<sqlite3_io_methods>] = [:]
    nonisolated(unsafe) private static var names: [UnsafeRawPointer: String] = [:]

    static let name = "recording"

    /// Registers it once.
    static let isRegistered: Bool = {
        guard let system = sqlite3_vfs_find(nil) else { return false }
        below = system
        let vfs = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
        vfs.initialize(to: system.pointee)
        vfs.pointee.zName = UnsafePointer(strdup(name))
        vfs.pointee.pNext = nil
        vfs.pointee.xOpen = { _, name, file, flags, granted in
            guard let below = RecordingFileSystem.below, let file else { return SQLITE_ERROR }
            if RecordingFileSystem.failure != 0, flags & SQLITE_OPEN_CREATE != 0, flags & SQLITE_OPEN_MAIN_DB == 0 {
                return RecordingFileSystem.failure
            }
            var flags = flags
            if RecordingFileSystem.isReadOnly {
                flags = flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) | SQLITE_OPEN_READONLY
            }
            let result = below.pointee.xOpen(below, name, file, flags, granted)
            if result == SQLITE_OK, let name { RecordingFileSystem.wrap(file, String(cString: name)) }
            return result
        }
        vfs.pointee.xDelete = { _, name, sync in
            guard let below = RecordingFileSystem.below else { return SQLITE_ERROR }
            if let name { RecordingFileSystem.steps.append(.delete(String(cString: name))) }
            return below.pointee.xDelete(below, name, sync)
        }
        return sqlite3_vfs_register(vfs, 0) == SQLITE_OK
    }()

    private static func wrap(_ file: UnsafeMutablePointer<sqlite3_file>, _ name: String) {
        guard let methods = file.pointee.pMethods else { return }
        // By the file, as a layer above may put its own table in place of ours.
        names[UnsafeRawPointer(file)] = name
        originals[UnsafeRawPointer(file)] = methods
        steps.append(.open(name))
        file.pointee.pMethods = table(for: methods)
    }

    private static func table(for methods: UnsafePointer<sqlite3_io_methods>) -> UnsafePointer<sqlite3_io_methods> {
        if let known = tables[UnsafeRawPointer(methods)] { return known }
        let copy = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
        copy.initialize(to: methods.pointee)
        copy.pointee.xWrite = { file, bytes, count, offset in
            if RecordingFileSystem.failure != 0 { return RecordingFileSystem.failure }
            if let bytes, let name = RecordingFileSystem.name(file) {
                let copy = Array(UnsafeRawBufferPointer(start: bytes, count: Int(count)))
                RecordingFileSystem.steps.append(.write(name, offset: Int(offset), copy))
            }
            return RecordingFileSystem.original(file)?.pointee.xWrite(file, bytes, count, offset) ?? SQLITE_IOERR
        }
        copy.pointee.xRead = { file, bytes, count, offset in
            if RecordingFileSystem.readFailure != 0 { return RecordingFileSystem.readFailure }
            return RecordingFileSystem.original(file)?.pointee.xRead(file, bytes, count, offset) ?? SQLITE_IOERR
        }
        copy.pointee.xTruncate = { file, size in
            if RecordingFileSystem.failure != 0 { return RecordingFileSystem.failure }
            if let name = RecordingFileSystem.name(file) {
                RecordingFileSystem.steps.append(.truncate(name, size: Int(size)))
            }
            return RecordingFileSystem.original(file)?.pointee.xTruncate(file, size) ?? SQLITE_IOERR
        }
        copy.pointee.xSync = { file, _ in
            if RecordingFileSystem.failure != 0 { return RecordingFileSystem.failure }
            if let name = RecordingFileSystem.name(file) { RecordingFileSystem.steps.append(.sync(name)) }
            return SQLITE_OK
        }
        tables[UnsafeRawPointer(methods)] = UnsafePointer(copy)
        return UnsafePointer(copy)
    }

    private static func name(_ file: UnsafeMutablePointer<sqlite3_file>?) -> String? {
        file.flatMap { names[UnsafeRawPointer($0)] }
    }

    private static func original(_ file: UnsafeMutablePointer<sqlite3_file>?) -> UnsafePointer<sqlite3_io_methods>? {
        file.flatMap { originals[UnsafeRawPointer($0)] }
    }
}
