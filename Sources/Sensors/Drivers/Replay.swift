import CJansson
import CShim
import Configuration
import Platform
import Records

/// The values of a column of a CSV file (RFC 4180) or of a key of a file with one JSON object a line.
///
/// The file is read as it is needed, 4 KiB at a time. A line without a value is skipped; a measurement that had to
/// skip lines fails with the first of them, and the value that followed comes with the next measurement.
final class Replay {
    enum Field: Equatable {
        /// Of a CSV file whose first line names the columns.
        case column(String)
        /// Of a CSV file, from 1. A first line without a number there is taken for a header.
        case columnNumber(Int)
        /// At the top level of each JSON object.
        case key(String)
    }

    struct Settings: Equatable {
        var path: String
        var field: Field
        var separator: UInt8 = UInt8(ascii: ",")
        /// Begins again at the end of the file.
        var repeats = true
    }

    /// So many lines in a row without a value are given up at once, so that a wrong file does not hold up others.
    private static let skipLimit = 1_000

    private let settings: Settings
    private var lines: LineReader?
    private var column: Int?
    private var pending: Value?
    /// Lines without a value, since the start.
    private(set) var malformed: UInt64 = 0
    /// The current pass through the file has yielded something.
    private var hasValues = false

    init(_ settings: Settings) { self.settings = settings }

    /// - Throws: `.ended` after the last line, unless it repeats; `.invalidData` with the place of lines without a value;
    ///   `.system` when the file cannot be read.
    func next() throws(SensorError) -> Value {
        if let value = pending {
            pending = nil
            return value
        }
        var problem: String?
        for _ in 0..<Self.skipLimit {
            let lines = try opened()
            let hasLine: Bool
            do throws(SystemError) { hasLine = try lines.next() } catch {
                self.lines = nil
                throw .system(error)
            }
            guard hasLine else {
                try endPass(problem)
                continue
            }
            switch take(lines) {
            case .value(let value):
                hasValues = true
                guard let problem else { return value }
                pending = value
                throw .invalidData(problem)
            case .nothing: continue
            case .malformed(let why):
                malformed += 1
                if problem == nil {
                    problem = joined(
                        settings.path, ":", decimal(lines.number), ": ", why, " (lines skipped so far: ",
                        decimal(malformed), ")")
                }
            }
        }
        throw .invalidData(problem ?? joined(settings.path, ": ", decimal(Self.skipLimit), " lines without a value"))
    }

    private enum Line {
        case value(Value)
        /// Empty, or the header.
        case nothing
        case malformed(String)
    }

    private func opened() throws(SensorError) -> LineReader {
        if let lines { return lines }
        do throws(SystemError) {
            let opened = try LineReader(settings.path)
            lines = opened
            hasValues = false
            column = nil
            return opened
        } catch {
            throw .system(error)
        }
    }

    private func endPass(_ problem: String?) throws(SensorError) {
        if settings.repeats {
            lines = nil
            if hasValues { return }
            throw .invalidData(problem ?? joined("no values in ", settings.path))
        }
        if let problem { throw .invalidData(problem) }
        throw .ended
    }

    private func take(_ lines: LineReader) -> Line {
        if lines.isTooLong { return .malformed(joined("a line of more than ", decimal(LineReader.limit), " bytes")) }
        let line = lines.line[...]
        if line.allSatisfy({ $0 == 32 || $0 == 9 }) { return .nothing }
        switch settings.field {
        case .key(let key): return jsonValue(line, key)
        case .columnNumber(let number):
            let value = columnValue(line, number - 1)
            if case .malformed = value, lines.number == 1 { return .nothing }
            return value
        case .column(let name):
            if let column { return columnValue(line, column) }
            var index = 0
            while let field = csvField(line, index, separator: settings.separator) {
                if field.elementsEqual(name.utf8) {
                    column = index
                    return .nothing
                }
                index += 1
            }
            return .malformed(joined("no column \"", name, "\" in ", escaped(line)))
        }
    }

