import Foundation

/// A child process. What is still there at the end of the suite is ended with it.
final class Child {
    enum End: Equatable {
        case exit(Int32)
        case signal(Int32)
    }

    let identifier: pid_t
    private var end: End?
    private static nonisolated(unsafe) var living: Set<pid_t> = []

    /// - Parameters:
    ///   - input: descriptor for standard input; nothing comes from there without one.
    ///   - output: descriptor for standard output; nowhere without one.
    ///   - errors: a file that standard error is added to.
    init(_ words: [String], input: Int32? = nil, output: Int32? = nil, errors: String) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        if let output {
            posix_spawn_file_actions_adddup2(&actions, output, 1)
        } else {
            posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        }
        posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var identifier: pid_t = 0
        let code = posix_spawnp(&identifier, words[0], &actions, nil, &arguments, environ)
        guard code == 0 else {
            throw Service.Failure(description: "\(words[0]): \(String(cString: strerror(code)))")
        }
        self.identifier = identifier
        Self.living.insert(identifier)
    }

    func signal(_ number: Int32) { if end == nil { kill(identifier, number) } }

    var hasEnded: Bool { poll() != nil }

    /// How it ended; `nil` while it lives.
    func poll() -> End? {
        if let end { return end }
        var status: Int32 = 0
        guard waitpid(identifier, &status, WNOHANG) == identifier else { return nil }
        Self.living.remove(identifier)
        end = status & 0x7F == 0 ? .exit(status >> 8 & 0xFF) : .signal(status & 0x7F)
        return end
    }

    /// Waits for the end; after so many seconds the process is killed.
    func wait(within limit: Double) -> End? {
        let deadline = Date(timeIntervalSinceNow: limit)
        while poll() == nil {
            if Date() > deadline {
                kill(identifier, SIGKILL)
                complain("process \(identifier) did not end within \(limit) s")
                while poll() == nil { usleep(1_000) }
                return nil
            }
            usleep(1_000)
        }
        return end
    }

    static func endAll() { for identifier in living { kill(identifier, SIGKILL) } }
}
