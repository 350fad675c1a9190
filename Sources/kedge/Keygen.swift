import Commands
import Configuration
import Platform

extension Subcommand {
    static var keygen: Subcommand {
        Subcommand(
            name: "keygen", summary: "make a key to sign commands with",
            synopsis: "[options] [FILE]",
            description: """
                Makes a random key in FILE, which only its owner may read (mode 600). A file that
                is there already is left alone.

                hmac: one line, the key's id and 32 bytes in hexadecimal digits. Sender and nodes
                have the same key: the nodes name the file as commands.key_file. Without FILE the
                line goes to standard output, so that a second key can be appended to a file.

                ed25519: the private key in PEM, and the public key in FILE.pub. Only the sender
                has the private key: the nodes name FILE.pub as commands.public_key_file, and
                nobody who reads a node's files can sign commands.

                To change keys: append the new one to the nodes' file and restart them, sign with
                the new one, take the old one out.
                """,
            options: [
                Options.Option("id", "NAME", "the key's name (FILE, less folder and ending)"),
                Options.Option("type", "TYPE", letter: "t", "hmac or ed25519 (hmac)"),
            ],
            operands: 0...1,
            examples: """
                kedge keygen --id ops-1 ops.key
                kedge keygen --id ops-2 >> ops.key
                kedge keygen --type ed25519 app
                """,
            body: runKeygen)
    }

    private static func runKeygen(_ options: Options) -> ExitCode {
        let command = Subcommand.keygen
        let path = options.operands.first
        let type = options.value("type") ?? "hmac"
        let isPair = type.isEqual(to: "ed25519")
        guard isPair || type.isEqual(to: "hmac") else { return command.wrongUsage("--type is hmac or ed25519") }
        guard let id = options.value("id") ?? path.map({ fileTitle($0) }) else {
            return command.wrongUsage("without FILE the key needs an --id")
        }
        guard NameRule.node.allows(id) else {
            return command.wrongUsage("--id takes 1 to 128 of the characters a-z A-Z 0-9 . _ -")
        }
        do throws(KeyFileError) {
            if isPair {
                guard let path else { return command.wrongUsage("a pair needs a FILE") }
                try KeyMaker.makePair(id: id, path: path)
                writeLine(joined("key ", id, ": private in ", path, ", public in ", path, ".pub"), to: 2)
            } else {
                try KeyMaker.makeShared(id: id, path: path)
                if let path { writeLine(joined("key ", id, " in ", path), to: 2) }
            }
            return .success
        } catch {
            writeLine(joined("kedge keygen: ", error.text), to: 2)
            return .failure
        }
    }
}
