/// What a start of the machine may have to say about records that an earlier one has left on disk.
public enum UnsyncedRecord {
    /// Writes the record that `payload` is, and if it says `"clock":"unsynced"`, `"clock":"uncertain"` instead: the start that it
    /// was taken in is over, and its clock was never known.
    public static func writeUncertain(_ payload: UnsafeRawBufferPointer, to writer: inout ByteWriter) {
        let end: StaticString = ",\"clock\":\"unsynced\"}"
        // The encoder writes `clock` last.
        let start = payload.count - end.utf8CodeUnitCount
        let isUnsynced = start > 0 && end.withUTF8Buffer { payload[start...].elementsEqual($0) }
        writer.write(UnsafeRawBufferPointer(rebasing: payload[..<(isUnsynced ? start : payload.count)]))
        if isUnsynced { writer.write(",\"clock\":\"uncertain\"}") }
    }

    /// How many bytes that adds at most.
    public static var growth: Int { 1 }
}
