import FaultChecker
import Foundation

// One scenario in one mode; Tests/Faults/run calls it for all of them:
//
//     fault-suite SCENARIO DURABILITY DELIVERY ROUNDS|full|short SEED KEDGE…
//     fault-suite list              the scenarios
//     fault-suite modes             all scenarios with the modes that they concern
//     fault-suite broker            only the broker
//
// KEDGE_FAULTS_SABOTAGE=lose|repeat|swap has the broker do so with one batch that it acknowledged; then 0 says that this
// was found, and nothing else.
//
// Exit code 0: the promise was kept, or it could not be tried here; 1: it was broken; 64: wrong usage.

let words = CommandLine.arguments.dropFirst().map { $0 }
if words == ["list"] {
    for scenario in Scenario.all { print("\(scenario.name)\t\(scenario.summary)") }
    exit(0)
}
if words == ["modes"] {
    for scenario in Scenario.all {
        for durability in Mode.Durability.allCases {
            for delivery in Mode.Delivery.allCases
            where Mode(durability, delivery).isPossible && scenario.concerns(Mode(durability, delivery)) {
                print(scenario.name, durability.rawValue, delivery.rawValue)
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
guard words.count >= 6, let scenario = Scenario.all.first(where: { $0.name == words[0] }),
    let durability = Mode.Durability(rawValue: words[1]), let delivery = Mode.Delivery(rawValue: words[2]),
    let rounds = words[3] == "full"
        ? scenario.rounds.full : words[3] == "short" ? scenario.rounds.short : Int(words[3]),
    rounds > 0, let seed = UInt64(words[4])
else {
    complain("wrong usage; see Tests/Faults/run")
    exit(64)
}
let mode = Mode(durability, delivery)
if let obstacle = scenario.obstacle() {
    print("\(scenario.title), \(mode): left out, \(obstacle)")
    exit(0)
}

let sabotage = ProcessInfo.processInfo.environment["KEDGE_FAULTS_SABOTAGE"].flatMap { Broker.Sabotage(rawValue: $0) }
/// The file system to be taken away at the end.
nonisolated(unsafe) var mounted: UnsafeMutablePointer<CChar>?
for number in [SIGINT, SIGTERM] {
    signal(number) { _ in
        Child.endAll()
        if let mounted { umount2(mounted, Int32(MNT_DETACH)) }
        _exit(1)
    }
}

let name = "kedge-faults-\(scenario.name)-\(durability.rawValue)-\(delivery.rawValue)-\(getpid())"
// Logs go where writing them does not count as writing to storage; the outbox is on a disk.
let folder = (access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : NSTemporaryDirectory()) + name
let disk = NSTemporaryDirectory() + name + "-disk"
var code: Int32 = 1
do {
    for path in [folder, disk] {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    if scenario.name == "disk" {
        guard mount("kedge-faults", disk, "tmpfs", 0, "size=4m") == 0 else {
            print("\(scenario.title), \(mode): left out, no file system can be mounted here")
            for path in [folder, disk] { rmdir(path) }
            exit(0)
        }
        mounted = strdup(disk)
    }
    defer { if let mounted { umount2(mounted, Int32(MNT_DETACH)) } }
    var setup = Setup(mode: mode, outbox: disk + "/outbox.db")
    if scenario.attack.contains(.stopInOutage) { setup.stopWithin = "300ms" }
    let rig = try Rig(setup, command: Array(words[5...]), folder: folder, seed: seed, sabotage: sabotage)
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
        let isFound =
            switch sabotage {
            case .lose: account.lost > 0
            case .repeat: account.duplicates > 0
            case .swap: account.disorders > 0
            }
        // The only breach, and the right one.
        code = isFound && breaches.count == 1 ? 0 : 1
    } else if breaches.isEmpty {
        code = 0
    } else {
        print("    BROKEN: " + breaches.joined(separator: "; "))
        let details = rig.collector.look { ledger in
            ledger.missing.prefix(10) + (delivery == .exactlyOnce ? ledger.repeated : []) + ledger.overtaken
        }
        for text in details { print("    \(text)") }
        print("    seed \(seed); logs in \(folder), the outbox in \(disk)")
    }
} catch {
    print("\(scenario.title), \(mode): \(error); seed \(seed), logs in \(folder), the outbox in \(disk)")
}
Child.endAll()
if code == 0 || sabotage != nil { for path in [folder, disk] { try? FileManager.default.removeItem(atPath: path) } }
exit(code)
