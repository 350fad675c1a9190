import Testing

@testable import Commands

func bytes(_ hexadecimal: String) -> [UInt8] {
    var result = [UInt8](repeating: 0, count: hexadecimal.utf8.count / 2)
    let text = Array(hexadecimal.utf8)
    let count = text.withUnsafeBytes { text in
        result.withUnsafeMutableBytes { Hexadecimal.read(text, into: $0) }
    }
    #expect(count == result.count)
    return result
}

func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.withUnsafeBytes { String(decoding: Hexadecimal.text($0), as: UTF8.self) }
}

@Suite struct CryptographyTests {
    /// RFC 4231 section 4, without the truncated case 5.
    @Test(arguments: [
        (
            [UInt8](repeating: 0x0b, count: 20), Array("Hi There".utf8),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        ),
        (
            Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        ),
        (
            [UInt8](repeating: 0xaa, count: 20), [UInt8](repeating: 0xdd, count: 50),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
        ),
        (
            Array(1...25), [UInt8](repeating: 0xcd, count: 50),
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"
        ),
        (
            [UInt8](repeating: 0xaa, count: 131),
            Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        ),
        (
            [UInt8](repeating: 0xaa, count: 131),
            Array(
                ("This is a test using a larger than block-size key and a larger than block-size data. The key needs to be "
                    + "hashed before being used by the HMAC algorithm.").utf8),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
        ),
    ]) func hmacSHA256(key: [UInt8], message: [UInt8], code: String) {
        var computed = [UInt8](repeating: 0, count: HMACSHA256.size)
        let isDone = key.withUnsafeBytes { key in
            message.withUnsafeBytes { message in
                computed.withUnsafeMutableBytes { HMACSHA256.compute(key: key, message, into: $0) }
            }
        }
        #expect(isDone)
        #expect(hexadecimal(computed) == code)
        func verifies(_ code: [UInt8]) -> Bool {
            key.withUnsafeBytes { key in
                message.withUnsafeBytes { message in
                    code.withUnsafeBytes { HMACSHA256.verify(key: key, message, code: $0) }
                }
            }
        }
        #expect(verifies(computed))
        #expect(!verifies(Array(computed.dropLast())))
        #expect(!verifies([]))
        for index in computed.indices {
            var wrong = computed
            wrong[index] ^= 1 << UInt8(index % 8)
            #expect(!verifies(wrong))
        }
    }

    /// RFC 8032 section 7.1, tests 1 to 3.
    @Test(arguments: [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595b"
                + "be24655141438e7a100b"
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb430"
                + "2aeeb00d291612bb0c00"
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716e"
                + "d28dc027beceea1ec40a"
        ),
    ]) func ed25519(seed: String, publicKey: String, message: String, signature: String) throws {
        let message = bytes(message)
        let pair = try #require(bytes(seed).withUnsafeBytes { Ed25519Key.privateKey($0) })
        var copied = [UInt8](repeating: 0, count: 32)
        #expect(copied.withUnsafeMutableBytes { pair.copyPublicKey(into: $0) })
        #expect(hexadecimal(copied) == publicKey)
        var signed = [UInt8](repeating: 0, count: 64)
        let isSigned = message.withUnsafeBytes { message in
            signed.withUnsafeMutableBytes { pair.sign(message, into: $0) }
        }
        #expect(isSigned)
        #expect(hexadecimal(signed) == signature)
        let verifier = try #require(bytes(publicKey).withUnsafeBytes { Ed25519Key.publicKey($0) })
        func verifies(_ message: [UInt8], _ signature: [UInt8]) -> Bool {
            message.withUnsafeBytes { message in
                signature.withUnsafeBytes { verifier.verify(message, signature: $0) }
            }
        }
        #expect(verifies(message, signed))
        #expect(!verifies(message + [0], signed))
        #expect(!verifies(message, Array(signed.dropLast())))
        #expect(!verifies(message, []))
        for index in signed.indices {
            var wrong = signed
            wrong[index] ^= 1
            #expect(!verifies(message, wrong))
        }
    }

    @Test func hexadecimalDigits() {
        #expect(hexadecimal([0, 0x9F, 0xA0, 0xFF]) == "009fa0ff")
        #expect(bytes("009FA0ff") == [0, 0x9F, 0xA0, 0xFF])
        func reads(_ text: String, room: Int) -> Int? {
            var result = [UInt8](repeating: 0, count: room)
            let text = Array(text.utf8)
            return text.withUnsafeBytes { text in
                result.withUnsafeMutableBytes { Hexadecimal.read(text, into: $0) }
            }
        }
        #expect(reads("00", room: 1) == 1)
        #expect(reads("", room: 1) == 0)
        for wrong in ["0", "000", "0g", "g0", " 0", "0x", "0/", "0:", "0@", "0`", "é"] {
            #expect(reads(wrong, room: 4) == nil, "\(wrong)")
        }
        #expect(reads("0011", room: 1) == nil)
    }
}
