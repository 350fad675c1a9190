import Platform

/// How a record shows when its sample was taken; always in UTC and to the millisecond (rounded down).
public enum TimestampFormat: Equatable, Sendable {
    /// Seconds since 1970 with three decimals: `1795193522.298`.
    case seconds
    /// Milliseconds since 1970: `1795193522298`.
    case millis
    /// A string of RFC 3339: `"2026-11-20T16:52:02.298Z"`.
    case rfc3339

    /// The most bytes that `write` takes for any `WallTime` (years 1677 to 2262).
    public static var maximumBytes: Int { 28 }

    /// Writes a JSON number or string.
    public func write(_ time: WallTime, to writer: inout ByteWriter) {
        let milliseconds = floored(time.nanoseconds, by: 1_000_000).quotient
        switch self {
        case .seconds:
            // Of the magnitude: -0.5 s is "-0.500", not a second before plus a half.
            if milliseconds < 0 { writer.write(UInt8(ascii: "-")) }
            let whole = milliseconds.magnitude / 1_000
            writer.write(whole)
            writer.write(UInt8(ascii: "."))
            writer.write(UInt32(truncatingIfNeeded: milliseconds.magnitude - whole * 1_000), digits: 3)
        case .millis:
            writer.write(milliseconds)
        case .rfc3339:
            writeDate(milliseconds: milliseconds, to: &writer)
        }
    }

    private func writeDate(milliseconds: Int64, to writer: inout ByteWriter) {
        let (seconds, millisecond) = floored(milliseconds, by: 1_000)
        let (days, second) = floored(seconds, by: 86_400)
        let date = CivilDate(days: Int32(truncatingIfNeeded: days))
        let secondOfDay = UInt32(truncatingIfNeeded: second)
        writer.write(UInt8(ascii: "\""))
        writer.write(UInt32(bitPattern: date.year), digits: 4)
        writer.write(UInt8(ascii: "-"))
        writer.write(UInt32(bitPattern: date.month), digits: 2)
        writer.write(UInt8(ascii: "-"))
        writer.write(UInt32(bitPattern: date.day), digits: 2)
        writer.write(UInt8(ascii: "T"))
        writer.write(secondOfDay / 3_600, digits: 2)
        writer.write(UInt8(ascii: ":"))
        writer.write(secondOfDay / 60 % 60, digits: 2)
        writer.write(UInt8(ascii: ":"))
        writer.write(secondOfDay % 60, digits: 2)
        writer.write(UInt8(ascii: "."))
        writer.write(UInt32(truncatingIfNeeded: millisecond), digits: 3)
        writer.write("Z\"")
    }
}

/// The day in UTC, such as "2026-11-20".
public func calendarDate(_ time: WallTime) -> String {
    withUnsafeTemporaryAllocation(byteCount: TimestampFormat.maximumBytes, alignment: 1) { memory in
        var writer = ByteWriter(memory)
        TimestampFormat.rfc3339.write(time, to: &writer)
        return String(decoding: writer.written.dropFirst().prefix(10), as: UTF8.self)
    }
}

/// A day of the proleptic Gregorian calendar.
struct CivilDate: Equatable {
    let year: Int32
    /// 1 to 12.
    let month: Int32
    /// 1 to 31.
    let day: Int32

    /// - Parameter days: since 1970-01-01; within five million years of it.
    init(days: Int32) {
        // The year is taken to begin on 1 March, so that the leap day is its last; 400 years are 146,097 days, and
        // 719,468 days lie between 0000-03-01 and 1970-01-01.
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        // Without the leap days before it (one in 4 years, none in 100, one in 400) each year has 365 days.
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        // From March on, five months always have 153 days.
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }
}

/// Division that rounds down, also below zero; the remainder is never negative.
private func floored(_ value: Int64, by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
    let quotient = value / divisor
    let remainder = value - quotient * divisor
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
}
