import Configuration
import Foundation
import TestSupport
import Testing

@testable import Commands

private let key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

@Suite struct KeyFileTests {
    private let folder: KeyFolder

    init() throws { folder = try KeyFolder() }

    private func failure(_ path: String, isSecret: Bool = true, _ kind: KeyFile.Kind) -> String? {
        do throws(KeyFileError) {
            _ = try KeyFile(path, isSecret: isSecret).keys(kind)
            return nil
        } catch {
            return error.text
        }
    }

    @Test(arguments: [
        ("", ": no key in it, expected lines of an id and a key in hexadecimal digits (kedge keygen makes one)"),
        ("# only a comment\n", ": no key in it"),
        ("\(key)\n", ":1: one word, expected an id and a key of 16 to 128 bytes in hexadecimal digits"),
        ("\n\nops \(key) more\n", ":3: the second word is no key"),
        ("ops 0011\n", ":1: the second word is no key"), ("ops \(key)0\n", ":1: the second word is no key"),
        ("ops \(String(repeating: "00", count: 129))\n", ":1: the second word is no key"),
        ("o:ps \(key)\n", ":1: the first word is no id, expected 1 to 128 of the characters a-z A-Z 0-9 . _ -"),
        ("a \(key)\na \(key)\n", ":2: a second key \"a\", expected an id of its own"),
        ("-----BEGIN PRIVATE KEY-----\n", ":1: the second word is no key"),
        (String(repeating: "#\n", count: 9_000), ": more than 16 KiB, expected keys"),
    ]) func wrongLines(text: String, problem: String) throws {
        let path = try folder.file("keys", text)
        let found = try #require(failure(path, .shared))
        #expect(found.hasPrefix(path + problem), "\(found)")
        #expect(!found.contains("000102"))
    }

    @Test func noFile() {
        #expect(failure("/absent", .shared)?.contains("/absent: No such file or directory") == true)
        #expect(failure(folder.path(""), .shared)?.contains("Is a directory") == true)
    }

    @Test func modes() throws {
        for (mode, isSecret, isRight) in [
            (0o600, true, true), (0o640, true, true), (0o660, true, true), (0o644, true, false), (0o604, true, false),
            (0o602, true, false), (0o644, false, true), (0o666, false, false),
        ] {
            let path = try folder.file("keys", "ops \(key)\n", mode: mode)
            let found = failure(path, isSecret: isSecret, .shared)
            #expect((found == nil) == isRight, "\(String(mode, radix: 8)) \(isSecret) \(found ?? "")")
            if let found { #expect(found.contains("every user may")) }
        }
    }

    @Test func aNewSharedKey() throws {
        try KeyMaker.makeShared(id: "ops", path: folder.path("ops.key"))
        try KeyMaker.makeShared(id: "ops", path: folder.path("other.key"))
        #expect(try folder.mode("ops.key") == 0o600)
        let text = try folder.text("ops.key")
        #expect(text.wholeMatch(of: /ops [0-9a-f]{64}\n/) != nil)
        #expect(try text != folder.text("other.key"))
        #expect(failure(folder.path("ops.key"), .shared) == nil)
        do throws(KeyFileError) {
            try KeyMaker.makeShared(id: "ops", path: folder.path("ops.key"))
            Issue.record("overwritten")
        } catch {
            #expect(error.text.contains("ops.key: File exists"))
        }
        #expect(try folder.text("ops.key") == text)
    }

    @Test func aNewPair() throws {
        try KeyMaker.makePair(id: "ops", path: folder.path("a.pem"))
        #expect(try folder.mode("a.pem") == 0o600)
        #expect(try folder.mode("a.pem.pub") == 0o644)
        let (secret, open) = (try folder.text("a.pem"), try folder.text("a.pem.pub"))
        #expect(failure(folder.path("a.pem"), .privateKey) == nil)
        #expect(failure(folder.path("a.pem.pub"), isSecret: false, .publicKey) == nil)
        #expect(
            failure(folder.path("a.pem"), .publicKey)?.contains(
                ":2: -----BEGIN PRIVATE KEY-----, expected Ed25519 public keys in PEM") == true)
        #expect(throws: KeyFileError.self) { try KeyMaker.makePair(id: "ops", path: folder.path("a.pem")) }
        // Neither half is written when one is there.
        _ = try folder.file("b.pub", "mine")
        #expect(throws: KeyFileError.self) { try KeyMaker.makePair(id: "ops", path: folder.path("b")) }
        #expect(!FileManager.default.fileExists(atPath: folder.path("b")))
        #expect(try folder.text("b.pub") == "mine")
        #expect(try folder.text("a.pem") == secret)
        #expect(try folder.text("a.pem.pub") == open)
    }

