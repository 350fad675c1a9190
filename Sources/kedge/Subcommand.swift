import CShim
import Platform

/// How the process ends; the numbers of sysexits.h where they have one.
enum ExitCode: Int32 {
    /// It did its job.
    case success = 0
    /// It did not, and said why.
    case failure = 1
    case usage = 64
    /// No broker, no reply, no such device.
    case unavailable = 69
    /// Some of its work is left: what was not acknowledged in time.
    case left = 75
    /// Another agent has this node's name. (EX_PROTOCOL; a restart would only shut out the other.)
    case fenced = 76
    case configuration = 78

    /// The same, unless what was to be printed could not be: whoever wanted it on a full disk has not got it. Whoever closed
    /// the pipe (`| head`) has.
    var afterOutput: ExitCode {
        let code = kedge_output_error()
        if code == 0 || code == EPIPE { return self }
        let error = SystemError(call: "write", code: code, subject: "standard output")
        writeLine(joined("kedge: ", error.description), to: 2)
        return .failure
    }
}

/// One of the things that the binary does.
struct Subcommand {
    let name: StaticString
    /// One line, for the list.
    let summary: StaticString
    /// What follows the name, such as `[options] CONFIG`.
    let synopsis: StaticString
    /// What it does, in whole lines of at most 80 characters.
    let description: StaticString
    let options: [Options.Option]
    let operands: ClosedRange<Int>
    /// Lines of `command` or `# comment`.
    let examples: StaticString
    let body: (Options) -> ExitCode

    static var all: [Subcommand] { [.run, .check, .read, .scan, .watch, .send, .keygen, .outbox, .broker, .demo] }

    /// Carries out what the arguments ask for.
    static func dispatch(_ arguments: [String]) -> ExitCode {
        guard let first = arguments.first else {
            writeOverview(to: 2)
            return .usage
        }
        let isHelp = first.isEqual(to: "help")
        if isHelp, arguments.count > 1 {
            guard let subcommand = named(arguments[1]) else { return unknown(arguments[1]) }
            subcommand.writeHelp()
            return .success
        }
        if isHelp || asksForHelp(first) {
            writeOverview(to: 1)
            return .success
        }
        if first.isEqual(to: "--version") || first.isEqual(to: "version") {
            writeLine(joined("kedge ", version), to: 1)
            return .success
        }
        guard let subcommand = named(first) else { return unknown(first) }
        return subcommand.perform(arguments.dropFirst())
    }

    private static func named(_ name: String) -> Subcommand? { all.first { name.isEqual(to: $0.name) } }

    private static func asksForHelp(_ argument: String) -> Bool {
        argument.isEqual(to: "--help") || argument.isEqual(to: "-h")
    }

    private static func unknown(_ name: String) -> ExitCode {
        writeLine(joined("kedge: unknown command ", name, "; kedge --help lists them"), to: 2)
        return .usage
    }

    private func perform(_ arguments: ArraySlice<String>) -> ExitCode {
        if arguments.contains(where: Self.asksForHelp) {
            writeHelp()
            return .success
        }
        do throws(Options.UsageError) {
            return body(try Options(arguments, allowed: options, operands: operands))
        } catch {
            return wrongUsage(error.text)
        }
    }

    /// Says what is wrong with the arguments.
    func wrongUsage(_ text: String) -> ExitCode {
        writeLine("kedge \(name.text): \(text)", to: 2)
        writeLine("usage: kedge \(name.text) \(synopsis.text); more with --help", to: 2)
        return .usage
    }

    private static func writeOverview(to descriptor: Int32) {
        writeLine("kedge \(version): sensors to Kafka and commands back, for the Raspberry Pi", to: descriptor)
        writeLine("\nusage: kedge COMMAND [options]\n", to: descriptor)
        for subcommand in all {
            writeLine("  \(padded(subcommand.name.text, to: 8))\(subcommand.summary.text)", to: descriptor)
        }
        writeLine("\nkedge COMMAND --help says more.", to: descriptor)
    }

    private func writeHelp() {
        writeLine("NAME\n    kedge \(name.text) - \(summary.text)\n", to: 1)
        writeLine("SYNOPSIS\n    kedge \(name.text) \(synopsis.text)\n\nDESCRIPTION", to: 1)
        writeIndented(description.text)
        if !options.isEmpty {
            writeLine("\nOPTIONS", to: 1)
            for option in options {
                let letter = option.letter.map { "-\($0), " } ?? ""
                let value = option.value.map { " \($0.text)" } ?? ""
                writeLine("    \(letter)--\(option.text)\(value)", to: 1)
                writeLine("        \(option.summary.text)", to: 1)
            }
        }
        writeLine("\nEXIT STATUS", to: 1)
        writeLine("    0 done, 1 failed, 64 wrong usage, 69 no answer (broker, node or device),", to: 1)
        writeLine(
            "    75 something was left unsent, 76 another agent has this node's name,\n    78 wrong configuration\n\nEXAMPLES",
            to: 1)
        writeIndented(examples.text)
    }

    private func writeIndented(_ text: String) {
        for line in Array(text.utf8).split(separator: 10, omittingEmptySubsequences: false) {
            writeLine(line.isEmpty ? "" : "    " + String(decoding: line, as: UTF8.self), to: 1)
        }
    }
}

/// The version of this binary.
let version = "0.1.0"

extension StaticString {
    var text: String { String(self) }
}

/// `text` with spaces behind it up to `width` bytes; one at least.
func padded(_ text: String, to width: Int) -> String {
    text + String(repeating: " ", count: max(1, width - text.utf8.count))
}
