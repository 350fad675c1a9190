import Platform
import Records

/// The record header `id`, `<node>/<boot>/<sequence>`, in memory that is used for one offer after the other.
final class RecordIdentity {
    private let memory: UnsafeMutableRawBufferPointer
    private let prefix: Int

    convenience init(node: String, boot: String) { self.init(origin: joined(node, "/", boot)) }

    /// - Parameter origin: `<node>/<boot>`.
    init(origin: String) {
        // A slash, and 20 digits.
        memory = UnsafeMutableRawBufferPointer.allocate(byteCount: origin.utf8.count + 21, alignment: 1)
        var writer = ByteWriter(memory)
        writer.write(utf8: origin)
        writer.write(UInt8(ascii: "/"))
        prefix = writer.count
    }

    deinit { memory.deallocate() }

    /// Stands until the next call.
    func bytes(_ sequence: UInt64) -> UnsafeRawBufferPointer {
        var writer = ByteWriter(UnsafeMutableRawBufferPointer(rebasing: memory[prefix...]))
        writer.write(sequence)
        return UnsafeRawBufferPointer(rebasing: memory[..<(prefix + writer.count)])
    }
}
