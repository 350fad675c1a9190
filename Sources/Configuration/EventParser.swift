import CYAML
import Platform

/// libyaml's parser: the one owner of its state and of the current event, which both end with it.
///
/// `source` must outlive it. After `advance` returned false it must not be asked again.
final class EventParser {
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let current: UnsafeMutablePointer<yaml_event_t>
    private let source: UnsafeBufferPointer<UInt8>
    private let isReady: Bool

    init(_ source: UnsafeBufferPointer<UInt8>) {
        self.source = source
        // Both on the heap: the parser keeps pointers into itself, so it must not move.
        parser = .allocate(capacity: 1)
        current = .allocate(capacity: 1)
        current.initialize(to: yaml_event_t())
        isReady = yaml_parser_initialize(parser) != 0
        if isReady {
            yaml_parser_set_input_string(parser, source.baseAddress, source.count)
            // Otherwise a file that begins like UTF-16 would be read as such.
            yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        }
    }

    deinit {
        yaml_event_delete(current)
        if isReady { yaml_parser_delete(parser) }
        current.deallocate()
        parser.deallocate()
    }

    /// Goes to the next event. False when there is none because the text is no YAML; `problem` then says why.
    func advance() -> Bool {
        yaml_event_delete(current)
        return isReady && yaml_parser_parse(parser, current) != 0
    }

    /// Valid until the next `advance`.
    var event: yaml_event_t { current.pointee }

    /// What made `advance` fail.
    var problem: (mark: Mark, text: String) {
        if !isReady || parser.pointee.error == YAML_MEMORY_ERROR {
            return (Mark(line: 1, column: 1), "too little memory to read the file")
        }
        let reason = parser.pointee.problem.map { String(cString: $0) } ?? "unknown error"
        if parser.pointee.error == YAML_READER_ERROR {
            // The decoder knows only the byte at which it stopped.
            return (Place(source).advanced(toByte: parser.pointee.problem_offset), "not UTF-8 text: \(reason)")
        }
        let place = parser.pointee.problem_mark
        var text = "invalid YAML"
        if let context = parser.pointee.context {
            text += " " + String(cString: context)
            let begin = parser.pointee.context_mark
            if begin.line != place.line { text += " that begins at line \(begin.line + 1)" }
        }
        text += ": " + reason
        var offset = Place(source)
        _ = offset.advance(toCharacter: place.index)
        if offset.byte >= source.count {
            text += " before the end of the file"
        } else if source[offset.byte] == 9 {
            text = "invalid YAML: a tab, expected spaces"
        }
        return (Mark(place), text)
    }
}

extension Mark {
    init(_ mark: yaml_mark_t) {
        self.init(line: mark.line + 1, column: mark.column + 1)
    }
}

/// A place in the text that moves forward through it, since libyaml counts characters and the text is bytes.
struct Place {
    private let source: UnsafeBufferPointer<UInt8>
    private(set) var byte = 0
    private(set) var character = 0
    private var line = 1
    private var column = 1

    init(_ source: UnsafeBufferPointer<UInt8>) { self.source = source }

    var mark: Mark { Mark(line: line, column: column) }

    /// Starts counting lines and columns at `mark`, which is where this place is.
    mutating func begin(at mark: Mark) {
        line = mark.line
        column = mark.column
    }

    /// Goes over one character. A line ends with a line feed (or CR, LF); other line ends of YAML 1.1 are too rare.
    mutating func step() {
        if source[byte] == 10 {
            line += 1
            column = 1
        } else {
            column += 1
        }
        byte += 1
        character += 1
        while byte < source.count, source[byte] & 0xc0 == 0x80 { byte += 1 }
    }

    /// Goes on to the character of that number, or to the end. Returns the offset in bytes.
    mutating func advance(toCharacter index: Int) -> Int {
        while character < index, byte < source.count { step() }
        return byte
    }

    func advanced(toByte offset: Int) -> Mark {
        var place = self
        while place.byte < offset, place.byte < source.count { place.step() }
        return place.mark
    }

    /// Whether `${` stands here.
    var isSubstitution: Bool { byte + 1 < source.count && source[byte] == 36 && source[byte + 1] == 123 }
}
