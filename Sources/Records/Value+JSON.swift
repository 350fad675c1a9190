extension Value {
    /// Writes the value as JSON; NaN and infinities, which JSON does not have, as `null`.
    public func write(to writer: inout ByteWriter) {
        switch self {
        case .number(let number): JSONNumber.write(number, to: &writer)
        case .integer(let integer): writer.write(integer)
        case .boolean(let boolean): writer.write(boolean ? "true" : "false")
        case .text(let text): JSONString.write(text, to: &writer)
        }
    }

    /// The most bytes that `write` takes.
    public var maximumBytes: Int {
        switch self {
        case .number, .integer: JSONNumber.maximumBytes
        case .boolean: 5
        case .text(let text): JSONString.maximumBytes(utf8Count: text.utf8.count)
        }
    }
}
