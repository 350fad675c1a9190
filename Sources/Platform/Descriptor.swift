import CShim

/// The one owner of an open file descriptor: closed when the owner goes.
public final class Descriptor {
    public let number: Int32

    /// Takes over an open descriptor.
    public init(owning number: Int32) { self.number = number }

    deinit { _ = close(number) }

    /// Opens `path` with `flags` (`O_RDONLY` …) and close-on-exec.
    public static func open(_ path: String, flags: Int32) throws(SystemError) -> Descriptor {
        Descriptor(owning: try systemCall("open", on: path) { path.withCString { kedge_open($0, flags) } })
    }

    /// A counter that wakes whoever waits for it (`eventfd(2)`), not blocking.
    public static func event() throws(SystemError) -> Descriptor {
        Descriptor(owning: try systemCall("eventfd") { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) })
    }

    /// Adds one to an `event()` descriptor. Never blocks: a full counter is already awake.
    public func signal() {
        var one: UInt64 = 1
        _ = write(number, &one, 8)
    }

    /// Sets an `event()` descriptor back to zero; what it had counted.
    @discardableResult
    public func drain() -> UInt64 {
        var count: UInt64 = 0
        return read(number, &count, 8) == 8 ? count : 0
    }
}

/// Reads a whole small file, such as a sysfs attribute.
/// - Parameter limit: the most bytes taken; what is longer is cut there.
public func readFile(_ path: String, limit: Int = 65_536) throws(SystemError) -> [UInt8] {
    let descriptor = try Descriptor.open(path, flags: O_RDONLY)
    var bytes: [UInt8] = []
    let chunk = 4_096
    while bytes.count < limit {
        let start = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: min(chunk, limit - start)))
        let room = bytes.count - start
        var failure: SystemError?
        let count = bytes.withUnsafeMutableBytes { buffer -> Int in
            do throws(SystemError) {
                return try systemCall("read", on: path) {
                    read(descriptor.number, buffer.baseAddress.map { $0 + start }, room)
                }
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        bytes.removeLast(room - count)
        if count == 0 { break }
    }
    return bytes
}
