import Platform
import Testing

@testable import Configuration

/// Each type of value: what is taken, what is refused and with which words.
@Suite struct ValueTests {
    private func read<Result>(_ value: String, _ body: (Reader) -> Result?) -> (value: Result?, line: String?) {
        let (result, lines) = Source("a: \(value)\n").read(body)
        #expect(lines.count <= 1)
        return (result ?? nil, lines.first)
    }

    @Test(arguments: [
        ("0", 0), ("5", 5), ("-5", -5), ("+7", 7), ("0x76", 0x76), ("0XfF", 255), ("-0x10", -16),
        ("9223372036854775807", Int64.max), ("-9223372036854775808", Int64.min), ("0x7fffffffffffffff", Int64.max),
    ])
    func integers(text: String, expected: Int64) {
        let found = read(text) { $0.integer("a", in: .min ... .max) }
        #expect(found.value == expected && found.line == nil)
    }

    @Test(arguments: [
        "9223372036854775808", "-9223372036854775809", "0x8000000000000000", "99999999999999999999", "010", "1_000",
        "0x",
        "0xg", "1.0", "1e3", "five", "--5", "+", "1:30", "0b1", "0o7", "1 2", "[1]", "{b: 1}",
        "111111111111111111111111111111111111111",
    ])
    func integersRefused(text: String) {
        let found = read(text) { $0.integer("a", in: .min ... .max) }
        #expect(found.value == nil)
        #expect(found.line?.hasSuffix(", expected an integer") == true, "\(found.line ?? "")")
    }

