import Foundation
import Platform
import Records
import Testing

@Suite struct TimestampTests {
    private func text(_ format: TimestampFormat, _ nanoseconds: Int64) -> String {
        written { format.write(WallTime(nanoseconds: nanoseconds), to: &$0) }
    }

    @Test func theThreeFormats() {
        let time: Int64 = 1_795_193_522_298_000_000
        #expect(text(.seconds, time) == "1795193522.298")
        #expect(text(.millis, time) == "1795193522298")
        #expect(text(.rfc3339, time) == "\"2026-11-20T16:52:02.298Z\"")
    }

    @Test func threeDecimalsAlwaysAndRoundedDown() {
        #expect(text(.seconds, 5_000_999_999) == "5.000")
        #expect(text(.seconds, 0) == "0.000")
        #expect(text(.rfc3339, 999_999_999) == "\"1970-01-01T00:00:00.999Z\"")
    }

    @Test func before1970() {
        #expect(text(.seconds, -500_000_000) == "-0.500")
        #expect(text(.seconds, -1) == "-0.001")
        #expect(text(.millis, -1_500_000) == "-2")
        #expect(text(.rfc3339, -1) == "\"1969-12-31T23:59:59.999Z\"")
    }

    @Test func theEndsOfTime() {
        #expect(text(.seconds, .max) == "9223372036.854")
        #expect(text(.seconds, .min) == "-9223372036.855")
        #expect(text(.rfc3339, .max) == "\"2262-04-11T23:47:16.854Z\"")
        #expect(text(.rfc3339, .min) == "\"1677-09-21T00:12:43.145Z\"")
        for format in [TimestampFormat.seconds, .millis, .rfc3339] {
            for time in [Int64.min, .max] { #expect(text(format, time).utf8.count <= TimestampFormat.maximumBytes) }
        }
    }

    @Test func leapDays() {
        #expect(text(.rfc3339, 951_782_400_000_000_000) == "\"2000-02-29T00:00:00.000Z\"")
        #expect(text(.rfc3339, 1_709_251_199_000_000_000) == "\"2024-02-29T23:59:59.000Z\"")
        #expect(text(.rfc3339, 4_107_542_400_000_000_000) == "\"2100-03-01T00:00:00.000Z\"")
    }

    /// Every day of the representable years against the C library's calendar.
    @Test func everyDay() {
        for day in -106_751...106_751 {
            var seconds = day * 86_400
            var parts = tm()
            gmtime_r(&seconds, &parts)
            func padded(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
            let expected =
                "\"\(parts.tm_year + 1_900)-\(padded(parts.tm_mon + 1))-\(padded(parts.tm_mday))T00:00:00.000Z\""
            let found = text(.rfc3339, Int64(day) * 86_400_000_000_000)
            if found != expected { Issue.record("\(found) instead of \(expected)") }
        }
    }
}
