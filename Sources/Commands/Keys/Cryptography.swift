import CCrypto
import Platform

/// Secret bytes: overwritten before their memory is given back, and never part of a text.
final class Secret {
    /// All of it.
    let memory: UnsafeMutableRawBufferPointer

    /// `count` zero bytes.
    init(count: Int) {
        memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, count), alignment: 1)
        memory.initializeMemory(as: UInt8.self, repeating: 0)
    }

    init(copying bytes: UnsafeRawBufferPointer) {
        memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        memory.copyMemory(from: bytes)
    }

    deinit {
        OPENSSL_cleanse(memory.baseAddress, memory.count)
        memory.deallocate()
    }
}

/// HMAC-SHA256 (RFC 2104 with FIPS 180-4).
enum HMACSHA256 {
    /// The size of a code in bytes.
    static var size: Int { 32 }

    /// Writes the code of `message` into the first 32 bytes of `code`.
    /// - Returns: whether libcrypto did it.
    static func compute(
        key: UnsafeRawBufferPointer, _ message: UnsafeRawBufferPointer, into code: UnsafeMutableRawBufferPointer
    ) -> Bool {
        guard code.count >= size else { return false }
        var length: UInt32 = 0
        let result = HMAC(
            EVP_sha256(), key.baseAddress, Int32(key.count), message.baseAddress?.assumingMemoryBound(to: UInt8.self),
            message.count, code.baseAddress?.assumingMemoryBound(to: UInt8.self), &length)
        return result != nil && Int(length) == size
    }

    /// Whether `code` is the message's; takes as long for a wrong code as for a right one.
    static func verify(
        key: UnsafeRawBufferPointer, _ message: UnsafeRawBufferPointer, code: UnsafeRawBufferPointer
    ) -> Bool {
        guard code.count == size else { return false }
        return withUnsafeTemporaryAllocation(byteCount: size, alignment: 1) { expected in
            compute(key: key, message, into: expected)
                && CRYPTO_memcmp(expected.baseAddress, code.baseAddress, size) == 0
        }
    }
}

/// An Ed25519 key (RFC 8032), public or private; libcrypto's memory goes with it.
final class Ed25519Key {
    /// The size of either key in bytes.
    static var keySize: Int { 32 }
    /// The size of a signature in bytes.
    static var signatureSize: Int { 64 }

    private let key: OpaquePointer

    private init(_ key: OpaquePointer) { self.key = key }

    deinit { EVP_PKEY_free(key) }

    /// - Returns: `nil` when the 32 bytes are none.
    static func publicKey(_ bytes: UnsafeRawBufferPointer) -> Ed25519Key? {
        guard bytes.count == keySize else { return nil }
        return EVP_PKEY_new_raw_public_key(
            EVP_PKEY_ED25519, nil, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count
        ).map { Ed25519Key($0) }
    }

    /// - Parameter bytes: the seed, RFC 8032 section 5.1.5.
    static func privateKey(_ bytes: UnsafeRawBufferPointer) -> Ed25519Key? {
        guard bytes.count == keySize else { return nil }
        return EVP_PKEY_new_raw_private_key(
            EVP_PKEY_ED25519, nil, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count
        ).map { Ed25519Key($0) }
    }

    /// Writes the 32 bytes of the public key.
    func copyPublicKey(into bytes: UnsafeMutableRawBufferPointer) -> Bool {
        var length = bytes.count
        let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        return EVP_PKEY_get_raw_public_key(key, start, &length) == 1 && length == Self.keySize
    }

    /// RFC 8032 section 5.1.7.
    func verify(_ message: UnsafeRawBufferPointer, signature: UnsafeRawBufferPointer) -> Bool {
        guard signature.count == Self.signatureSize, let context = EVP_MD_CTX_new() else { return false }
        defer { EVP_MD_CTX_free(context) }
        return EVP_DigestVerifyInit(context, nil, nil, nil, key) == 1
            && EVP_DigestVerify(
                context, signature.baseAddress?.assumingMemoryBound(to: UInt8.self), signature.count,
                message.baseAddress?.assumingMemoryBound(to: UInt8.self), message.count) == 1
    }

    /// Writes the 64 bytes of the signature; RFC 8032 section 5.1.6.
    func sign(_ message: UnsafeRawBufferPointer, into signature: UnsafeMutableRawBufferPointer) -> Bool {
        guard let context = EVP_MD_CTX_new() else { return false }
        defer { EVP_MD_CTX_free(context) }
        var length = signature.count
        return EVP_DigestSignInit(context, nil, nil, nil, key) == 1
            && EVP_DigestSign(
                context, signature.baseAddress?.assumingMemoryBound(to: UInt8.self), &length,
                message.baseAddress?.assumingMemoryBound(to: UInt8.self), message.count) == 1
            && length == Self.signatureSize
    }
}

/// Fills `bytes` from libcrypto's random generator.
/// - Returns: whether it could.
func fillRandomly(_ bytes: UnsafeMutableRawBufferPointer) -> Bool {
    RAND_bytes(bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(bytes.count)) == 1
}

/// Hexadecimal digits, written in lower case and read in either.
enum Hexadecimal {
    /// The bytes' digits.
    static func text(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(2 * bytes.count)
        for byte in bytes {
            text.append(digit(byte >> 4))
            text.append(digit(byte & 15))
        }
        return text
    }

    /// Fills as much of `bytes` as there are pairs of digits.
    /// - Returns: how many bytes, or `nil` when something else stands there or there is no room.
    static func read(_ text: UnsafeRawBufferPointer, into bytes: UnsafeMutableRawBufferPointer) -> Int? {
        if text.count % 2 != 0 || text.count / 2 > bytes.count { return nil }
        for index in 0..<text.count / 2 {
            guard let high = value(text[2 * index]), let low = value(text[2 * index + 1]) else { return nil }
            bytes[index] = high << 4 | low
        }
        return text.count / 2
    }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 48 + value : 87 + value }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 48...57: digit - 48
        case 65...70: digit - 55
        case 97...102: digit - 87
        default: nil
        }
    }
}