    @Test func integerBounds() {
        func line(_ text: String, _ range: ClosedRange<Int64>) -> String? {
            read(text) { $0.integer("a", in: range) }.line
        }
        #expect(line("8", 8...119) == nil && line("119", 8...119) == nil && line("0x77", 8...119) == nil)
        #expect(line("7", 8...119) == "kedge.yaml:1:4: a is \"7\", expected an integer from 8 to 119")
        // In the notation that the user chose.
        #expect(line("0x78", 8...119) == "kedge.yaml:1:4: a is \"0x78\", expected an integer from 0x8 to 0x77")
        #expect(line("0", 1 ... .max) == "kedge.yaml:1:4: a is \"0\", expected an integer of at least 1")
        #expect(line("5", .min ... -1) == "kedge.yaml:1:4: a is \"5\", expected an integer of at most -1")
        #expect(
            line("\"5\"", 0...9)
                == "kedge.yaml:1:4: a is \"5\" in quotes, expected an integer from 0 to 9 without quotes")
    }

    @Test(arguments: [
        ("0", 0), ("0.2794", 0.2794), ("-1.5e3", -1500), ("1E-3", 0.001), (".5", 0.5), ("5.", 5), ("+2", 2),
        ("1e+2", 100),
    ])
    func numbers(text: String, expected: Double) {
        let found = read(text) { $0.number("a", in: -Double.infinity...Double.infinity) }
        #expect(found.value == expected && found.line == nil)
    }

    @Test(arguments: [
        "nan", "inf", "-inf", ".inf", ".nan", "infinity", "1e999", "0x10", "0x1p3", "1.5x", "1,5", "1.2.3", "1e", "e5",
        ".",
        "-e1", "1e5.5", "1-2", "'1.5'", String(repeating: "1", count: 100),
    ])
    func numbersRefused(text: String) {
        let found = read(text) { $0.number("a", in: -Double.infinity...Double.infinity) }
        #expect(found.value == nil)
        #expect(found.line?.contains(", expected a number") == true)
    }

    @Test func numberBounds() {
        func line(_ text: String, _ range: ClosedRange<Double>) -> String? {
            read(text) { $0.number("a", in: range) }.line
        }
        #expect(line("-0.1", 0...1.5) == "kedge.yaml:1:4: a is \"-0.1\", expected a number from 0 to 1.5")
        #expect(line("-1", 0 ... .infinity) == "kedge.yaml:1:4: a is \"-1\", expected a number of at least 0")
        #expect(line("1.5", 0...1.5) == nil)
    }

    @Test(arguments: [
        ("true", true), ("True", true), ("yes", true), ("on", true), ("ON", true), ("false", false), ("no", false),
        ("off", false), ("Off", false),
    ])
    func booleans(text: String, expected: Bool) {
        #expect(read(text) { $0.boolean("a") }.value == expected)
    }

    @Test(arguments: ["1", "0", "y", "n", "truely", "enabled", "\"true\"", "[]"])
    func booleansRefused(text: String) {
        let found = read(text) { $0.boolean("a") }
        #expect(found.value == nil && found.line?.contains(", expected true or false") == true)
    }

    @Test(arguments: [
        ("0", 0), ("0s", 0), ("1ns", 1), ("7us", 7_000), ("500ms", 500_000_000), ("5s", 5_000_000_000),
        ("10m", 600_000_000_000),
        ("24h", 86_400_000_000_000), ("2d", 172_800_000_000_000), ("1h30m", 5_400_000_000_000),
        ("1m0.5s", 60_500_000_000),
        ("1.5h", 5_400_000_000_000), ("0.25s", 250_000_000), ("1.000000001s", 1_000_000_001), ("\"5s\"", 5_000_000_000),
        ("106751d", 9_223_286_400_000_000_000), ("9223372036854775807ns", Int64.max),
    ])
    func intervals(text: String, expected: Int64) {
        let found = read(text) { $0.interval("a", in: .zero...Interval(nanoseconds: .max)) }
        #expect(found.value?.nanoseconds == expected && found.line == nil)
    }

    @Test(arguments: [
        "99999999999999999999s", "9223372036854775808ns", "106752d", "106751d24h", "9223372036s1000ms", "5 s",
        "5 parsecs", "s",
        "-5s", "+5s", "5S", "5min", "1s1s", "1s1m", ".5s", "5.s", "1.0000000000s", "1h30", "1e3s", "5", "1.5", "00",
        "NaN", "[5s]",
        "99999999999999999999.99999999999999999999s", "1.999999999d1.999999999d",
    ])
    func intervalsRefused(text: String) {
        let found = read(text) { $0.interval("a", in: .zero...Interval(nanoseconds: .max)) }
        #expect(found.value == nil)
        #expect(found.line?.contains(", expected a duration such as 500ms, 5s or 10m") == true)
    }

    @Test func intervalBounds() {
        func line(_ text: String, _ range: ClosedRange<Interval>) -> String? {
            read(text) { $0.interval("a", in: range) }.line
        }
        let day = Interval.milliseconds(1) ... .seconds(86_400)
        #expect(line("1ms", day) == nil && line("24h", day) == nil && line("1d", day) == nil)
        #expect(
            line("999us", day)?.hasSuffix("a is \"999us\", expected a duration such as 500ms, 5s or 10m (1ms to 24h)")
                == true)
        #expect(line("1d1ns", day) != nil && line("0", day) != nil)
        #expect(
            line("5", day)?.hasSuffix(
                "a is \"5\", expected a duration such as 500ms, 5s or 10m, with its unit (ns, us, ms, s, m, h, d) (1ms to 24h)"
            )
                == true)
        #expect(line("1s", .milliseconds(1_500) ... .seconds(90))?.hasSuffix("(1500ms to 90s)") == true)
        #expect(line("8d", .zero ... .seconds(7 * 86_400))?.hasSuffix("(0 to 7d)") == true)
        #expect(line("0", .seconds(120)...Interval(nanoseconds: .max))?.hasSuffix("(at least 2m)") == true)
    }

    @Test(arguments: [
        ("0", 0), ("1B", 1), ("1kB", 1_000), ("1KB", 1_000), ("256MB", 256_000_000), ("1GB", 1_000_000_000),
        ("64KiB", 65_536),
        ("1.5MiB", 1_572_864), ("2GiB", 2_147_483_648), ("0.5kB", 500), ("1.3KiB", 1_331),
    ])
    func sizes(text: String, expected: Int64) {
        let found = read(text) { $0.size("a", in: 0 ... .max) }
        #expect(found.value == expected && found.line == nil)
    }

    @Test(arguments: [
        "1", "256M", "1mb", "1TB", "-1B", "1kB1B", "99999999999GB", "9223372036854775808B", "1 MB", "B", "1.MB",
    ])
    func sizesRefused(text: String) {
        let found = read(text) { $0.size("a", in: 0 ... .max) }
        #expect(found.value == nil)
        #expect(found.line?.contains(", expected a size such as 64KiB, 256MB or 1GB") == true)
    }

    @Test func sizeBounds() {
        func line(_ text: String) -> String? { read(text) { $0.size("a", in: 65_536...4_000_000_000) }.line }
        #expect(line("64KiB") == nil && line("4GB") == nil)
        #expect(line("65535B")?.hasSuffix("(64KiB to 4GB)") == true)
        #expect(line("4000000001B")?.hasSuffix("(64KiB to 4GB)") == true)
        #expect(line("100000")?.hasSuffix(", with its unit (B, kB, MB, GB, KiB, MiB, GiB) (64KiB to 4GB)") == true)
    }

    @Test func choices() {
        let words: [StaticString] = ["off", "on", "auto"]
        #expect(read("off") { $0.choice("a", words) }.value == 0)
        #expect(read("\"auto\"") { $0.choice("a", words) }.value == 2)
        #expect(
            read("Auto") { $0.choice("a", words) }.line == "kedge.yaml:1:4: a is \"Auto\", expected off, on or auto")
        #expect(
            read("{}") { $0.requiredChoice("a", words) }.line
                == "kedge.yaml:1:4: a is a mapping, expected off, on or auto")
    }

    @Test(arguments: [
        ("5", "5"), ("on", "on"), ("1.10", "1.10"), ("'x y'", "x y"), ("|\n  x\n  y", "x\ny\n"), ("NO", "NO"),
    ])
    func strings(text: String, expected: String) { #expect(read(text) { $0.string("a") }.value == expected) }

    @Test func shownTextIsOneShortLine() {
        let line = read("\"a\\nb\\tc\\e[31m\\u202e\\xe4\"") { $0.boolean("a") }.line
        #expect(
            line
                == "kedge.yaml:1:4: a is \"a\\nb\\tc\\u{1b}[31m\\u{202e}ä\" in quotes, expected true or false without quotes"
        )
    }
}
