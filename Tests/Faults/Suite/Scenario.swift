import FaultChecker
import Foundation

/// A scenario: how often it can be repeated, what it promises, what it does.
struct Scenario: @unchecked Sendable {
    let name: String
    let title: String
    let summary: String
    let attack: Attack
    /// Rounds of a full run and of a short one.
    let rounds: (full: Int, short: Int)
    /// The modes that it is of interest in.
    var concerns: (Mode) -> Bool = { _ in true }
    /// Why it cannot be tried here; `nil` if it can.
    var obstacle: () -> String? = { nil }
    let run: (Rig, Int) throws -> String

    static var all: [Scenario] { [calm, kill, outage, both, sigterm, disk, errors, fence, wear] }

    static let calm = Scenario(
        name: "calm", title: "no fault", summary: "nothing goes wrong: what all others are measured by", attack: [],
        rounds: (10, 2)
    ) { rig, rounds in
        for _ in 1...rounds {
            try rig.start()
            rig.pass(900...1_100)
            rig.stop()
        }
        return ""
    }

    // MARK: Kills

    static let kill = Scenario(
        name: "kill", title: "kill -9", summary: "the agent is killed at random moments, and started again",
        attack: .kill, rounds: (200, 20)
    ) { rig, rounds in
        for round in 1...rounds {
            try rig.start()
            // Most die young, some right in their start; the others show that what is old has arrived.
            rig.pass(round % 10 == 0 ? 3_000...4_000 : 20...600)
            rig.kill()
        }
        return ""
    }

    static let both = Scenario(
        name: "both", title: "kill -9 and outages", summary: "kills while the broker goes and comes at random",
        attack: [.kill, .outage], rounds: (200, 20)
    ) { rig, rounds in
        for _ in 1...rounds {
            try rig.start()
            for _ in 0..<rig.pick([0, 1, 2, 3]) {
                rig.pass(20...300)
                rig.service.set(rig.pick([.fair, .fair, .down, .stalled, .deaf]))
                if rig.chance(0.3) { rig.service.cut() }
            }
            rig.pass(20...300)
            rig.kill()
        }
        return ""
    }

    // MARK: Outages

    static let outage = Scenario(
        name: "outage", title: "broker stopped and started",
        summary: "the broker goes, stalls, or loses its answers at random; the agent lives on",
        attack: .outage, rounds: (100, 20)
    ) { rig, rounds in
        try rig.start()
        for round in 1...rounds {
            rig.pass(20...400)
            rig.service.set(rig.pick([.down, .stalled, .deaf, .fair]))
            // Now and then longer than the client waits for an answer.
            rig.pass(round % 8 == 0 ? 1_500...2_500 : 10...400)
            rig.service.set(.fair)
            rig.service.cut()
        }
        return ""
    }

    static let sigterm = Scenario(
        name: "sigterm", title: "SIGTERM in an outage", summary: "the agent is stopped while the broker is away",
        attack: [.outage, .stopInOutage], rounds: (40, 6)
    ) { rig, rounds in
        for _ in 1...rounds {
            try rig.start()
            rig.pass(10...500)
            rig.service.set(rig.pick([.down, .stalled, .deaf]))
            rig.pass(10...700)
            rig.stop()
            rig.service.set(.fair)
        }
        return ""
    }

    // MARK: Disk

    static let disk = Scenario(
        name: "disk", title: "disk full", summary: "the outbox's file system is full and has room again (needs root)",
        attack: .outage, rounds: (20, 3), concerns: { $0.durability != .memory },
        obstacle: { geteuid() == 0 ? nil : "needs root, for a file system of its own" },
        run: { rig, rounds in
            let place = (rig.setup.outbox as NSString).deletingLastPathComponent
            let ballast = place + "/ballast"
            try rig.start()
            for _ in 1...rounds {
                rig.pass(100...500)
                if rig.chance(0.5) { rig.service.set(.down) }
                rig.pass(0...300)
                try fill(ballast)
                rig.pass(300...1_500)
                if rig.chance(0.5) { rig.service.set(.fair) }
                rig.pass(100...500)
                unlink(ballast)
                rig.pass(300...1_000)
                rig.service.set(.fair)
                // A new start finds a disk that works, or that has just failed in the middle of a commit.
                if rig.chance(0.4) {
                    rig.stop()
                    try rig.start()
                }
            }
            return ""
        })