    private func columnValue(_ line: ArraySlice<UInt8>, _ column: Int) -> Line {
        guard let field = csvField(line, column, separator: settings.separator) else {
            return .malformed(joined("no column ", decimal(column + 1)))
        }
        guard let number = decimalNumber(field[...]) else {
            return .malformed(joined("not a number: ", escaped(field[...])))
        }
        return .value(.number(number))
    }
}

/// A field of a CSV line, from 0, without its quotes; `nil` past the last.
func csvField(_ line: ArraySlice<UInt8>, _ wanted: Int, separator: UInt8) -> [UInt8]? {
    let quote = UInt8(ascii: "\"")
    var field: [UInt8] = []
    var index = 0
    var position = line.startIndex
    var isQuoted = false
    while position < line.endIndex {
        let byte = line[position]
        if isQuoted {
            if byte != quote {
                if index == wanted { field.append(byte) }
            } else if position + 1 < line.endIndex, line[position + 1] == quote {
                if index == wanted { field.append(byte) }
                position += 1
            } else {
                isQuoted = false
            }
        } else if byte == quote {
            isQuoted = true
        } else if byte == separator {
            if index == wanted { return field }
            index += 1
        } else if index == wanted {
            field.append(byte)
        }
        position += 1
    }
    return index == wanted ? field : nil
}

extension Replay {
    private func jsonValue(_ line: ArraySlice<UInt8>, _ key: String) -> Line {
        let root = line.withUnsafeBytes { bytes -> UnsafeMutablePointer<json_t>? in
            json_loadb(bytes.baseAddress, bytes.count, Int(JSON_REJECT_DUPLICATES), nil)
        }
        guard let root else { return .malformed(joined("not JSON: ", escaped(line))) }
        defer { json_decref(root) }
        guard root.pointee.type == JSON_OBJECT else { return .malformed(joined("not a JSON object: ", escaped(line))) }
        guard let value = json_object_get(root, key) else { return .malformed(joined("no key \"", key, "\"")) }
        switch value.pointee.type {
        case JSON_REAL: return .value(.number(json_real_value(value)))
        case JSON_INTEGER: return .value(.integer(Int64(json_integer_value(value))))
        case JSON_TRUE: return .value(.boolean(true))
        case JSON_FALSE: return .value(.boolean(false))
        case JSON_STRING:
            guard let text = json_string_value(value) else { return .malformed(joined("no key \"", key, "\"")) }
            return .value(.text(String(cString: text)))
        default: return .malformed(joined("no number, text or boolean under \"", key, "\""))
        }
    }

    static func decode(_ reader: Reader) -> Settings? {
        let path = reader.requiredNonEmpty("path")
        let column = reader.nonEmpty("column")
        let key = reader.nonEmpty("key")
        let separator = reader.string("separator").map { Array($0.utf8) }
        let repeats = reader.boolean("repeat") ?? true
        var isValid = path != nil
        if let separator, separator.count != 1 || separator == [UInt8(ascii: "\"")] {
            reader.diagnostics.report(
                reader.mark(of: "separator"), "a separator that is not one character",
                expected: "such as \",\" or \";\"")
            isValid = false
        }
        let field: Field
        switch (column, key) {
        case (let column?, nil):
            let number = Int(column)
            if let number, number < 1 {
                reader.diagnostics.report(
                    reader.mark(of: "column"), joined("column: ", decimal(number)),
                    expected: "a name, or a number from 1")
                return nil
            }
            field = number.map { .columnNumber($0) } ?? .column(column)
        case (nil, let key?): field = .key(key)
        // One of them is there and wrong, which was reported.
        case (nil, nil) where reader.has("column") || reader.has("key"): return nil
        default:
            reader.diagnostics.report(
                reader.mark, column == nil ? "a replay of no field" : "a replay of both column and key",
                expected: "column (of a CSV file) or key (of JSON lines)")
            return nil
        }
        guard let path, isValid else { return nil }
        return Settings(path: path, field: field, separator: separator?.first ?? UInt8(ascii: ","), repeats: repeats)
    }
}
