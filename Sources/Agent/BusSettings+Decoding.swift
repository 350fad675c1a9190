import Configuration
import Hardware
import Platform

extension RecoveryLines {
    /// Reads `recovery: { chip: …, scl: …, sda: … }` of a bus; `nil` when something was wrong, which is then reported.
    static func decode(_ reader: Reader) -> RecoveryLines? {
        let scl = LineReference.decode(reader, "scl")
        let sda = LineReference.decode(reader, "sda")
        reader.finish()
        guard let scl, let sda else { return nil }
        if scl == sda {
            reader.report("sda", "is the same line as scl", expected: "the line of the bus's data")
            return nil
        }
        return RecoveryLines(scl: scl, sda: sda)
    }
}
