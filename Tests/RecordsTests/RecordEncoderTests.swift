import Foundation
import Platform
import Records
import Testing

@Suite struct RecordEncoderTests {
    private let time = WallTime(nanoseconds: 1_795_217_922_298_000_000)
    private let temperature = Series(sensorID: "greenhouse.temperature", unit: "Cel")

    private func sample(_ value: Value, _ quality: Quality = .good) -> Sample {
        Sample(series: SeriesID(0), value: value, quality: quality, taken: Instant(nanoseconds: 0))
    }

    private func record(
        _ sample: Sample, _ settings: RecordSettings = RecordSettings(), clock: ClockState = .synchronised
    ) -> String {
        let encoder = RecordEncoder(settings: settings, series: [temperature])
        // Exactly what was promised to be enough.
        return written(encoder.maximumBytes(for: sample)) {
            encoder.encode(sample, wallTime: time, clock: clock, into: &$0)
            #expect(!$0.isOverflowed)
        }
    }

    @Test func theRecordIsExactlyThis() {
        #expect(
            record(sample(.number(21.53)))
                == #"{"sensorID":"greenhouse.temperature","value":21.53,"timestamp":1795217922.298}"#)
    }

    /// A record that an earlier start of the machine has left on disk.
    @Test func whatWasNeverSynchronisedIsUncertainLater() {
        func stored(_ text: String) -> String {
            Array(text.utf8).withUnsafeBytes { payload in
                written(payload.count + UnsyncedRecord.growth) {
                    UnsyncedRecord.writeUncertain(payload, to: &$0)
                    #expect(!$0.isOverflowed)
                }
            }
        }
        #expect(
            stored(record(sample(.number(1.5)), clock: .unsynced)) == record(sample(.number(1.5)), clock: .uncertain))
        for clock in [ClockState.synchronised, .corrected, .uncertain] {
            let text = record(sample(.text(#","clock":"unsynced"}"#)), clock: clock)
            #expect(stored(text) == text)
        }
        for text in ["", "{}", #","clock":"unsynced"}"#] { #expect(stored(text) == text) }
    }

    @Test func everyKindOfValue() {
        func value(_ value: Value) -> String {
            let text = record(sample(value))
            return String(text.dropFirst(#"{"sensorID":"greenhouse.temperature","value":"#.count).dropLast(28))
        }
        #expect(value(.integer(-7)) == "-7")
        #expect(value(.integer(.min)) == "-9223372036854775808")
        #expect(value(.number(5)) == "5")
        #expect(value(.boolean(true)) == "true")
        #expect(value(.boolean(false)) == "false")
        #expect(value(.text("a\"b")) == #""a\"b""#)
    }

    @Test func optionalKeysFollowInTheirOrder() {
        let settings = RecordSettings(timestamp: .rfc3339, showsUnit: true)
        #expect(
            record(sample(.number(1.5), .uncertain(reason: "warm-up")), settings, clock: .corrected)
                == #"{"sensorID":"greenhouse.temperature","value":1.5,"timestamp":"2026-11-20T23:38:42.298Z","#
                + #""unit":"Cel","quality":"uncertain","reason":"warm-up","clock":"corrected"}"#)
        #expect(
            record(sample(.number(1.5)), RecordSettings(timestamp: .millis), clock: .unsynced)
                == #"{"sensorID":"greenhouse.temperature","value":1.5,"timestamp":1795217922298,"clock":"unsynced"}"#)
    }

    @Test func aBadValueIsNull() {
        #expect(
            record(sample(.number(85), .bad(reason: "no answer")))
                == #"{"sensorID":"greenhouse.temperature","value":null,"timestamp":1795217922.298,"#
                + #""quality":"bad","reason":"no answer"}"#)
    }

    @Test(arguments: [Double.nan, .infinity, -.infinity], [Quality.good, .uncertain(reason: "drift")])
    func whatIsNoNumberNeverReachesTheWire(_ number: Double, _ quality: Quality) {
        #expect(
            record(sample(.number(number), quality))
                == #"{"sensorID":"greenhouse.temperature","value":null,"timestamp":1795217922.298,"#
                + #""quality":"bad","reason":"not-a-number"}"#)
    }

    @Test func aBadNaNKeepsItsOwnReason() {
        #expect(record(sample(.number(.nan), .bad(reason: "crc"))).hasSuffix(#""quality":"bad","reason":"crc"}"#))
    }

    /// The bound holds for the longest values there are, and the result is JSON whatever the texts.
    @Test func neverLongerThanPromised() throws {
        let nasty = String(repeating: "\u{1}\"\u{1F600}", count: 50)
        let series = Series(sensorID: nasty, unit: nasty)
        for format in [TimestampFormat.seconds, .millis, .rfc3339] {
            let encoder = RecordEncoder(settings: RecordSettings(timestamp: format, showsUnit: true), series: [series])
            for value in [
                Value.number(-2.2250738585072014e-308), .number(.nan), .integer(.min), .boolean(false), .text(nasty),
                .text(""),
            ] {
                for quality in [Quality.good, .uncertain(reason: nasty), .bad(reason: nasty), .bad(reason: "")] {
                    let sample = sample(value, quality)
                    let text = written(encoder.maximumBytes(for: sample)) {
                        encoder.encode(
                            sample, wallTime: WallTime(nanoseconds: .min), clock: .corrected, into: &$0)
                        #expect(!$0.isOverflowed)
                    }
                    let parsed = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
                    #expect(parsed?["sensorID"] as? String == nasty)
                    #expect(parsed?["unit"] as? String == nasty)
                }
            }
        }
    }

    @Test func theKeyIsTheSensorID() {
        let encoder = RecordEncoder(
            settings: RecordSettings(), series: [temperature, Series(sensorID: "a\"b", unit: nil)])
        #expect(String(decoding: encoder.key(of: SeriesID(0)), as: UTF8.self) == "greenhouse.temperature")
        #expect(String(decoding: encoder.key(of: SeriesID(1)), as: UTF8.self) == "a\"b")
        #expect(encoder.key(of: SeriesID(1)).baseAddress == encoder.key(of: SeriesID(1)).baseAddress)
    }

    @Test func anUnknownSeriesFailsTheWriterInsteadOfTheProgram() {
        let encoder = RecordEncoder(settings: RecordSettings(), series: [temperature])
        for index in [1, -1] {
            let sample = Sample(series: SeriesID(index), value: .number(1), taken: Instant(nanoseconds: 0))
            #expect(encoder.maximumBytes(for: sample) == 0)
            #expect(encoder.key(of: SeriesID(index)).isEmpty)
            var writer = ByteWriter(UnsafeMutableRawBufferPointer(start: nil, count: 0))
            encoder.encode(sample, wallTime: time, into: &writer)
            #expect(writer.isOverflowed)
        }
    }
}