    @Test func namesOfPublicKeys() throws {
        try KeyMaker.makePair(id: "ops", path: folder.path("ops"))
        let block = try folder.text("ops.pub").split(separator: "\n").dropFirst().joined(separator: "\n")
        let path = try folder.file("field.pem", "\(block)\nid: second\n\(block)\n", mode: 0o644)
        let keys = try KeyFile(path, isSecret: false).keys(.publicKey)
        #expect(keys.map { $0.id } == ["field", "second"])
        let twice = try folder.file("twice.pem", "\(block)\n\(block)\n", mode: 0o644)
        #expect(failure(twice, isSecret: false, .publicKey)?.contains("a second key \"twice\"") == true)
    }

    @Test func wrongPEM() throws {
        try KeyMaker.makePair(id: "ops", path: folder.path("ops"))
        let text = try folder.text("ops.pub")
        for (wrong, problem) in [
            (text.replacingOccurrences(of: "MCo", with: "MCp"), "this is no Ed25519 key"),
            (text.replacingOccurrences(of: "=", with: ""), "this is no Ed25519 key"),
            (text.replacingOccurrences(of: "=", with: "=\n" + String(repeating: "A", count: 200)), "no Ed25519 key"),
            (text.replacingOccurrences(of: "-----END", with: "----END"), "no key in it"),
            (text.replacingOccurrences(of: "PUBLIC", with: "RSA PUBLIC"), "-----BEGIN RSA PUBLIC KEY-----, expected"),
            ("", "no key in it, expected Ed25519 public keys in PEM"),
        ] {
            let path = try folder.file("wrong.pem", wrong)
            #expect(failure(path, .publicKey)?.contains(problem) == true, "\(problem)")
        }
    }
}

/// The same keys and signatures as the command line of OpenSSL, where there is one.
@Suite(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl"))) struct OpenSSLTests {
    private let folder: KeyFolder
    private let payload = #"{"id":"a","actuator":"pump","value":1}"#

    init() throws { folder = try KeyFolder() }

    @discardableResult
    private func openssl(_ arguments: [String]) throws -> Data {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(arguments)")
        return data
    }

    @Test func hmac() throws {
        let file = try folder.file("ops.key", "ops \(key)\n")
        let message = try folder.file("message", payload)
        let line = try openssl(["dgst", "-sha256", "-mac", "HMAC", "-macopt", "hexkey:\(key)", "-r", message])
        let digits = String(decoding: line, as: UTF8.self).prefix { $0 != " " }
        #expect(try SigningKey.load(file, id: nil).sign(payload) == "ops:\(digits)")
    }

    @Test func theirPairAndTheirSignature() throws {
        let (secret, open) = (folder.path("field.pem"), folder.path("field.pub"))
        try openssl(["genpkey", "-algorithm", "ed25519", "-out", secret])
        try openssl(["pkey", "-in", secret, "-pubout", "-out", open])
        try folder.setMode("field.pem", 0o600)
        try folder.setMode("field.pub", 0o644)
        let keyring = try #require(decodeKeys(["public_key_file": scalar(open)]).0)
        let message = try folder.file("message", payload)
        let signature = try openssl(["pkeyutl", "-sign", "-inkey", secret, "-rawin", "-in", message])
        #expect(keyring.reason(payload, "field:\(hexadecimal(Array(signature)))") == nil)
        // The scheme is deterministic (RFC 8032).
        #expect(try SigningKey.load(secret, id: nil).sign(payload) == "field:\(hexadecimal(Array(signature)))")
    }

    @Test func ourPairAndOurSignature() throws {
        try KeyMaker.makePair(id: "ops", path: folder.path("ops"))
        let message = try folder.file("message", payload)
        let header = try SigningKey.load(folder.path("ops"), id: nil).sign(payload)
        try Data(bytes(String(header.dropFirst(4)))).write(to: folder.url.appendingPathComponent("signature"))
        let answer = try openssl([
            "pkeyutl", "-verify", "-pubin", "-inkey", folder.path("ops.pub"), "-rawin", "-in", message, "-sigfile",
            folder.path("signature"),
        ])
        #expect(String(decoding: answer, as: UTF8.self).contains("Verified Successfully"))
        try openssl(["pkey", "-in", folder.path("ops"), "-noout", "-text"])
    }

    @Test func otherKindsOfKeysAreRefused() throws {
        for (name, arguments) in [
            ("rsa", ["-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:1024"]), ("x25519", ["-algorithm", "x25519"]),
            ("ed448", ["-algorithm", "ed448"]),
        ] {
            let (secret, open) = (folder.path(name), folder.path(name + ".pub"))
            try openssl(["genpkey", "-quiet", "-out", secret] + arguments)
            try openssl(["pkey", "-in", secret, "-pubout", "-out", open])
            try folder.setMode(name, 0o600)
            try folder.setMode(name + ".pub", 0o644)
            let (_, problems) = decodeKeys(["public_key_file": scalar(open)])
            #expect(problems.count == 1 && problems[0].contains("this is no Ed25519 key"), "\(problems)")
            #expect(throws: KeyFileError.self) { try SigningKey.load(secret, id: nil) }
        }
    }
}
