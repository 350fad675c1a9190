import Configuration
import Foundation
import Platform
import Records
import TestSupport
import Testing

@testable import Commands

/// A folder that goes when the test is over.
final class KeyFolder {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    func path(_ name: String) -> String { url.appendingPathComponent(name).path }

    func file(_ name: String, _ text: String, mode: Int = 0o600) throws -> String {
        try text.write(toFile: path(name), atomically: true, encoding: .utf8)
        try setMode(name, mode)
        return path(name)
    }

    func setMode(_ name: String, _ mode: Int) throws {
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path(name))
    }

    func mode(_ name: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path(name))[.posixPermissions] as? Int
    }

    func text(_ name: String) throws -> String { try String(contentsOfFile: path(name), encoding: .utf8) }
}

func decodeKeys(_ pairs: KeyValuePairs<String, Node>, actuators: [String]? = nil) -> (Keyring?, [String]) {
    let diagnostics = Diagnostics(file: "k.yaml")
    let reader = Reader(mapping(pairs), path: "commands", diagnostics: diagnostics)
    let settings = CommandSettings.decode(
        reader, TopicNames(node: "pi-01", layer: nil), actuators: actuators)
    return (settings.keys, diagnostics.lines)
}

extension Keyring {
    func verify(_ payload: String, _ signature: [UInt8]?) -> Verdict {
        Array(payload.utf8).withUnsafeBytes { payload in
            guard let signature else { return verify(payload: payload, signature: nil) }
            return signature.withUnsafeBytes { verify(payload: payload, signature: $0) }
        }
    }

    func reason(_ payload: String, _ signature: String?) -> String? {
        verify(payload, signature.map { Array($0.utf8) }).reason
    }
}

extension SigningKey {
    func sign(_ payload: String) -> String {
        let signature = Array(payload.utf8).withUnsafeBytes { sign($0) }
        return String(decoding: signature ?? [], as: UTF8.self)
    }
}

private let key1 = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
private let key2 = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

@Suite struct KeyringTests {
    private let folder: KeyFolder
    private let payload = #"{"id":"a","actuator":"pump","value":1}"#

    init() throws { folder = try KeyFolder() }

    @Test func severalKeysAndTheirSenders() throws {
        let path = try folder.file("keys", "# since March\n\nops-1 \(key1)\r\n  ops-2\t\(key2.uppercased())")
        let (decoded, problems) = decodeKeys(["key_file": scalar(path)])
        #expect(problems == [])
        let keyring = try #require(decoded)
        for id in ["ops-1", "ops-2"] {
            let signature = try SigningKey.load(path, id: id).sign(payload)
            #expect(signature.hasPrefix("\(id):"))
            guard case .valid(let sender) = keyring.verify(payload, Array(signature.utf8)) else {
                Issue.record("\(id) is not valid")
                continue
            }
            #expect(sender.name == id)
            #expect(sender.permits(actuator: "anything", value: .text("at all")))
        }
        // The newest signs unless another one is asked for.
        #expect(try SigningKey.load(path, id: nil).id == "ops-2")
        #expect(throws: KeyFileError.self) { try SigningKey.load(path, id: "ops-3") }
        // Computed with another program.
        let known = "5eced96aa65cb5330db4a256617c2dd80d07a4ff6c3d91b20cdd3268a3e61cb2"
        #expect(try SigningKey.load(path, id: "ops-1").sign(payload) == "ops-1:\(known)")
    }

