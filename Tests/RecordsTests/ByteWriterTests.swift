import Records
import Testing

/// What `write` puts into `capacity` bytes.
func written(_ capacity: Int = 1_000, _ write: (inout ByteWriter) -> Void) -> String {
    var memory = [UInt8](repeating: 0, count: capacity)
    return memory.withUnsafeMutableBytes { buffer in
        var writer = ByteWriter(buffer)
        write(&writer)
        return String(decoding: writer.written, as: UTF8.self)
    }
}

@Suite struct ByteWriterTests {
    @Test func writesBytesLiteralsStringsAndIntegers() {
        let text = written {
            $0.write(UInt8(ascii: "a"))
            $0.write("b\u{E9}")
            $0.write(utf8: "c\u{1F600}")
            $0.write(UInt64(0))
        }
        #expect(text == "ab\u{E9}c\u{1F600}0")
    }

    @Test func integersOfEveryLength() {
        var power: UInt64 = 1
        for _ in 0..<20 {
            for value in [power - 1, power, power + 1] {
                #expect(written { $0.write(value) } == "\(value)")
                if let signed = Int64(exactly: value) {
                    #expect(written { $0.write(-signed) } == "\(-signed)")
                }
            }
            power = power &* 10
        }
        for value in [Int64.min, Int64.max, 4_294_967_295, 4_294_967_296] {
            #expect(written { $0.write(value) } == "\(value)")
        }
        #expect(written { $0.write(UInt64.max) } == "18446744073709551615")
    }

    /// Guard bytes around the memory stay as they were, whatever is written, and nothing follows what did not fit.
    @Test func neverWritesPastTheEnd() {
        for capacity in 0..<12 {
            var memory = [UInt8](repeating: 0xEE, count: capacity + 16)
            memory.withUnsafeMutableBytes { buffer in
                var writer = ByteWriter(UnsafeMutableRawBufferPointer(rebasing: buffer[8..<(8 + capacity)]))
                writer.write("abc")
                writer.write(Int64(-12_345))
                writer.write(UInt8(ascii: "z"))
                let whole = "abc-12345z"
                #expect(writer.isOverflowed == (capacity < whole.utf8.count))
                #expect(whole.hasPrefix(String(decoding: writer.written, as: UTF8.self)))
                #expect(buffer[..<8].allSatisfy { $0 == 0xEE })
                #expect(buffer[(8 + capacity)...].allSatisfy { $0 == 0xEE })
            }
        }
    }

    @Test func afterAnOverflowNothingMoreIsTaken() {
        #expect(
            written(4) {
                $0.write("abcde")
                $0.write("f")
            } == "")
    }

    @Test func emptyWritesFitEvenNowhere() {
        var writer = ByteWriter(UnsafeMutableRawBufferPointer(start: nil, count: 0))
        writer.write("")
        #expect(!writer.isOverflowed)
        writer.write(UInt8(0))
        #expect(writer.isOverflowed)
        #expect(writer.count == 0)
    }
}
