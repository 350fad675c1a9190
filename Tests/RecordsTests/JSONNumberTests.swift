import Foundation
import Records
import TestSupport
import Testing

@Suite struct JSONNumberTests {
    /// Checks one value; what is wrong with it, or `nil`. (An expectation for each of millions would take minutes.)
    private func fault(_ value: Double, _ buffer: UnsafeMutableRawBufferPointer) -> String? {
        var writer = ByteWriter(buffer)
        JSONNumber.write(value, to: &writer)
        let text = String(decoding: writer.written, as: UTF8.self)
        if writer.isOverflowed || writer.count > JSONNumber.maximumBytes { return "\(value): too long" }
        guard value.isFinite else { return text == "null" ? nil : "\(value): \(text)" }
        if value == 0 { return text == "0" ? nil : "\(value): \(text)" }
        guard let back = Double(text), back.bitPattern == value.bitPattern else {
            return "\(value) reads back from \(text)"
        }
        // The same significant digits as the standard library's, which prints the shortest.
        if significant(text) != significant(value.description) { return "\(value): \(text) is not the shortest" }
        if !isJSONNumber(writer.written) { return "\(text) is no JSON number" }
        return nil
    }

    /// The digits without the zeros around them; 17 at most, so they fit a word.
    private func significant(_ text: String) -> UInt64 {
        var text = text
        var digits: UInt64 = 0
        var zeros = 0
        text.withUTF8 {
            for byte in $0 {
                if byte == UInt8(ascii: "e") { break }
                if byte < UInt8(ascii: "0") || byte > UInt8(ascii: "9") { continue }
                if byte == UInt8(ascii: "0") {
                    zeros += 1
                    continue
                }
                if digits > 0 { while zeros > 0 { (digits, zeros) = (digits &* 10, zeros - 1) } }
                zeros = 0
                digits = digits &* 10 &+ UInt64(byte - UInt8(ascii: "0"))
            }
        }
        return digits
    }

    /// -? int frac? exp?, RFC 8259 section 6.
    private func isJSONNumber(_ text: UnsafeRawBufferPointer) -> Bool {
        var rest = text[...]
        func digits() -> Int {
            var count = 0
            while let byte = rest.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
                rest.removeFirst()
                count += 1
            }
            return count
        }
        if rest.first == UInt8(ascii: "-") { rest.removeFirst() }
        let startsWithZero = rest.first == UInt8(ascii: "0")
        let whole = digits()
        if whole == 0 || (startsWithZero && whole > 1) { return false }
        if rest.first == UInt8(ascii: ".") {
            rest.removeFirst()
            if digits() == 0 { return false }
        }
        if rest.first == UInt8(ascii: "e") {
            rest.removeFirst()
            if rest.first == UInt8(ascii: "+") || rest.first == UInt8(ascii: "-") { rest.removeFirst() }
            if digits() == 0 { return false }
        }
        return rest.isEmpty
    }

    private func firstFault(_ values: some Sequence<Double>) -> String? {
        var memory = [UInt8](repeating: 0, count: 64)
        return memory.withUnsafeMutableBytes { buffer in
            for value in values {
                if let found = fault(value, buffer) ?? fault(-value, buffer) { return found }
            }
            return nil
        }
    }

    @Test(arguments: [
        (21.53, "21.53"), (5, "5"), (-0.001, "-0.001"), (0, "0"), (-0.0, "0"), (1e300, "1e+300"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e-7, "1e-07"), (0.000001, "0.000001"), (999_999_999.999999, "999999999.999999"), (1e9, "1000000000"),
        (9_007_199_254_740_991, "9007199254740991"), (1_795_193_522.298, "1795193522.298"), (100, "100"), (0.5, "0.5"),
        (-40.0625, "-40.0625"), (101_325.25, "101325.25"), (.nan, "null"), (.infinity, "null"), (-.infinity, "null"),
    ])
    func printsTheShortest(_ value: Double, _ text: String) {
        #expect(written { JSONNumber.write(value, to: &$0) } == text)
    }

    @Test func aMillionRandomBitPatterns() {
        var random = SeededGenerator(seed: 1)
        #expect(firstFault((0..<500_000).lazy.map { _ in Double(bitPattern: random.next()) }) == nil)
    }

    /// What sensors and filters give: few decimals, sums of them, full precision, in all magnitudes.
    @Test func valuesOfSensors() {
        var random = SeededGenerator(seed: 2)
        var walk = 20.0
        #expect(
            firstFault(
                (0..<100_000).lazy.map { index -> Double in
                    walk += Double.random(in: -0.5...0.5, using: &random)
                    let decimals = pow(10.0, Double(index % 9))
                    switch index % 4 {
                    case 0: return walk
                    case 1: return (walk * decimals).rounded() / decimals
                    case 2: return Double(Int64(walk * 100)) * 0.01
                    default: return Double(Int64.random(in: 0...2_000_000_000_000_000, using: &random)) / decimals
                    }
                }) == nil)
    }

    /// Around every place where the way of printing changes, and where digits carry: the neighbours of each.
    @Test func boundaries() {
        var values: [Double] = []
        for exponent in -324...308 { values.append(Double("1e\(exponent)") ?? 0) }
        for exponent in -1_074...1_023 { values.append(scalbn(1, exponent)) }
        for whole in [0, 1, 9, 10, 99, 4_294_967, 99_999_999, 999_999_998, 999_999_999] {
            for millionths in [1, 9, 10, 99_999, 100_000, 499_999, 500_000, 500_001, 999_998, 999_999, 1_000_000] {
                values.append(Double(whole) + Double(millionths) / 1e6)
            }
        }
        values += [.leastNonzeroMagnitude, .leastNormalMagnitude, .greatestFiniteMagnitude, 1e9 - 0.5, 4_294_967_295.5]
        let neighbours = values.flatMap { value in
            [value, value.nextUp, value.nextDown, value.nextUp.nextUp, value.nextDown.nextDown, value * 5, value / 3]
        }
        #expect(firstFault(neighbours) == nil)
    }

    @Test func subnormals() {
        var random = SeededGenerator(seed: 3)
        #expect(firstFault((0..<20_000).lazy.map { _ in Double(bitPattern: random.next() >> 12) }) == nil)
    }

    @Test func aNumberThatDoesNotFitIsFlagged() {
        for value in [0.1 + 0.2, 21.53, 1e300, 123_456] {
            var memory: [UInt8] = [0, 0, 0]
            memory.withUnsafeMutableBytes {
                var writer = ByteWriter($0)
                JSONNumber.write(value, to: &writer)
                #expect(writer.isOverflowed)
            }
        }
    }
}
