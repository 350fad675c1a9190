import Configuration
import Foundation
import Platform
import Records
import TestSupport
import Testing

@testable import Actuators
@testable import Commands

/// Random sequences of commands, repetitions, clock steps, disk delays, kills, restarts, rebalances and lost brokers,
/// held against what each actuator may be. Seeded; a failing seed can be run again.
@Suite struct ModelTests {
    /// The last two with so little room for ids that new commands are sometimes rejected for it.
    @Test(arguments: [UInt64(1), 2, 3, 4, 47, 52]) func anythingMayHappen(seed: UInt64) throws {
        let isCrowded = seed > 4
        let model = try Model(seed: seed, steps: 30_000, isSigned: seed % 2 == 0, isCrowded: isCrowded)
        try model.run()
        #expect(model.violations.isEmpty, "\(model.violations.prefix(5))")
        // It would prove nothing if nothing happened.
        #expect(model.actions > 300, "\(model.actions)")
        #expect(model.kills > 100)
        let statuses = Set(model.world.delivered.values.flatMap { $0.map { $0.status } })
        #expect(statuses == Set(Status.allCases), "\(statuses)")
        #expect(model.world.resent.count > 0)
        #expect(model.faults > 5, "\(model.faults)")
        let reasons = model.world.delivered.values.flatMap { $0.compactMap { $0.reason } }
        #expect(reasons.contains { $0.hasPrefix("32 commands are remembered") } == isCrowded)
    }
}

final class Model {
    struct Meaning {
        let assignments: [Command.Assignment]
        let isSigned: Bool
        let expires: Int64?
        let priority: Int
        var timestamp: Int64
    }

    static let ids = ["a", "b", "c", "d"]
    static let maxOn = Interval.seconds(20)
    static let minOn = Interval.seconds(3)
    static let minOff = Interval.seconds(4)
    static let deadTime = Interval.seconds(1)
    static let grace = Interval.seconds(15)
    static let rate = RateLimit(count: 2, per: .seconds(10))

    /// `a` and `b` exclude each other, `c` has minimum times, `d` a rate limit, and stays as it is without a broker.
    let plans: [(id: String, maxOn: Interval?, restraints: Restraints)] = [
        ("a", maxOn, Restraints(interlock: ["b"], deadTime: deadTime)), ("b", maxOn, Restraints()),
        ("c", maxOn, Restraints(minOn: minOn, minOff: minOff)),
        ("d", maxOn, Restraints(rateLimit: rate, onDisconnect: .hold)),
    ]

    let world = World()
    var violations: [String] = []
    var actions = 0
    var kills = 0
    private(set) var faults = 0
    var generator: SeededGenerator
    let steps: Int
    let key: SigningKey?
    let settings: CommandSettings
    /// What is remembered is forgotten as soon as may be, so all commands have an `expires`.
    let isCrowded: Bool
    var life: Life
    var step = 0
    var meanings: [String: [Meaning]] = [:]
    var recent: [(id: String, text: String, signature: String?)] = []
    var nextID = 0
    /// Ids of questions, and of safe values, for which there need be no room: they are done as often as they are sent.
    var harmless: Set<String> = []
    /// Ids of safe values for all.
    var safes: Set<String> = []
    var lastSafe: [String: Int] = [:]
    var acted: [String: Int] = [:]
    var leftAt: [String: Instant] = [:]
    var backAt: [String: Instant] = [:]
    /// Whose an actuator is for a while.
    var leases: [String: (priority: Int, until: Instant)] = [:]
    /// When a value ends by its `for`.
    var ends: [String: Instant] = [:]
    /// When `d` was switched on, in this process.
    var switched: [Instant] = []
    /// How many messages of an id must be answered; of those without a readable one their places in the topic.
    var demanded: [String: Int] = [:]
    var unreadable: [(id: String, place: String)] = []
    var away: Instant?
    var diskSince = Instant(nanoseconds: 0)
    var clockOffset: Int64 = 0

