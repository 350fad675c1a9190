import FaultChecker
import Foundation

/// Commands, and an agent that is killed at random moments: each is carried out at most once, never late, and answered.
enum CommandScenario {
    static let name = "commands"
    static let title = "kill -9 and commands"
    static let summary = "the agent is killed while commands arrive, and the broker goes and comes"
    static let rounds = (full: 200, short: 20)

    static func concerns(_ mode: Mode) -> Bool { mode.delivery == .atLeastOnce }

    /// - Parameter forgets: takes the claims away after each kill, which the checker must find: until it has.
    static func run(_ rig: CommandRig, _ rounds: Int, forgets: Bool) throws {
        // A first start begins at the end of the topic: what follows is to be after a commit of offsets.
        try rig.start()
        rig.awaitReady()
        rig.send()
        try rig.settle()
        for round in 1...rounds {
            try rig.start()
            // Some die in their start, some in the midst of what has waited for them.
            if rig.chance(0.2) {
                rig.send(for: Int.random(in: 5...300, using: &rig.random))
            } else {
                rig.awaitReady()
                rig.send(for: Int.random(in: 5...400, using: &rig.random))
                if rig.chance(0.3) {
                    rig.service.set([.down, .stalled, .deaf].randomElement(using: &rig.random) ?? .down)
                    rig.send(for: Int.random(in: 10...300, using: &rig.random))
                    if rig.chance(0.5) { rig.service.set(.fair) }
                    if rig.chance(0.5) { rig.send(for: 50) }
                }
            }
            if round % 10 == 0 { rig.stop() } else { rig.kill() }
            rig.service.set(.fair)
            if forgets {
                rig.forget()
                if rig.judge().account.repeated > 0 { return }
            }
            // While nobody is there.
            if rig.chance(0.3) { rig.send(for: Int.random(in: 5...100, using: &rig.random)) }
        }
        try rig.settle()
    }

    static func line(_ mode: Mode, _ rounds: Int, _ account: CommandLedger.Account) -> String {
        var line =
            "\(title), \(mode.durability.rawValue): \(rounds) rounds: sent \(account.sent), without a reply "
            + "\(account.unanswered), carried out \(account.acted), again \(account.repeated), after they had expired "
            + "\(account.late), denied \(account.denied + account.contradicted)"
        if account.unknown > 0 { line += "; \(account.unknown) answered as of unknown outcome" }
        if account.unseen > 0 { line += "; \(account.unseen) done too briefly to be seen" }
        return line
    }
}