    @Test func whatIsNotValidSaysWhy() throws {
        let path = try folder.file("keys", "ops \(key1)\n")
        let keyring = try #require(decodeKeys(["key_file": scalar(path)]).0)
        let right = try SigningKey.load(path, id: nil).sign(payload)
        #expect(keyring.reason(payload, right) == nil)
        #expect(keyring.reason(payload, nil)?.hasPrefix("the command is not signed") == true)
        #expect(keyring.reason(payload, "")?.hasPrefix("the command is not signed") == true)
        let other = right.replacingOccurrences(of: "ops:", with: "app:")
        #expect(
            keyring.reason(payload, other) == "the signature is of a key \"app\", which this node does not have")
        let wrong = [
            payload + " ": right, payload.replacingOccurrences(of: "1", with: "0"): right, "": right,
        ]
        for (payload, signature) in wrong {
            #expect(keyring.reason(payload, signature) == "the signature is wrong")
        }
        for signature in [
            "ops", ":", "ops:", "ops: ", "ops:00", String(right.dropLast()), String(right.dropLast(2)), right + "0",
            right + "00", " " + right, right + "\n", right + "\0", "o/s" + right.dropFirst(3), "\0:\0",
            "ops:" + String(repeating: "0", count: 64), "ops:" + String(repeating: "0", count: 128),
            String(repeating: "x", count: 5_000) + right,
        ] {
            #expect(keyring.reason(payload, signature) == "the signature is wrong", "\(signature)")
        }
    }

    @Test func noMutilatedSignatureIsTaken() throws {
        let path = try folder.file("keys", "ops \(key1)\n")
        let keyring = try #require(decodeKeys(["key_file": scalar(path)]).0)
        let right = Array(try SigningKey.load(path, id: nil).sign(payload).utf8)
        var random = SeededGenerator(seed: 7)
        for _ in 0..<5_000 {
            var bytes = right
            switch UInt8.random(in: 0..<3, using: &random) {
            case 0: bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.removeSubrange(Int.random(in: bytes.indices, using: &random)...)
            default: bytes.insert(.random(in: 0...255, using: &random), at: .random(in: bytes.indices, using: &random))
            }
            // Upper case digits are the same signature.
            if String(decoding: bytes, as: UTF8.self).lowercased() == String(decoding: right, as: UTF8.self) {
                continue
            }
            if case .valid = keyring.verify(payload, bytes) { Issue.record("\(bytes)") }
        }
    }

    @Test func aHeaderCannotChooseTheAlgorithm() throws {
        // Who has only the public key must not get anywhere by using it as an HMAC key.
        try KeyMaker.makePair(id: "ops", path: folder.path("ops"))
        let (decoded, problems) = decodeKeys(["public_key_file": scalar(folder.path("ops.pub"))])
        #expect(problems == [])
        let keyring = try #require(decoded)
        let base64 = try folder.text("ops.pub").split(separator: "\n")[2]
        let der = try #require(Data(base64Encoded: String(base64)))
        let stolen = try folder.file("stolen", "ops \(hexadecimal(Array(der.suffix(32))))\n")
        #expect(keyring.reason(payload, try SigningKey.load(stolen, id: nil).sign(payload)) == "the signature is wrong")
        #expect(keyring.reason(payload, try SigningKey.load(folder.path("ops"), id: nil).sign(payload)) == nil)
    }

    @Test func whatASenderMay() throws {
        let path = try folder.file("keys", "ops-1 \(key1)\nops-2 \(key2)\n")
        try KeyMaker.makePair(id: "app", path: folder.path("app"))
        let (decoded, problems) = decodeKeys([
            "key_file": [scalar(path)], "public_key_file": scalar(folder.path("app.pub")),
            "senders": mapping([
                "ops": mapping(["keys": ["ops-1", "ops-2"]]),
                "app": mapping([
                    "actuators": mapping([
                        "lamp": mapping([:]), "dimmer": mapping(["min": "0", "max": "50"]),
                        "heater": mapping(["max": "21.5"]),
                    ])
                ]),
            ]),
        ])
        #expect(problems == [])
        let keyring = try #require(decoded)
        func sender(_ path: String, _ id: String?) throws -> Sender? {
            let signature = try SigningKey.load(path, id: id).sign(payload)
            if case .valid(let sender) = keyring.verify(payload, Array(signature.utf8)) { return sender }
            return nil
        }
        for id in ["ops-1", "ops-2"] {
            let ops = try #require(try sender(path, id))
            #expect(ops.name == "ops")
            #expect(ops.permits(actuator: "pump", value: .integer(1)))
        }
        let app = try #require(try sender(folder.path("app"), nil))
        #expect(app.permits(actuator: "lamp", value: .text("blue")))
        #expect(app.permits(actuator: "dimmer", value: .integer(50)))
        #expect(app.permits(actuator: "heater", value: .number(-40)))
        #expect(app.objection(actuator: "pump", value: .integer(0)) == "app may not command pump")
        #expect(
            app.objection(actuator: "dimmer", value: .number(50.5))
                == "app may give dimmer values from 0 to 50, not 50.5")
        #expect(!app.permits(actuator: "dimmer", value: .integer(-1)))
        #expect(!app.permits(actuator: "dimmer", value: .text("50")))
        #expect(!app.permits(actuator: "heater", value: .number(21.6)))
    }

    @Test func aRuleForAllOthers() throws {
        let path = try folder.file("keys", "app \(key1)\n")
        let (decoded, problems) = decodeKeys([
            "key_file": scalar(path),
            "senders": mapping([
                "app": mapping(["actuators": mapping(["*": mapping(["max": "1"]), "dimmer": mapping(["max": "50"])])])
            ]),
        ])
        #expect(problems == [])
        let signature = Array(try SigningKey.load(path, id: nil).sign(payload).utf8)
        guard case .valid(let sender) = try #require(decoded).verify(payload, signature) else {
            Issue.record("not valid")
            return
        }
        #expect(sender.permits(actuator: "pump", value: .boolean(true)))
        #expect(!sender.permits(actuator: "pump", value: .integer(2)))
        #expect(sender.permits(actuator: "dimmer", value: .integer(2)))
    }

    @Test func mistakesInTheConfiguration() throws {
        let path = try folder.file("keys", "ops \(key1)\n")
        let (keyring, problems) = decodeKeys([
            "key_file": [scalar(path), scalar(path)],
            "senders": mapping([
                "app": mapping(["actuators": mapping(["lamp": mapping(["min": "2", "max": "1", "mx": "1"])])])
            ]),
        ])
        #expect(keyring != nil)
        let expected = [
            "commands.key_file[1]: \(path) has a second key \"ops\", expected an id of its own",
            "commands.senders.app: no key file has a key \"app\", expected one of ops",
            "commands.senders.app.actuators.lamp: min is above max, expected min below max",
            "commands.senders.app.actuators.lamp.mx is no known key, did you mean max?",
            "commands.senders leaves out the key \"ops\", expected a sender for each key",
        ]
        for text in expected { #expect(problems.contains { $0.contains(text) }, "\(text) is missing in \(problems)") }
        #expect(problems.count == expected.count)
        let (none, alone) = decodeKeys(["senders": mapping(["app": mapping([:])])])
        #expect(none == nil)
        #expect(alone.count == 1 && alone[0].contains("expected key_file or public_key_file, too"), "\(alone)")
    }

    /// A misspelt id would shut the sender out of the actuator that was meant.
    @Test func anAllowListNamesActuatorsThatAreThere() throws {
        let path = try folder.file("keys", "app \(key1)\n")
        func problems(_ actuators: [String]?) -> [String] {
            let rules = mapping(["lmap": mapping([:]), "lamp": mapping([:]), "*": mapping([:]), "heater": mapping([:])])
            return decodeKeys(
                ["key_file": scalar(path), "senders": mapping(["app": mapping(["actuators": rules])])],
                actuators: actuators
            ).1
        }
        let found = problems(["lamp", "pump"])
        #expect(found.count == 2)
        #expect(
            found.first?.hasSuffix("commands.senders.app.actuators.lmap is the id of no actuator, did you mean lamp?")
                == true, "\(found)")
        #expect(
            found.last?.hasSuffix("actuators.heater is the id of no actuator, expected one of this node, or \"*\"")
                == true, "\(found)")
        #expect(problems(nil) == [])
    }

    @Test func aSignedCommandMustEnd() throws {
        let keyring = Keyring([])
        let now = WallTime(nanoseconds: 1_795_193_522_000_000_000)
        func objection(id: String?, in interval: Interval?) -> String? {
            keyring.objection(
                to: Command(id: id, actuator: "a", value: .integer(1), expires: interval.map { now + $0 }), at: now)
        }
        #expect(objection(id: "a", in: .seconds(10)) == nil)
        #expect(objection(id: "a", in: .seconds(3_600)) == nil)
        #expect(objection(id: nil, in: .seconds(10))?.contains("needs an id and an expires") == true)
        #expect(objection(id: "a", in: nil)?.contains("needs an id and an expires") == true)
        #expect(objection(id: "a", in: .seconds(3_601))?.contains("more than an hour ahead") == true)
    }

    @Test func repliesToStrangersAreFew() {
        let limiter = ReplyLimiter(burst: 3, every: .seconds(1))
        var now = Instant(nanoseconds: 5)
        #expect((0..<6).map { _ in limiter.admit(at: now) } == [true, true, true, false, false, false])
        now = now + .milliseconds(999)
        #expect(!limiter.admit(at: now))
        now = now + .milliseconds(1)
        #expect(limiter.admit(at: now))
        #expect(!limiter.admit(at: now))
        now = now + .seconds(60)
        #expect((0..<4).map { _ in limiter.admit(at: now) } == [true, true, true, false])
    }
}