    /// Writes zeros until there is no room for a byte.
    private static func fill(_ path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(file) }
        guard file >= 0 else { throw Service.Failure(description: "\(path): \(String(cString: strerror(errno)))") }
        let block = [UInt8](repeating: 0, count: 65_536)
        var size = block.count
        while size > 0 {
            if write(file, block, size) <= 0 { size /= 2 }
        }
    }

    // MARK: Errors

    static let errors = Scenario(
        name: "errors", title: "errors of the broker",
        summary: "refusals, late answers, forgotten producers, coordinators that move", attack: .outage,
        rounds: (100, 20)
    ) { rig, rounds in
        try rig.start()
        for _ in 1...rounds {
            rig.pass(50...300)
            rig.service.set(latency: rig.pick([0, 0, 0.01, 0.05, 0.3]))
            inject(rig)
            if rig.chance(0.2) { rig.service.cut() }
        }
        rig.service.set(latency: 0)
        return ""
    }

    private static func inject(_ rig: Rig) {
        switch Int.random(in: 0..<5, using: &rig.random) {
        case 0:
            for _ in 0..<rig.pick([1, 2, 5]) {
                rig.service.inject(.produce, Injection(code: .notEnoughReplicas, isCarriedOut: false))
            }
        case 1:
            let code = rig.pick([Code.notEnoughReplicasAfterAppend, .requestTimedOut])
            rig.service.inject(.produce, Injection(code: code, isCarriedOut: true))
        case 2: rig.service.inject(.produce, Injection(code: .notLeader, isCarriedOut: false))
        case 3: rig.service.forgetProducers()
        default:
            for request in [Request.addPartitions, .addOffsets, .commitOffsets, .endTransaction, .initProducer] {
                let code = rig.pick([Code.notCoordinator, .coordinatorLoading, .coordinatorNotAvailable])
                rig.service.inject(request, Injection(code: code, isCarriedOut: false))
            }
            rig.service.inject(.findCoordinator, Injection(code: .coordinatorNotAvailable, isCarriedOut: false))
        }
    }

    static let fence = Scenario(
        name: "fence", title: "fenced producer",
        summary: "another producer takes the agent's transactional.id: it ends, and its successor goes on",
        attack: .stopInOutage, rounds: (20, 3), concerns: { $0.delivery == .exactlyOnce },
        run: { rig, rounds in
            for _ in 1...rounds {
                try rig.start()
                rig.pass(300...900)
                rig.service.fence()
                // 76: another agent has this node's name.
                let code = rig.awaitEnd(within: 20)
                if code != 76 { rig.note("a fenced agent ended with \(code), not 76") }
            }
            return ""
        })

    // MARK: Wear

    static let wear = Scenario(
        name: "wear", title: "bytes written", summary: "what the agent writes to storage while the broker answers",
        attack: [], rounds: (20, 3), concerns: { $0.durability == .spill },
        run: { rig, rounds in
            try rig.start()
            usleep(2_000_000)
            guard let first = rig.written else { throw Service.Failure(description: "no /proc/PID/io") }
            usleep(UInt32(rounds) * 1_000_000)
            guard let last = rig.written else { throw Service.Failure(description: "no /proc/PID/io") }
            if rig.setup.mode.durability != .always && last > first {
                rig.note("\(last - first) bytes written to storage while the broker answers")
            }
            return "\(last) bytes written to storage, \(last - first) of them after the start"
        })
}
