import CShim
import Platform

/// What a subcommand was given, taken apart after the table of what it allows.
struct Options {
    /// One option: `--name VALUE`, `--name=VALUE` or the bare flag `--name`; `-n` where it has a letter.
    struct Option {
        let name: StaticString
        let letter: Unicode.Scalar?
        let value: StaticString?
        let summary: StaticString

        /// - Parameter value: what the value is called in the help.
        init(_ name: StaticString, _ value: StaticString, letter: Unicode.Scalar? = nil, _ summary: StaticString) {
            self.name = name
            self.letter = letter
            self.value = value
            self.summary = summary
        }

        init(flag name: StaticString, _ summary: StaticString) {
            self.name = name
            letter = nil
            value = nil
            self.summary = summary
        }
    }

    /// Wrong usage, in words; the process exits with 64 (`EX_USAGE` of sysexits.h).
    struct UsageError: Error {
        let text: String
    }

    private var flags: [String] = []
    private var values: [(name: String, value: String)] = []
    private(set) var operands: [String] = []

    /// - Parameters:
    ///   - arguments: what follows the subcommand's name.
    ///   - operands: how many operands are allowed.
    init(
        _ arguments: ArraySlice<String>, allowed: [Option], operands count: ClosedRange<Int>
    ) throws(UsageError) {
        var rest = arguments
        var optionsEnded = false
        while let argument = rest.popFirst() {
            let bytes = Array(argument.utf8)
            if optionsEnded || bytes.count < 2 || bytes[0] != 45 || isNumber(bytes) {
                operands.append(argument)
                continue
            }
            if argument.isEqual(to: "--") {
                optionsEnded = true
                continue
            }
            let isLong = bytes[1] == 45
            let equals = isLong ? bytes.firstIndex(of: 61) : nil
            let name = String(decoding: bytes[(isLong ? 2 : 1)..<(equals ?? bytes.count)], as: UTF8.self)
            guard let option = allowed.first(where: { isLong ? name.isEqual(to: $0.name) : $0.isLetter(name) })
            else { throw UsageError(text: "unknown option \(argument)") }
            guard option.value != nil else {
                if equals != nil { throw UsageError(text: "--\(option.text) takes no value") }
                flags.append(option.text)
                continue
            }
            if let equals {
                values.append((option.text, String(decoding: bytes[(equals + 1)...], as: UTF8.self)))
            } else if let value = rest.popFirst() {
                values.append((option.text, value))
            } else {
                throw UsageError(text: "--\(option.text) needs a value")
            }
        }
        if operands.count < count.lowerBound { throw UsageError(text: "too few arguments") }
        if operands.count > count.upperBound {
            throw UsageError(text: "unexpected argument \(operands[count.upperBound])")
        }
    }

    func has(_ name: String) -> Bool { contains(flags, name) }

    /// The last value given for `name`.
    func value(_ name: String) -> String? { all(name).last }

    /// All values given for `name`, in order.
    func all(_ name: String) -> [String] {
        var found: [String] = []
        for value in values where sameBytes(value.name, name) { found.append(value.value) }
        return found
    }

    /// Negative numbers are operands, not options.
    private func isNumber(_ bytes: [UInt8]) -> Bool {
        bytes.count > 1 && (48...57).contains(bytes[1])
    }
}

extension Options.Option {
    fileprivate func isLetter(_ text: String) -> Bool {
        guard let letter, letter.isASCII else { return false }
        return text.utf8.count == 1 && text.utf8.first == UInt8(letter.value)
    }

    /// The name as a `String`.
    var text: String { String(name) }
}

/// The process's arguments, without its name.
func processArguments() -> [String] {
    var arguments: [String] = []
    var index: Int32 = 1
    while let argument = kedge_argument(index) {
        arguments.append(String(cString: argument))
        index += 1
    }
    return arguments
}
