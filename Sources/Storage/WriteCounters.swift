/// What a database has written since it was opened: what an SD card wears by.
public struct WriteCounters: Equatable, Sendable {
    /// Bytes given to the kernel, for the database and its write-ahead log together. The index of the log
    /// (`-shm`) is shared memory and not among them.
    public var bytes: UInt64 = 0
    /// Calls of write.
    public var writes: UInt64 = 0
    /// Calls of fsync or fdatasync.
    public var syncs: UInt64 = 0

    public init() {}
}
