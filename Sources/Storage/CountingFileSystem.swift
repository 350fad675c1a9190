import CSQLite
import Platform

/// A SQLite VFS (sqlite.org/vfs.html) that counts what passes to the one below it. Each database has its own.
///
/// Files are the ones of the VFS below, in its memory; only their method table is exchanged for a copy in which writing
/// and syncing are ours. The copy begins a block that also names the counters, so that a method finds them through
/// the file that it is called for. The system's VFS has one table for a file with locks and one for a log.
final class CountingFileSystem {
    /// What a counted file's method table points to.
    struct Block {
        var methods: sqlite3_io_methods
        var below: UnsafePointer<sqlite3_io_methods>?
        var counters: UnsafeMutablePointer<WriteCounters>
    }

    /// What the VFS's own functions find in `pAppData`.
    struct Context {
        var below: UnsafeMutablePointer<sqlite3_vfs>
        /// `mostTables` of them, those in use first.
        var blocks: UnsafeMutablePointer<Block>
    }

    private static var mostTables: Int { 4 }

    private let name: UnsafeMutablePointer<CChar>
    private let vfs: UnsafeMutablePointer<sqlite3_vfs>
    private let context: UnsafeMutablePointer<Context>
    private let blocks: UnsafeMutablePointer<Block>
    private let count: UnsafeMutablePointer<WriteCounters>

    /// Registers it.
    /// - Parameter below: the name of the VFS that does the work; `nil` for the system's.
    /// - Returns: `nil` when there is no such VFS, or no memory.
    static func make(over below: String?) -> CountingFileSystem? {
        let found = below.map { name in name.withCString { sqlite3_vfs_find($0) } } ?? sqlite3_vfs_find(nil)
        guard let found else { return nil }
        let system = CountingFileSystem(over: found)
        return sqlite3_vfs_register(system.vfs, 0) == SQLITE_OK ? system : nil
    }

    private init(over below: UnsafeMutablePointer<sqlite3_vfs>) {
        count = .allocate(capacity: 1)
        count.initialize(to: WriteCounters())
        blocks = .allocate(capacity: Self.mostTables)
        blocks.initialize(
            repeating: Block(methods: sqlite3_io_methods(), below: nil, counters: count), count: Self.mostTables)
        context = .allocate(capacity: 1)
        context.initialize(to: Context(below: below, blocks: blocks))
        vfs = .allocate(capacity: 1)
        vfs.initialize(to: below.pointee)
        // Its address is as good a name as any, and nobody else's.
        let text = joined("kedge-", decimal(UInt64(UInt(bitPattern: vfs))))
        name = .allocate(capacity: text.utf8.count + 1)
        var index = 0
        for byte in text.utf8 {
            name[index] = CChar(bitPattern: byte)
            index += 1
        }
        name[index] = 0
        vfs.pointee.zName = UnsafePointer(name)
        vfs.pointee.pNext = nil
        vfs.pointee.pAppData = UnsafeMutableRawPointer(context)
        vfs.pointee.xOpen = { vfs, name, file, flags, granted in
            CountingFileSystem.open(vfs, name, file, flags, granted)
        }
        vfs.pointee.xDelete = { vfs, name, sync in
            guard let below = CountingFileSystem.context(of: vfs)?.pointee.below else { return SQLITE_ERROR }
            return below.pointee.xDelete(below, name, sync)
        }
        vfs.pointee.xAccess = { vfs, name, flags, result in
            guard let below = CountingFileSystem.context(of: vfs)?.pointee.below else { return SQLITE_ERROR }
            return below.pointee.xAccess(below, name, flags, result)
        }
    }

    /// All files must be closed.
    deinit {
        sqlite3_vfs_unregister(vfs)
        vfs.deallocate()
        context.deallocate()
        blocks.deallocate()
        count.deallocate()
        name.deallocate()
    }

    /// For `sqlite3_open_v2`; stands as long as this lives.
    var cName: UnsafePointer<CChar> { UnsafePointer(name) }

    var counters: WriteCounters { count.pointee }

    private static func context(of vfs: UnsafeMutablePointer<sqlite3_vfs>?) -> UnsafeMutablePointer<Context>? {
        vfs?.pointee.pAppData?.assumingMemoryBound(to: Context.self)
    }

    private static func block(of file: UnsafeMutablePointer<sqlite3_file>?) -> UnsafeMutablePointer<Block>? {
        guard let methods = file?.pointee.pMethods else { return nil }
        return UnsafeMutableRawPointer(mutating: UnsafeRawPointer(methods)).assumingMemoryBound(to: Block.self)
    }

    private static func open(
        _ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ name: UnsafePointer<CChar>?,
        _ file: UnsafeMutablePointer<sqlite3_file>?, _ flags: Int32, _ granted: UnsafeMutablePointer<Int32>?
    ) -> Int32 {
        guard let context = context(of: vfs), let file else { return SQLITE_ERROR }
        let below = context.pointee.below
        let result = below.pointee.xOpen(below, name, file, flags, granted)
        guard result == SQLITE_OK, let methods = file.pointee.pMethods else { return result }
        for index in 0..<mostTables {
            let block = context.pointee.blocks + index
            if block.pointee.below == nil { fill(block, from: methods) }
            guard block.pointee.below == methods else { continue }
            file.pointee.pMethods = UnsafeRawPointer(block).assumingMemoryBound(to: sqlite3_io_methods.self)
            break
        }
        return result
    }

    private static func fill(_ block: UnsafeMutablePointer<Block>, from methods: UnsafePointer<sqlite3_io_methods>) {
        block.pointee.below = methods
        block.pointee.methods = methods.pointee
        block.pointee.methods.xWrite = { file, bytes, count, offset in
            guard let file, let block = CountingFileSystem.block(of: file), let below = block.pointee.below else {
                return SQLITE_IOERR
            }
            block.pointee.counters.pointee.writes += 1
            block.pointee.counters.pointee.bytes += UInt64(max(count, 0))
            return below.pointee.xWrite(file, bytes, count, offset)
        }
        block.pointee.methods.xSync = { file, flags in
            guard let file, let block = CountingFileSystem.block(of: file), let below = block.pointee.below else {
                return SQLITE_IOERR
            }
            block.pointee.counters.pointee.syncs += 1
            return below.pointee.xSync(file, flags)
        }
    }
}
