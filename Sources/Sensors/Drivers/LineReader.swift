import CShim
import Platform

/// Reads a file line by line, with one line and 4 KiB of it in memory.
final class LineReader {
    /// The longest line, in bytes; the rest of a longer one is thrown away.
    static let limit = 16_384

    /// The current line, without its end.
    private(set) var line: [UInt8] = []
    /// Its number, from 1.
    private(set) var number = 0
    private(set) var isTooLong = false

    private let path: String
    private let descriptor: Descriptor
    private var chunk = [UInt8](repeating: 0, count: 4_096)
    private var position = 0
    private var filled = 0

    init(_ path: String) throws(SystemError) {
        self.path = path
        descriptor = try Descriptor.open(path, flags: O_RDONLY)
    }

    /// Moves to the next line; `false` at the end of the file.
    func next() throws(SystemError) -> Bool {
        line.removeAll(keepingCapacity: true)
        isTooLong = false
        var isEmpty = true
        while true {
            if position == filled {
                try fill()
                if filled == 0 { break }
            }
            isEmpty = false
            let rest = chunk[position..<filled]
            let end = rest.firstIndex(of: UInt8(ascii: "\n"))
            let part = rest[..<(end ?? rest.endIndex)]
            if line.count + part.count > Self.limit { isTooLong = true }
            if !isTooLong { line.append(contentsOf: part) }
            position = part.endIndex
            if end != nil {
                position += 1
                break
            }
        }
        if isEmpty { return false }
        number += 1
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        return true
    }

    private func fill() throws(SystemError) {
        position = 0
        filled = 0
        var failure: SystemError?
        filled = chunk.withUnsafeMutableBytes { bytes -> Int in
            do throws(SystemError) {
                return try systemCall("read", on: path) { read(descriptor.number, bytes.baseAddress, bytes.count) }
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
    }
}
