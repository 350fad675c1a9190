import Actuators
import CJansson
import Platform
import Records

/// A parsed JSON object; jansson's memory goes with it.
final class JSONDocument {
    private let root: UnsafeMutablePointer<json_t>

    /// Parses exactly one object: no duplicate keys, no NUL, valid UTF-8, no more than 2,048 levels
    /// (`JSON_PARSER_MAX_DEPTH`).
    /// - Throws: `JSONError` with the place.
    init(_ bytes: UnsafeRawBufferPointer) throws(JSONError) {
        // JSON text never holds the byte, and jansson takes one after a number for white space.
        if let index = bytes.firstIndex(of: 0) {
            throw JSONError(text: joined("NUL byte at byte ", decimal(index + 1)))
        }
        var error = json_error_t()
        let start = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
        guard let root = json_loadb(start, bytes.count, Int(JSON_REJECT_DUPLICATES), &error) else {
            throw JSONError(error)
        }
        self.root = root
        if root.pointee.type != JSON_OBJECT { throw JSONError(text: "found an array, expected an object") }
    }

    deinit { json_decref(root) }

    /// The value of `key`, or `nil` when it is absent.
    subscript(_ key: StaticString) -> JSONElement? { element[key] }

    /// A key that is none of `known`.
    func unknownKey(besides known: [StaticString]) -> String? { element.unknownKey(besides: known) }

    private var element: JSONElement { JSONElement(pointer: root, document: self) }
}

/// A value in a document, which it keeps.
struct JSONElement {
    fileprivate let pointer: UnsafeMutablePointer<json_t>
    fileprivate let document: JSONDocument

    enum Kind {
        case string(String)
        case integer(Int64)
        case real(Double)
        case boolean(Bool)
        case null, array, object
    }

    var kind: Kind {
        switch pointer.pointee.type {
        case JSON_STRING:
            let start = UnsafeRawPointer(json_string_value(pointer))
            let bytes = UnsafeRawBufferPointer(start: start, count: json_string_length(pointer))
            return .string(String(decoding: bytes, as: UTF8.self))
        case JSON_INTEGER: return .integer(Int64(json_integer_value(pointer)))
        case JSON_REAL: return .real(json_real_value(pointer))
        case JSON_TRUE: return .boolean(true)
        case JSON_FALSE: return .boolean(false)
        case JSON_ARRAY: return .array
        case JSON_OBJECT: return .object
        default: return .null
        }
    }

    /// An object's value of `key`; `nil` when it is absent, or this is no object.
    subscript(_ key: StaticString) -> JSONElement? {
        let value = key.withUTF8Buffer {
            json_object_getn(pointer, UnsafeRawPointer($0.baseAddress)?.assumingMemoryBound(to: CChar.self), $0.count)
        }
        return value.map { JSONElement(pointer: $0, document: document) }
    }

    /// An object's key that is none of `known`.
    func unknownKey(besides known: [StaticString]) -> String? {
        var iterator = json_object_iter(pointer)
        while let position = iterator {
            let length = json_object_iter_key_len(position)
            let start = UnsafeRawPointer(json_object_iter_key(position))
            let key = UnsafeRawBufferPointer(start: start, count: length)
            let isKnown = known.contains { name in
                name.withUTF8Buffer { $0.count == key.count && $0.elementsEqual(key) }
            }
            if !isKnown { return String(decoding: key, as: UTF8.self) }
            iterator = json_object_iter_next(pointer, position)
        }
        return nil
    }

    /// How many elements an array has; 0 for anything else.
    var count: Int { Int(json_array_size(pointer)) }

    /// An array's element.
    func element(at index: Int) -> JSONElement? {
        json_array_get(pointer, index).map { JSONElement(pointer: $0, document: document) }
    }

    /// What it is, for an error; text is cut short.
    var shown: String {
        switch kind {
        case .string(let text): Actuators.shown(.text(excerpt(text)))
        case .integer(let integer): Actuators.shown(.integer(integer))
        case .real(let real): Actuators.shown(.number(real))
        case .boolean(let boolean): Actuators.shown(.boolean(boolean))
        case .null: "null"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

/// Why bytes are no JSON object, and where.
struct JSONError: Error {
    let text: String

    init(text: String) { self.text = text }

    /// Such as "line 1, column 10 (byte 10): duplicate object key near '"a"'".
    init(_ error: json_error_t) {
        let words = withUnsafeBytes(of: error.text) { bytes in
            // The last byte of the field is jansson's error code.
            String(decoding: bytes.dropLast().prefix { $0 != 0 }, as: UTF8.self)
        }
        text = joined(
            "line ", decimal(Int64(error.line)), ", column ", decimal(Int64(error.column)), " (byte ",
            decimal(Int64(error.position)), "): ", words)
    }
}

/// `text`, or its beginning when it is longer than `limit` bytes.
@inline(never)
func excerpt(_ text: String, limit: Int = 48) -> String {
    if text.utf8.count <= limit { return text }
    var length = 0
    var shown = ""
    for scalar in text.unicodeScalars {
        length += scalar.utf8.count
        if length > limit - 3 { break }
        shown.unicodeScalars.append(scalar)
    }
    return shown + "…"
}
