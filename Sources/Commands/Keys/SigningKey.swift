import CCrypto
import CShim
import Platform

/// A key to sign commands with: what `kedge send` has.
public final class SigningKey {
    /// Names the key in the header.
    public let id: String
    private let material: LoadedKey.Material

    private init(_ id: String, _ material: LoadedKey.Material) {
        self.id = id
        self.material = material
    }

    /// Reads a file of HMAC keys or an Ed25519 private key; which, it tells itself.
    /// - Parameter id: which of several keys; without it the last, which is the newest. An Ed25519 key alone in its file
    ///   takes this id.
    public static func load(_ path: String, id: String?) throws(KeyFileError) -> SigningKey {
        let file = try KeyFile(path, isSecret: true)
        let isPEM = file.isPEM
        let keys = try file.keys(isPEM ? .privateKey : .shared)
        guard let id else { return SigningKey(keys[keys.count - 1].id, keys[keys.count - 1].material) }
        if let key = keys.first(where: { sameBytes($0.id, id) }) { return SigningKey(id, key.material) }
        if isPEM, keys.count == 1 { return SigningKey(id, keys[0].material) }
        throw KeyFileError(text: joined(path, ": no key \"", id, "\" in it"))
    }

    /// The value of the header `sig` for a message with that value; `nil` when libcrypto cannot.
    public func sign(_ payload: UnsafeRawBufferPointer) -> [UInt8]? {
        withUnsafeTemporaryAllocation(byteCount: Ed25519Key.signatureSize, alignment: 1) { room -> [UInt8]? in
            let count: Int
            switch material {
            case .shared(let secret):
                guard HMACSHA256.compute(key: UnsafeRawBufferPointer(secret.memory), payload, into: room) else {
                    return nil
                }
                count = HMACSHA256.size
            case .ed25519(let key):
                guard key.sign(payload, into: room) else { return nil }
                count = Ed25519Key.signatureSize
            }
            return Array(id.utf8) + [UInt8(ascii: ":")]
                + Hexadecimal.text(UnsafeRawBufferPointer(rebasing: room[..<count]))
        }
    }
}

/// Makes keys, in the formats of `KeyFile`.
public enum KeyMaker {
    /// A line with a random HMAC key of 32 bytes, to standard output or a new file that only its owner reads.
    /// - Parameter path: `nil` for standard output.
    public static func makeShared(id: String, path: String?) throws(KeyFileError) {
        let key = Secret(count: HMACSHA256.size)
        guard fillRandomly(key.memory) else { throw KeyFileError(text: "no random numbers are to be had") }
        let head = Array(joined(id, " ").utf8)
        let line = Secret(count: head.count + 2 * key.memory.count + 1)
        for index in 0..<head.count { line.memory[index] = head[index] }
        var next = head.count
        for digit in Hexadecimal.text(UnsafeRawBufferPointer(key.memory)) {
            line.memory[next] = digit
            next += 1
        }
        line.memory[next] = 10
        guard let path else {
            if kedge_write_all(1, line.memory.baseAddress, line.memory.count) != 0 {
                throw KeyFileError(text: "standard output does not take the key")
            }
            return
        }
        try write(line, to: path, mode: 0o600)
    }

    /// An Ed25519 pair: the private key in `path`, which only its owner reads, the public one in `path.pub`.
    public static func makePair(id: String, path: String) throws(KeyFileError) {
        let seed = Secret(count: Ed25519Key.keySize)
        let bytes = Secret(count: Ed25519Key.keySize)
        guard fillRandomly(seed.memory), let key = Ed25519Key.privateKey(UnsafeRawBufferPointer(seed.memory)),
            key.copyPublicKey(into: bytes.memory)
        else { throw KeyFileError(text: "no random numbers are to be had") }
        let publicPath = joined(path, ".pub")
        guard access(publicPath, F_OK) != 0 else { throw KeyFileError(text: joined(publicPath, ": is there already")) }
        try write(KeyFile.pem(UnsafeRawBufferPointer(seed.memory), .privateKey, id: id), to: path, mode: 0o600)
        try write(KeyFile.pem(UnsafeRawBufferPointer(bytes.memory), .publicKey, id: id), to: publicPath, mode: 0o644)
    }

    /// Writes a file that must not be there yet, to the disk.
    private static func write(_ text: Secret, to path: String, mode: UInt32) throws(KeyFileError) {
        do throws(SystemError) {
            let descriptor = Descriptor(
                owning: try systemCall("open", on: path) { path.withCString { kedge_create($0, mode) } })
            try systemCall("write", on: path) {
                kedge_write_all(descriptor.number, text.memory.baseAddress, text.memory.count)
            }
            try systemCall("fsync", on: path) { fsync(descriptor.number) }
        } catch {
            throw KeyFileError(text: error.description)
        }
    }
}
