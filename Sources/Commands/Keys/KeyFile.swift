import CCrypto
import CShim
import Configuration
import Platform

/// A key's name in the header, in the files and in the configuration: 1 to 128 of the characters a-z A-Z 0-9 . _ -.
typealias KeyID = String

/// What was wrong with a key file, and what would be right. Never shows what a line holds.
public struct KeyFileError: Error, Equatable, Sendable {
    public let text: String
}

/// A key that was read, before it is known what for.
struct LoadedKey {
    enum Material {
        case shared(Secret)
        case ed25519(Ed25519Key)
    }

    let id: KeyID
    let material: Material
}

/// A file of keys.
///
/// HMAC keys stand one on a line, `<id> <key>`, the key in hexadecimal digits, 16 to 128 bytes (32 are right); empty lines and
/// lines that begin with `#` are skipped:
///
///     # since March
///     ops-2 7d0c…
///
/// Ed25519 keys are PEM (RFC 7468): `PUBLIC KEY` (RFC 8410 section 4) or unencrypted `PRIVATE KEY` (section 7), as
/// `openssl genpkey -algorithm ed25519` writes them. A line `id: NAME` before a block names it; without one it is named
/// as the file, less folder and ending.
final class KeyFile {
    enum Kind {
        case shared
        case publicKey
        case privateKey
    }

    /// The largest file, in bytes.
    static var maximumSize: Int { 16_384 }
    static var sharedKeySizes: ClosedRange<Int> { 16...128 }

    private let path: String
    private let content: Secret
    private var count = 0

    /// Reads the file.
    /// - Parameter isSecret: it must not be readable by everybody; a public one must only not be writable by everybody.
    init(_ path: String, isSecret: Bool) throws(KeyFileError) {
        self.path = path
        content = Secret(count: Self.maximumSize + 1)
        let mode: mode_t
        do throws(SystemError) {
            mode = try load()
        } catch {
            throw KeyFileError(text: error.description)
        }
        if isSecret, mode & 0o007 != 0 {
            throw KeyFileError(text: joined(path, ": every user may use this file, expected chmod o= (or 600)"))
        }
        if mode & 0o002 != 0 {
            throw KeyFileError(text: joined(path, ": every user may change this file, expected chmod o-w"))
        }
        if count > Self.maximumSize { throw KeyFileError(text: joined(path, ": more than 16 KiB, expected keys")) }
    }

    /// - Returns: the file's mode.
    private func load() throws(SystemError) -> mode_t {
        // Not blocking: a FIFO given by mistake would hold up the start.
        let descriptor = try Descriptor.open(path, flags: O_RDONLY | O_NONBLOCK)
        var info = stat()
        try systemCall("fstat", on: path) { fstat(descriptor.number, &info) }
        while count < content.memory.count {
            let start = count
            let length = try systemCall("read", on: path) {
                read(descriptor.number, content.memory.baseAddress.map { $0 + start }, content.memory.count - start)
            }
            if length == 0 { break }
            count += length
        }
        return info.st_mode
    }

    /// Whether it holds PEM and not lines of HMAC keys.
    var isPEM: Bool {
        var found = false
        forEachLine { _, line in if begins(line, with: "-----BEGIN ") { found = true } }
        return found
    }

