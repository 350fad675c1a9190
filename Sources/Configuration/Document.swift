import CShim
import Platform

/// The configuration's text, bounded so that no file, however made, costs more than a moment and a few megabytes.
public enum Document {
    /// The largest file, in bytes.
    public static let maximumSize = 1 << 20
    /// How many values and keys it may hold, counting each use of an alias with all that it stands for.
    public static let maximumNodes = 100_000
    /// How deep lists and mappings may nest.
    public static let maximumDepth = 64
    /// How many keys one mapping may have.
    public static let maximumKeys = 1_000
    /// How many anchors (`&name`) it may have.
    public static let maximumAnchors = 1_000

    /// Parses YAML (1.1, by libyaml) and replaces `${…}` in its values (`Substitution` has the forms).
    ///
    /// One document; keys are text and stand once each; aliases and merge keys (`<<`) work; tags are refused.
    /// - Parameters:
    ///   - bytes: the file, at most 1 MiB.
    ///   - environment: the value of an environment variable, or `nil` when it is not set.
    ///   - readFile: what a file named in `${file:…}` holds; `Document.read` serves.
    ///   - diagnostics: gets every problem, with the exact place.
    /// - Returns: the tree, also when there were problems that leave one, so that a `Reader` finds the rest of the
    ///   mistakes: whether the configuration is good, `diagnostics` alone tells. `nil` when it is no YAML.
    public static func parse(
        bytes: [UInt8], environment: @escaping (String) -> String?,
        readFile: @escaping (String) throws(SystemError) -> [UInt8], diagnostics: Diagnostics
    ) -> Node? {
        if bytes.count > maximumSize {
            diagnostics.report(
                Mark(line: 1, column: 1), "the file has \(bytes.count) bytes",
                expected: "at most 1 MiB (\(maximumSize))")
            return nil
        }
        let substitution = Substitution(environment: environment, readFile: readFile, diagnostics: diagnostics)
        return bytes.withUnsafeBufferPointer { all in
            // A byte order mark would shift the first line's columns.
            let marked = all.count >= 3 && all[0] == 0xef && all[1] == 0xbb && all[2] == 0xbf
            let source = marked ? UnsafeBufferPointer(rebasing: all[3...]) : all
            return Composer(source, substitution, diagnostics).document()
        }
    }

    /// Reads a file of at most `limit` bytes.
    /// - Throws: `SystemError`; `EFBIG` when it is larger.
    public static func read(_ path: String, limit: Int = maximumSize) throws(SystemError) -> [UInt8] {
        let descriptor = try systemCall("open", on: path) { kedge_open(path, O_RDONLY) }
        defer { _ = close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4_096)
        while true {
            let count = try systemCall("read", on: path) {
                chunk.withUnsafeMutableBytes { CShim.read(descriptor, $0.baseAddress, $0.count) }
            }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
            if bytes.count > limit { throw SystemError(call: "read", code: EFBIG, subject: path) }
        }
    }
}
