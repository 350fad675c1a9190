import CShim
import Platform

/// A file whose first page is gone cannot be opened at all, though all records may be there. But every outbox begins
/// alike: the tables are made in one order, so that their roots are the same pages, and the first page of a new outbox
/// serves (sqlite.org/fileformat.html, section 1.3).
enum FirstPage {
    private static var pageSize: Int { 4_096 }

    /// Copies `path` with the first page of `model`, an outbox without a log.
    /// - Returns: whether there was enough of it to copy.
    static func copy(_ path: String, with model: String, to copy: String) -> Bool {
        do throws(SystemError) {
            var first = try readFile(model, limit: pageSize)
            let source = try Descriptor.open(path, flags: O_RDONLY)
            let target = try Descriptor.open(copy, flags: O_WRONLY | O_CREAT | O_TRUNC)
            var pages: UInt32 = 0
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: pageSize, alignment: 8)
            defer { memory.deallocate() }
            // The rest first: how many pages there are is known at its end. Bytes behind the last whole page are no page.
            while try systemCall("read", on: path, { read(source.number, memory.baseAddress, pageSize) }) == pageSize {
                try write(UnsafeRawBufferPointer(memory), to: target, copy)
                pages += 1
            }
            guard pages > 1, first.count == pageSize else { return false }
            // Not in WAL mode; so many pages; no free ones, as far as is known.
            first[18] = 1
            first[19] = 1
            for index in 0..<4 { first[28 + index] = UInt8(truncatingIfNeeded: pages >> UInt32(24 - 8 * index)) }
            for index in 32..<40 { first[index] = 0 }
            _ = try systemCall("lseek", on: copy) { lseek(target.number, 0, SEEK_SET) }
            var failure: SystemError?
            first.withUnsafeBytes { bytes in
                do throws(SystemError) {
                    try write(bytes, to: target, copy)
                } catch {
                    failure = error
                }
            }
            return failure == nil
        } catch {
            return false
        }
    }

    private static func write(
        _ bytes: UnsafeRawBufferPointer, to target: Descriptor, _ path: String
    ) throws(SystemError) {
        _ = try systemCall("write", on: path) { kedge_write_all(target.number, bytes.baseAddress, bytes.count) }
    }
}