    /// All keys in their order; one at least.
    func keys(_ kind: Kind) throws(KeyFileError) -> [LoadedKey] {
        var keys: [LoadedKey] = []
        var failure: KeyFileError?
        var block = Block()
        forEachLine { number, line in
            if failure != nil { return }
            do throws(KeyFileError) {
                let key =
                    kind == .shared
                    ? try shared(line, number) : try block.take(line, number, kind, path)
                guard let key else { return }
                if keys.contains(where: { sameBytes($0.id, key.id) }) {
                    throw error(number, joined("a second key \"", key.id, "\""), "an id of its own")
                }
                keys.append(key)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        if keys.isEmpty {
            throw KeyFileError(text: joined(path, ": no key in it, expected ", string(Self.words(kind))))
        }
        return keys
    }

    private static func words(_ kind: Kind) -> StaticString {
        switch kind {
        case .shared: "lines of an id and a key in hexadecimal digits (kedge keygen makes one)"
        case .publicKey: "Ed25519 public keys in PEM (kedge keygen --type ed25519 makes a pair)"
        case .privateKey: "an Ed25519 private key in PEM (kedge keygen --type ed25519 makes a pair)"
        }
    }

    private func error(_ line: Int, _ what: String, _ expected: String) -> KeyFileError {
        KeyFileError(text: joined(path, ":", decimal(line), ": ", what, ", expected ", expected))
    }

    /// Takes a line `<id> <key>`.
    private func shared(_ line: UnsafeRawBufferPointer, _ number: Int) throws(KeyFileError) -> LoadedKey? {
        if line.isEmpty || line[0] == 35 { return nil }
        var end = 0
        while end < line.count, !isBlank(line[end]) { end += 1 }
        var start = end
        while start < line.count, isBlank(line[start]) { start += 1 }
        // The first word may be a key without an id: it is not repeated.
        let expected = "an id and a key of 16 to 128 bytes in hexadecimal digits"
        guard start < line.count else { throw error(number, "one word", expected) }
        let key = Secret(count: (line.count - start) / 2)
        let digits = UnsafeRawBufferPointer(rebasing: line[start...])
        guard let count = Hexadecimal.read(digits, into: key.memory), Self.sharedKeySizes.contains(count) else {
            throw error(number, "the second word is no key", expected)
        }
        let id = String(decoding: line[..<end], as: UTF8.self)
        guard NameRule.node.allows(id) else {
            throw error(number, "the first word is no id", "1 to 128 of the characters a-z A-Z 0-9 . _ -")
        }
        return LoadedKey(id: id, material: .shared(key))
    }

    /// Calls `body` with each line, without the blanks at its ends, and its number.
    private func forEachLine(_ body: (Int, UnsafeRawBufferPointer) -> Void) {
        let bytes = UnsafeRawBufferPointer(rebasing: content.memory[..<count])
        var start = 0
        var number = 1
        while start < bytes.count {
            var end = start
            while end < bytes.count, bytes[end] != 10 { end += 1 }
            var first = start
            var last = end
            while first < last, isBlank(bytes[first]) { first += 1 }
            while last > first, isBlank(bytes[last - 1]) { last -= 1 }
            body(number, UnsafeRawBufferPointer(rebasing: bytes[first..<last]))
            start = end + 1
            number += 1
        }
    }

    /// The PEM block that is being read.
    private struct Block {
        private var id: KeyID?
        private var label: Bool?
        private var digits: Secret?
        private var count = 0

        /// The 44 or 48 bytes before padding, in base64.
        private static var capacity: Int { 128 }
        /// RFC 8410 section 4: SEQUENCE of the algorithm 1.3.101.112 and a BIT STRING of 32 bytes.
        private static var publicPrefix: [UInt8] {
            [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00]
        }
        /// RFC 8410 section 7: version 0, the same algorithm, an OCTET STRING in an OCTET STRING.
        private static var privatePrefix: [UInt8] {
            [0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20]
        }

        mutating func take(
            _ line: UnsafeRawBufferPointer, _ number: Int, _ kind: Kind, _ path: String
        ) throws(KeyFileError) -> LoadedKey? {
            func wrong(_ what: String) -> KeyFileError {
                KeyFileError(
                    text: joined(path, ":", decimal(number), ": ", what, ", expected ", string(KeyFile.words(kind))))
            }
            if begins(line, with: "-----BEGIN ") {
                let label: StaticString =
                    kind == .publicKey ? "-----BEGIN PUBLIC KEY-----" : "-----BEGIN PRIVATE KEY-----"
                guard line.count == label.utf8CodeUnitCount, begins(line, with: label) else {
                    throw wrong(String(decoding: line.prefix(48), as: UTF8.self))
                }
                digits = Secret(count: Self.capacity)
                count = 0
                return nil
            }
            guard let digits else {
                if begins(line, with: "id:") {
                    var start = 3
                    while start < line.count, isBlank(line[start]) { start += 1 }
                    id = String(decoding: line[start...], as: UTF8.self)
                }
                return nil
            }
            if begins(line, with: "-----END ") {
                self.digits = nil
                let name = id ?? fileTitle(path)
                id = nil
                guard NameRule.node.allows(name) else {
                    throw wrong("a key without a name that could be an id: put \"id: NAME\" before it")
                }
                guard let key = Self.key(digits, count, kind) else { throw wrong("this is no Ed25519 key") }
                return LoadedKey(id: name, material: .ed25519(key))
            }
            guard count + line.count <= digits.memory.count else { throw wrong("this is no Ed25519 key") }
            for byte in line {
                digits.memory[count] = byte
                count += 1
            }
            return nil
        }

        private static func key(_ digits: Secret, _ count: Int, _ kind: Kind) -> Ed25519Key? {
            let prefix = kind == .publicKey ? publicPrefix : privatePrefix
            let size = prefix.count + Ed25519Key.keySize
            // Groups of three bytes become four digits.
            guard count == (size + 2) / 3 * 4 else { return nil }
            let decoded = Secret(count: count / 4 * 3)
            let length = EVP_DecodeBlock(
                decoded.memory.baseAddress?.assumingMemoryBound(to: UInt8.self),
                digits.memory.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(count))
            guard length == decoded.memory.count, decoded.memory.prefix(prefix.count).elementsEqual(prefix) else {
                return nil
            }
            let bytes = UnsafeRawBufferPointer(rebasing: decoded.memory[prefix.count..<size])
            return kind == .publicKey ? Ed25519Key.publicKey(bytes) : Ed25519Key.privateKey(bytes)
        }

        /// The two texts between which a key's bytes stand in base64.
        static func text(_ bytes: UnsafeRawBufferPointer, _ kind: Kind) -> Secret {
            let prefix = kind == .publicKey ? publicPrefix : privatePrefix
            let plain = Secret(count: prefix.count + bytes.count)
            for index in 0..<prefix.count { plain.memory[index] = prefix[index] }
            for index in 0..<bytes.count { plain.memory[prefix.count + index] = bytes[index] }
            // One more: EVP_EncodeBlock ends with a zero byte.
            let digits = Secret(count: (plain.memory.count + 2) / 3 * 4 + 1)
            _ = EVP_EncodeBlock(
                digits.memory.baseAddress?.assumingMemoryBound(to: UInt8.self),
                plain.memory.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(plain.memory.count))
            return digits
        }
    }

    /// A key in PEM, with its id before it.
    static func pem(_ bytes: UnsafeRawBufferPointer, _ kind: Kind, id: String) -> Secret {
        let label: StaticString = kind == .publicKey ? "PUBLIC KEY-----\n" : "PRIVATE KEY-----\n"
        let digits = Block.text(bytes, kind)
        let head = Array(joined("id: ", id, "\n-----BEGIN ", string(label)).utf8)
        let tail = Array(joined("\n-----END ", string(label)).utf8)
        let count = digits.memory.count - 1
        let text = Secret(count: head.count + count + tail.count)
        for index in 0..<head.count { text.memory[index] = head[index] }
        for index in 0..<count { text.memory[head.count + index] = digits.memory[index] }
        for index in 0..<tail.count { text.memory[head.count + count + index] = tail[index] }
        return text
    }
}

/// A file's name without its folder and its ending.
public func fileTitle(_ path: String) -> String {
    var name = Array(path.utf8)
    if let slash = name.lastIndex(of: 47) { name.removeFirst(slash + 1) }
    if let point = name.lastIndex(of: 46), point > 0 { name.removeLast(name.count - point) }
    return String(decoding: name, as: UTF8.self)
}

private func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 || byte == 13 }

private func begins(_ line: UnsafeRawBufferPointer, with text: StaticString) -> Bool {
    text.withUTF8Buffer { text in
        if line.count < text.count { return false }
        for index in 0..<text.count where line[index] != text[index] { return false }
        return true
    }
}