    init(seed: UInt64, steps: Int, isSigned: Bool, isCrowded: Bool) throws {
        self.isCrowded = isCrowded
        generator = SeededGenerator(seed: seed)
        self.steps = steps
        var keys: Keyring?
        if isSigned {
            let folder = try KeyFolder()
            let path = try folder.file("keys", "ops \(String(repeating: "5a", count: 32))\n")
            keys = decodeKeys(["key_file": scalar(path)]).0
            key = try SigningKey.load(path, id: nil)
        } else {
            key = nil
        }
        settings = CommandSettings(
            topics: [], maxAge: .seconds(30), keys: keys, remember: isCrowded ? 32 : 600,
            onDisconnect: .safe(after: Self.grace))
        life = try Life(world, plans, settings)
    }

    func violate(_ text: String) { violations.append("step \(step): \(text)") }

    func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &generator) < percent }

    func run() throws {
        world.onDrive = { [unowned self] in drove($0, $1) }
        world.onAttempt = { [unowned self] _ in
            guard chance(4) else { return nil }
            faults += 1
            return Fault.allCases.randomElement(using: &generator)
        }
        restart()
        for _ in 0..<steps {
            step += 1
            try doSomething()
            check()
            if violations.count > 20 { break }
        }
        try end()
    }

    // MARK: What happens

    func doSomething() throws {
        switch Int.random(in: 0..<1_000, using: &generator) {
        case 0..<150: send()
        case 150..<450: receive()
        case 450..<600: life.queue.runJob()
        case 600..<750: life.queue.deliver()
        case 750..<830: life.acknowledge()
        case 830..<970: advance()
        case 970..<975: stepClock()
        case 975..<981: changeLink()
        case 981..<984: life.rebalance()
        case 984..<986: world.disk.fails = true
        case 986..<993: world.disk.fails = false
        case 993: try kill(orderly: true)
        case 994: life.room = life.room == .max ? Int.random(in: 0...3, using: &generator) : .max
        case 995..<998:
            // At some step of what comes next.
            let names = [
                "admitted", "claimed", "kept", "before write", "after write", "before drive", "after drive", "acted",
                "answered", "reply", "commit",
            ]
            world.failpoint = (names.randomElement(using: &generator) ?? "", Int.random(in: 0..<3, using: &generator))
        default: try kill(orderly: false)
        }
        if life.isDead { try kill(orderly: false) }
    }

    func advance() {
        // A disk that hangs is another test's: a write takes less than the limit here.
        if life.queue.pending == 0 { diskSince = world.loop.now }
        let interval = Interval.milliseconds(Int64.random(in: 0...2_500, using: &generator))
        if world.loop.now + interval - diskSince >= .seconds(10) {
            life.queue.runAll()
            diskSince = world.loop.now
        }
        world.loop.advance(by: interval)
    }

    /// Forth, and back.
    func stepClock() {
        let seconds = clockOffset == 0 ? Int64.random(in: -60...60, using: &generator) : -clockOffset
        clockOffset += seconds
        world.loop.wallTime = world.loop.wallTime + .seconds(seconds)
    }

    func changeLink() {
        if away == nil {
            away = world.loop.now
            life.guardian.linkChanged(isUp: false)
        } else {
            away = nil
            life.guardian.linkChanged(isUp: true)
        }
    }

    func kill(orderly: Bool) throws {
        kills += 1
        world.failpoint = nil
        if orderly {
            life.stop()
            for id in Self.ids where world.outputs[id] != .integer(0) { violate("\(id) is on after the stop") }
        }
        life.mortality.isDead = true
        away = nil
        life = try Life(world, plans, settings)
        restart()
    }

    func restart() {
        // What was not taken for good comes again, in its order.
        lastSafe = [:]
        (leases, ends, switched) = ([:], [:], [])
        for actuator in life.actuators {
            if world.outputs[actuator.id] != .integer(0) { violate("\(actuator.id) is on after the start") }
            leftAt[actuator.id] = nil
            backAt[actuator.id] = world.loop.now
        }
        life.guardian.linkChanged(isUp: true)
    }

    func send() {
        if chance(15), let old = recent.randomElement(using: &generator) {
            // Somebody sends it again.
            post(old.id, old.text, old.signature)
            return
        }
        nextID += 1
        let id = "id\(nextID)"
        let seconds = world.now / 1_000
        var fields = #"{"id":"\#(id)""#
        var expires: Int64?
        if settings.keys != nil || isCrowded || chance(40) {
            let end = seconds + Int64.random(in: -5...40, using: &generator)
            expires = end
            fields += #","expires":\#(end)"#
        }
        var priority = 0
        if chance(20) {
            priority = Int.random(in: 0...3, using: &generator)
            fields += #","priority":\#(priority)"#
        }
        var assignments: [Command.Assignment] = []
        switch Int.random(in: 0..<20, using: &generator) {
        case 0:
            fields += #","actuator":"*","safe":true}"#
            safes.insert(id)
            harmless.insert(id)
        case 1:
            fields += #","actuator":"\#(Self.ids.randomElement(using: &generator)!)","safe":true}"#
            harmless.insert(id)
        case 2:
            fields += #","actuator":"*","query":true}"#
            harmless.insert(id)
        case 3: fields += #","actuator":"nothing","value":1}"#
        case 4: fields += #","actuator":"a","value":2}"#
        case 5, 6:
            let members = Self.ids.shuffled(using: &generator).prefix(Int.random(in: 1...3, using: &generator))
            assignments = members.map { Command.Assignment(actuator: $0, value: .integer(chance(60) ? 1 : 0)) }
            let list = assignments.map { #"{"actuator":"\#($0.actuator)","value":\#(shown($0.value))}"# }
            fields += #","group":[\#(list.joined(separator: ","))]}"#
        default:
            let actuator = Self.ids.randomElement(using: &generator)!
            let value = Value.integer(chance(65) ? 1 : 0)
            fields += #","actuator":"\#(actuator)","value":\#(shown(value))"#
            var hold: Interval?
            if chance(40) {
                let seconds = Int64.random(in: 1...30, using: &generator)
                hold = .seconds(seconds)
                fields += #","for":"\#(seconds)s""#
            }
            assignments = [Command.Assignment(actuator: actuator, value: value, hold: hold)]
            fields += "}"
        }
        let isForged = chance(5)
        let text = isForged && chance(30) ? String(fields.dropLast()) : fields
        var signature: String?
        if let key, !isForged {
            signature = Array(text.utf8).withUnsafeBytes { key.sign($0) }.map { String(decoding: $0, as: UTF8.self) }
        }
        recent.append((id, text, signature))
        if recent.count > 40 { recent.removeFirst() }
        // The first stands for what the id means, and for no message.
        meanings[id] = [
            Meaning(
                assignments: assignments, isSigned: key == nil || signature != nil, expires: expires,
                priority: priority, timestamp: .min)
        ]
        post(id, text, signature)
    }

    func post(_ id: String, _ text: String, _ signature: String?) {
        let age = chance(10) ? Interval.seconds(Int64.random(in: 0...45, using: &generator)) : .zero
        demand(id, text, signature)
        world.send(text, id: id, signature: signature, age: age)
        guard var meaning = meanings[id]?.first else { return }
        meaning.timestamp = world.now - age.milliseconds
        meanings[id]?.append(meaning)
    }

    /// Whom nobody knows need not be answered.
    func demand(_ id: String, _ text: String, _ signature: String?) {
        let isReadable = text.hasSuffix("}")
        if key != nil, signature == nil || !isReadable || text.contains("nothing") { return }
        if isReadable {
            demanded[id, default: 0] += 1
        } else {
            unreadable.append((id, "commands/0/\(world.topic.count)"))
        }
    }
}
