import Platform

/// How far the wall clock could be trusted for a sample's timestamp.
public enum ClockState: Equatable, Sendable {
    /// Known to be right when the sample was taken: nothing is said.
    case synchronised
    /// Not known to be right: `"clock":"unsynced"`.
    case unsynced
    /// Taken before the clock was set; the timestamp was worked out afterwards: `"clock":"corrected"`.
    case corrected
    /// The start of the machine ended before its clock was known, and now nobody can tell: `"clock":"uncertain"`.
    case uncertain
}

/// Turns samples into JSON records, byte by byte into the memory where they wait for delivery.
///
///     {"sensorID":"greenhouse.temperature","value":21.53,"timestamp":1795193522.298}
///
/// After `timestamp` follow, where there is something to say and always in this order: `unit`, `quality` with `reason`,
/// `clock`. A value that is bad, or no number JSON can write, is `null`. Nothing is allocated for a record.
public final class RecordEncoder {
    /// Where the constant parts of a series' records lie in `constants`.
    private struct Template {
        let prefix: Range<Int>
        let unit: Range<Int>
        let key: Range<Int>
    }

    private let timestamp: TimestampFormat
    private let templates: [Template]
    private let constants: UnsafeMutableRawBufferPointer

    /// - Parameter series: in the order of `SeriesID.index`.
    public init(settings: RecordSettings, series: [Series]) {
        timestamp = settings.timestamp
        var size = 0
        for one in series {
            let unit = one.unit?.utf8.count ?? 0
            size += 48 + one.sensorID.utf8.count * 7 + JSONString.maximumBytes(utf8Count: unit)
        }
        constants = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 1)
        var writer = ByteWriter(constants)
        var templates: [Template] = []
        templates.reserveCapacity(series.count)
        for one in series {
            let start = writer.count
            writer.write("{\"sensorID\":")
            JSONString.write(one.sensorID, to: &writer)
            writer.write(",\"value\":")
            let prefixEnd = writer.count
            if settings.showsUnit, let unit = one.unit {
                writer.write(",\"unit\":")
                JSONString.write(unit, to: &writer)
            }
            let unitEnd = writer.count
            writer.write(utf8: one.sensorID)
            templates.append(
                Template(prefix: start..<prefixEnd, unit: prefixEnd..<unitEnd, key: unitEnd..<writer.count))
        }
        self.templates = templates
    }

    deinit { constants.deallocate() }

    /// The record key of a series, its sensorID in UTF-8: the same memory as long as the encoder lives.
    public func key(of series: SeriesID) -> UnsafeRawBufferPointer {
        guard templates.indices.contains(series.index) else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return constant(templates[series.index].key)
    }

    /// The most bytes that the record of `sample` can have.
    public func maximumBytes(for sample: Sample) -> Int {
        guard templates.indices.contains(sample.series.index) else { return 0 }
        let template = templates[sample.series.index]
        let reason: Int
        switch sample.quality {
        case .good: reason = 16
        case .uncertain(let text), .bad(let text): reason = JSONString.maximumBytes(utf8Count: text.utf8.count) + 16
        }
        // ,"timestamp": 13 · ,"quality":"uncertain","reason": 32 · ,"clock":"corrected" 20 · } 1
        return template.prefix.count + sample.value.maximumBytes + TimestampFormat.maximumBytes + template.unit.count
            + reason + 66
    }

    /// Writes the record of `sample`. A series that the encoder was not made for fails the writer.
    /// - Parameter wallTime: when the sample was taken.
    public func encode(
        _ sample: Sample, wallTime: WallTime, clock: ClockState = .synchronised, into writer: inout ByteWriter
    ) {
        guard templates.indices.contains(sample.series.index) else {
            writer.fail()
            return
        }
        let template = templates[sample.series.index]
        writer.write(constant(template.prefix))
        let isNumber = write(sample, to: &writer)
        writer.write(",\"timestamp\":")
        timestamp.write(wallTime, to: &writer)
        writer.write(constant(template.unit))
        switch sample.quality {
        case .bad(let reason):
            writer.write(",\"quality\":\"bad\",\"reason\":")
            JSONString.write(reason, to: &writer)
        case .uncertain where !isNumber, .good where !isNumber:
            writer.write(",\"quality\":\"bad\",\"reason\":\"not-a-number\"")
        case .uncertain(let reason):
            writer.write(",\"quality\":\"uncertain\",\"reason\":")
            JSONString.write(reason, to: &writer)
        case .good: break
        }
        switch clock {
        case .synchronised: break
        case .unsynced: writer.write(",\"clock\":\"unsynced\"")
        case .corrected: writer.write(",\"clock\":\"corrected\"")
        case .uncertain: writer.write(",\"clock\":\"uncertain\"")
        }
        writer.write(UInt8(ascii: "}"))
    }

    /// Writes the value.
    /// - Returns: whether it was one: `false` for NaN and infinities.
    private func write(_ sample: Sample, to writer: inout ByteWriter) -> Bool {
        if case .bad = sample.quality {
            writer.write("null")
            return true
        }
        sample.value.write(to: &writer)
        if case .number(let number) = sample.value { return number.isFinite }
        return true
    }

    private func constant(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: constants[range])
    }
}
