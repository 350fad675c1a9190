import Configuration
import Hardware
import Platform

extension RecoveryLines {
    /// Reads `recovery: { chip: …, scl: …, sda: … }` of a bus; `nil` when something was wrong, which is then reported.
    static func decode(_ reader: Reader) -> RecoveryLines? {
        let chip = reader.string("chip")
        let scl = line(reader.requiredString("scl"), of: chip)
        let sda = line(reader.requiredString("sda"), of: chip)
        reader.finish()
        guard let scl, let sda else { return nil }
        if scl == sda {
            reader.report("sda", "is the same line as scl", expected: "the line of the bus's data")
            return nil
        }
        return RecoveryLines(scl: scl, sda: sda)
    }

    /// A line by its offset or name.
    private static func line(_ text: String?, of chip: String?) -> LineReference? {
        guard let text else { return nil }
        if let offset = wholeNumber(text).flatMap({ UInt32(exactly: $0) }) {
            return LineReference(chip: chip, line: .offset(offset))
        }
        return LineReference(chip: chip, line: .name(text))
    }
}
