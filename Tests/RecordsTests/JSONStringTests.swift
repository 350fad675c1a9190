import Foundation
import Records
import TestSupport
import Testing

@Suite struct JSONStringTests {
    private func json(_ text: String) -> String { written { JSONString.write(text, to: &$0) } }
    private func json(_ bytes: [UInt8]) -> String {
        written { writer in bytes.withUnsafeBytes { JSONString.write($0, to: &writer) } }
    }

    @Test func escapesWhatMustBe() {
        #expect(json("") == "\"\"")
        #expect(json("a\"b\\c/d") == "\"a\\\"b\\\\c/d\"")
        #expect(json("\n\r\t\u{0}\u{1F}\u{7F}") == "\"\\n\\r\\t\\u0000\\u001f\u{7F}\"")
        #expect(json("\u{B0}C \u{20AC} \u{1F600}") == "\"\u{B0}C \u{20AC} \u{1F600}\"")
    }

    @Test func everyStringReadsBack() throws {
        var random = SeededGenerator(seed: 4)
        for _ in 0..<2_000 {
            var text = ""
            for _ in 0..<Int.random(in: 0...20, using: &random) {
                let bits = UInt32.random(in: 0...21, using: &random)
                if let scalar = Unicode.Scalar(UInt32.random(in: 0..<(1 << bits), using: &random)) {
                    text.unicodeScalars.append(scalar)
                }
            }
            let data = Data(json(text).utf8)
            let back = try JSONSerialization.jsonObject(with: data, options: .fragmentsAllowed) as? String
            #expect(back.map { Array($0.utf8) } == Array(text.utf8))
            #expect(data.count <= JSONString.maximumBytes(utf8Count: text.utf8.count))
        }
    }

    @Test(
        arguments: [
            [0x61, 0xFF, 0x62], [0xC0, 0x80], [0xE2, 0x82], [0xE2, 0x82, 0x61], [0xED, 0xA0, 0x80], [0xF0, 0x9F, 0x98],
            [0xF4, 0x90, 0x80, 0x80], [0xF5], [0x80], [0xE0, 0x9F, 0xBF], [0xF0, 0x8F, 0xBF, 0xBF], [0xC2],
            [0xC2, 0x22], [0xE2, 0x82, 0xAC, 0x80],
        ] as [[UInt8]])
    func invalidBytesAreReplaced(_ bytes: [UInt8]) {
        #expect(json(bytes) == json(String(decoding: bytes, as: UTF8.self)))
        #expect(json(bytes).contains("\u{FFFD}"))
    }

    @Test func randomBytesAreReplacedAsTheStandardLibraryDoes() {
        var random = SeededGenerator(seed: 5)
        // Mostly bytes that begin or continue sequences: uniform ones hardly ever meet.
        let likely: [UInt8] = [
            0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5,
        ]
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 1...8, using: &random)).map { _ -> UInt8 in
                random.next() % 4 == 0
                    ? UInt8.random(in: 0...255, using: &random) : likely[Int(random.next() % UInt64(likely.count))]
            }
            let plain = String(decoding: bytes, as: UTF8.self)
            if json(bytes) != json(plain) { Issue.record("\(bytes) gave \(json(bytes))") }
        }
    }
}
