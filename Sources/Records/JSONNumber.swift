/// Prints a Double as a JSON number (RFC 8259, section 6): the shortest decimal that reads back as the same value.
///
/// Whole numbers have no fraction (`5`, not `5.0`). Zero is `0` whatever its sign, as ECMAScript prints it: the sign of
/// a zero says nothing about a measurement. What JSON has no number for (NaN, infinities) is `null`.
public enum JSONNumber {
    /// The most bytes that `write` takes.
    public static var maximumBytes: Int { 32 }

    public static func write(_ value: Double, to writer: inout ByteWriter) {
        let magnitude = value.magnitude
        if magnitude < 1e9 {
            let whole = UInt32(magnitude)
            let wholeValue = Double(whole)
            if wholeValue == magnitude {
                if value < 0 { writer.write(UInt8(ascii: "-")) }
                writer.write(whole)
                return
            }
            // Sensors give few decimals. Is the value the nearest double to some m / 10^6? Then m has at most 15 digits;
            // decimals of 15 digits never share a double, so m without its trailing zeros is the shortest. Both m and
            // 10^6 are exact and IEEE division rounds correctly: the comparison is the proof.
            // Adding 1.5 * 2^52 rounds to a whole number without a library call.
            let roundingShift = 6_755_399_441_055_744.0
            let millionths = (magnitude * 1e6 + roundingShift) - roundingShift
            if millionths / 1e6 == magnitude {
                var fraction = UInt32(millionths - wholeValue * 1e6)
                var digits = 6
                while true {
                    let quotient = fraction / 10
                    if quotient &* 10 != fraction || digits == 1 { break }
                    fraction = quotient
                    digits -= 1
                }
                if value < 0 { writer.write(UInt8(ascii: "-")) }
                writer.write(whole)
                writer.write(UInt8(ascii: "."))
                writer.write(fraction, digits: digits)
                return
            }
        }
        guard value.isFinite else {
            writer.write("null")
            return
        }
        var printer = ShortestDecimal(writer: writer)
        value.write(to: &printer)
        writer = printer.writer
    }
}

/// Takes what the standard library prints for a Double (the shortest decimal, such as `0.1`, `5.0` or `1e-07`), without `.0`.
private struct ShortestDecimal: TextOutputStream {
    var writer: ByteWriter

    mutating func write(_ text: String) {
        let done: Void? = text.utf8.withContiguousStorageIfAvailable { _writeASCII($0) }
        if done == nil { writer.fail() }
    }

    /// The standard library hands ASCII over here without making a String. Were this customisation point to go,
    /// `write` would serve: the same digits, with an allocation.
    mutating func _writeASCII(_ text: UnsafeBufferPointer<UInt8>) {
        var count = text.count
        if count > 2, text[count - 1] == UInt8(ascii: "0"), text[count - 2] == UInt8(ascii: ".") { count -= 2 }
        writer.write(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(text)[..<count]))
    }
}
