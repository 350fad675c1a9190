import FaultChecker
import Foundation

// One scenario in one mode; Tests/Faults/run calls it for all of them:
//
//     fault-suite SCENARIO DURABILITY DELIVERY ROUNDS|full|short SEED KEDGE…
//     fault-suite list              the scenarios
//     fault-suite modes             all scenarios with the modes that they concern
//     fault-suite broker            only the broker
//
// KEDGE_FAULTS_SABOTAGE=lose|repeat|swap has the broker do so with one batch that it acknowledged, forget takes the agent's
// claims on commands away; then 0 says that this was found, and nothing else.
//
// Exit code 0: the promise was kept, or it could not be tried here; 1: it was broken; 64: wrong usage.

let words = CommandLine.arguments.dropFirst().map { $0 }
if words == ["list"] {
    for scenario in Scenario.all { print("\(scenario.name)\t\(scenario.summary)") }
    print("\(CommandScenario.name)\t\(CommandScenario.summary)")
    exit(0)
}
if words == ["modes"] {
    let concerns = Scenario.all.map { ($0.name, $0.concerns) } + [(CommandScenario.name, CommandScenario.concerns)]
    for (name, isConcerned) in concerns {
        for durability in Mode.Durability.allCases {
            for delivery in Mode.Delivery.allCases
            where Mode(durability, delivery).isPossible && isConcerned(Mode(durability, delivery)) {
                print(name, durability.rawValue, delivery.rawValue)
            }
        }
    }
    exit(0)
}
if words == ["broker"] {
    // For a look at it with other clients.
    let service = try Service(partitions: 3)
    print("bootstrap.servers=127.0.0.1:\(service.exposedPort)")
    fflush(nil)
    while true { pause() }
}
let scenario = Scenario.all.first { $0.name == words.first }
guard words.count >= 6,
    let counts = scenario?.rounds ?? (words[0] == CommandScenario.name ? CommandScenario.rounds : nil),
    let durability = Mode.Durability(rawValue: words[1]), let delivery = Mode.Delivery(rawValue: words[2]),
    let rounds = words[3] == "full" ? counts.full : words[3] == "short" ? counts.short : Int(words[3]),
    rounds > 0, let seed = UInt64(words[4])
else {
    complain("wrong usage; see Tests/Faults/run")
    exit(64)
}
let mode = Mode(durability, delivery)
let command = Array(words[5...])
if let scenario, let obstacle = scenario.obstacle() {
    print("\(scenario.title), \(mode): left out, \(obstacle)")
    exit(0)
}

let sabotage = ProcessInfo.processInfo.environment["KEDGE_FAULTS_SABOTAGE"]
/// The file system to be taken away at the end.
nonisolated(unsafe) var mounted: UnsafeMutablePointer<CChar>?
for number in [SIGINT, SIGTERM] {
    signal(number) { _ in
        Child.endAll()
        if let mounted { umount2(mounted, Int32(MNT_DETACH)) }
        _exit(1)
    }
}

let name = "kedge-faults-\(words[0])-\(durability.rawValue)-\(delivery.rawValue)-\(getpid())"
// Logs go where writing them does not count as writing to storage; the outbox is on a disk.
let folder = (access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : NSTemporaryDirectory()) + name
let disk = NSTemporaryDirectory() + name + "-disk"
/// One run of a scenario of the telemetry path.
/// - Returns: the exit code.
func telemetry(_ scenario: Scenario) throws -> Int32 {
    if scenario.name == "disk" {
        guard mount("kedge-faults", disk, "tmpfs", 0, "size=4m") == 0 else {
            print("\(scenario.title), \(mode): left out, no file system can be mounted here")
            return 0
        }
        mounted = strdup(disk)
    }
    defer { if let mounted { umount2(mounted, Int32(MNT_DETACH)) } }
    var setup = Setup(mode: mode, outbox: disk + "/outbox.db")
    if scenario.attack.contains(.stopInOutage) { setup.stopWithin = "300ms" }
    let rig = try Rig(
        setup, command: command, folder: folder, seed: seed,
        sabotage: sabotage.flatMap { Broker.Sabotage(rawValue: $0) })
    defer { rig.abandon() }
    let begin = Date()
    let remark = try scenario.run(rig, rounds)
    try rig.settle()
    let (account, tail, breaches) = rig.judge(scenario.attack)
    var line =
        "\(scenario.title), \(mode): \(rounds) rounds: sent \(account.sent), lost \(account.lost), "
        + "duplicates \(account.duplicates), out of order \(account.disorders)"
    if account.declared > 0 { line += ", told of as missing \(account.declared)" }
    if !rig.stored.isEmpty { line += "; \(rig.stored.count) of them seen in the outbox's file after an end" }
    if scenario.attack.contains(.kill) {
        line += "; the last to arrive was sampled at most \(tail) ms before the kill"
    }
    if !remark.isEmpty { line += "; \(remark)" }
    line += " [\(Int(Date().timeIntervalSince(begin))) s]"
    print(line)
    if let sabotage {
        let found = ["lose": account.lost, "repeat": account.duplicates, "swap": account.disorders][sabotage] ?? 0
        // The only breach, and the right one.
        return found > 0 && breaches.count == 1 ? 0 : 1
    }
    let details = rig.collector.look { ledger in
        ledger.missing.prefix(10) + (delivery == .exactlyOnce ? ledger.repeated : []) + ledger.overtaken
    }
    return verdict(breaches, details)
}

/// One run of the commands' scenario.
/// - Returns: the exit code.
func commands() throws -> Int32 {
    let rig = try CommandRig(durability, command: command, folder: folder, disk: disk, seed: seed)
    defer { rig.abandon() }
    let begin = Date()
    try CommandScenario.run(rig, rounds, forgets: sabotage == "forget")
    let (account, breaches, details) = rig.judge()
    print(CommandScenario.line(mode, rounds, account) + " [\(Int(Date().timeIntervalSince(begin))) s]")
    if sabotage != nil { return account.repeated > 0 ? 0 : 1 }
    return verdict(breaches, details)
}

/// Says what was broken.
/// - Returns: the exit code.
func verdict(_ breaches: [String], _ details: [String]) -> Int32 {
    if breaches.isEmpty { return 0 }
    print("    BROKEN: " + breaches.joined(separator: "; "))
    for text in details { print("    \(text)") }
    print("    seed \(seed); logs in \(folder), the outbox in \(disk)")
    return 1
}

var code: Int32 = 1
do {
    for path in [folder, disk] {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    if let scenario {
        code = try telemetry(scenario)
    } else {
        code = try commands()
    }
} catch {
    print("\(words[0]), \(mode): \(error); seed \(seed), logs in \(folder), the outbox in \(disk)")
}
Child.endAll()
if code == 0 || sabotage != nil { for path in [folder, disk] { try? FileManager.default.removeItem(atPath: path) } }
exit(code)
