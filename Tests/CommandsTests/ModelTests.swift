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
    @Test(arguments: [UInt64(1), 2, 3, 4]) func anythingMayHappen(seed: UInt64) throws {
        let model = try Model(seed: seed, steps: 30_000, isSigned: seed % 2 == 0)
        try model.run()
        #expect(model.violations.isEmpty, "\(model.violations.prefix(5))")
        // It would prove nothing if nothing happened.
        #expect(model.actions > 300, "\(model.actions)")
        #expect(model.kills > 100)
        let statuses = Set(model.world.delivered.values.flatMap { $0.map { $0.status } })
        #expect(statuses == Set(Status.allCases), "\(statuses)")
        #expect(model.world.resent.count > 0)
        #expect(model.faults > 5, "\(model.faults)")
    }
}

private final class Model {
    struct Meaning {
        let assignments: [Command.Assignment]
        let isSigned: Bool
        let expires: Int64?
        let priority: Int
        var timestamp: Int64
    }

    private static let ids = ["a", "b", "c", "d"]
    private static let maxOn = Interval.seconds(20)
    private static let minOn = Interval.seconds(3)
    private static let minOff = Interval.seconds(4)
    private static let deadTime = Interval.seconds(1)
    private static let grace = Interval.seconds(15)
    private static let rate = RateLimit(count: 2, per: .seconds(10))

    /// `a` and `b` exclude each other, `c` has minimum times, `d` a rate limit, and stays as it is without a broker.
    private let plans: [(id: String, maxOn: Interval?, restraints: Restraints)] = [
        ("a", maxOn, Restraints(interlock: ["b"], deadTime: deadTime)), ("b", maxOn, Restraints()),
        ("c", maxOn, Restraints(minOn: minOn, minOff: minOff)),
        ("d", maxOn, Restraints(rateLimit: rate, onDisconnect: .hold)),
    ]

    let world = World()
    private(set) var violations: [String] = []
    private(set) var actions = 0
    private(set) var kills = 0
    private(set) var faults = 0
    private var generator: SeededGenerator
    private let steps: Int
    private let key: SigningKey?
    private let settings: CommandSettings
    private var life: Life
    private var step = 0
    private var meanings: [String: [Meaning]] = [:]
    private var recent: [(id: String, text: String, signature: String?)] = []
    private var nextID = 0
    /// Ids of questions, which are answered as often as they are asked.
    private var queries: Set<String> = []
    private var safes: Set<String> = []
    private var lastSafe: [String: Int] = [:]
    private var acted: [String: Int] = [:]
    private var leftAt: [String: Instant] = [:]
    private var backAt: [String: Instant] = [:]
    /// Whose an actuator is for a while.
    private var leases: [String: (priority: Int, until: Instant)] = [:]
    /// When a value ends by its `for`.
    private var ends: [String: Instant] = [:]
    /// When `d` was switched on, in this process.
    private var switched: [Instant] = []
    /// How many messages of an id must be answered; of those without a readable one their places in the topic.
    private var demanded: [String: Int] = [:]
    private var unreadable: [(id: String, place: String)] = []
    private var away: Instant?
    private var diskSince = Instant(nanoseconds: 0)
    private var clockOffset: Int64 = 0

    init(seed: UInt64, steps: Int, isSigned: Bool) throws {
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
            topics: [], maxAge: .seconds(30), keys: keys, remember: 600, onDisconnect: .safe(after: Self.grace))
        life = try Life(world, plans, settings)
    }

    private func violate(_ text: String) { violations.append("step \(step): \(text)") }

    private func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &generator) < percent }

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

    private func doSomething() throws {
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
        case 993..<995: try kill(orderly: true)
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

    private func advance() {
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
    private func stepClock() {
        let seconds = clockOffset == 0 ? Int64.random(in: -60...60, using: &generator) : -clockOffset
        clockOffset += seconds
        world.loop.wallTime = world.loop.wallTime + .seconds(seconds)
    }

    private func changeLink() {
        if away == nil {
            away = world.loop.now
            life.guardian.linkChanged(isUp: false)
        } else {
            away = nil
            life.guardian.linkChanged(isUp: true)
        }
    }

    private func kill(orderly: Bool) throws {
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

    private func restart() {
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

    private func send() {
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
        if settings.keys != nil || chance(40) {
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
        case 1: fields += #","actuator":"\#(Self.ids.randomElement(using: &generator)!)","safe":true}"#
        case 2:
            fields += #","actuator":"*","query":true}"#
            queries.insert(id)
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

    private func post(_ id: String, _ text: String, _ signature: String?) {
        let age = chance(10) ? Interval.seconds(Int64.random(in: 0...45, using: &generator)) : .zero
        demand(id, text, signature)
        world.send(text, id: id, signature: signature, age: age)
        guard var meaning = meanings[id]?.first else { return }
        meaning.timestamp = world.now - age.milliseconds
        meanings[id]?.append(meaning)
    }

    /// Whom nobody knows need not be answered.
    private func demand(_ id: String, _ text: String, _ signature: String?) {
        let isReadable = text.hasSuffix("}")
        if key != nil, signature == nil || !isReadable || text.contains("nothing") { return }
        if isReadable {
            demanded[id, default: 0] += 1
        } else {
            unreadable.append((id, "commands/0/\(world.topic.count)"))
        }
    }

    // MARK: What may be

    private func drove(_ actuator: String, _ value: Value) {
        let now = world.loop.now
        let isSafe = value == .integer(0)
        checkLease(actuator, value)
        if isSafe {
            if leftAt[actuator] != nil { backAt[actuator] = now }
            leftAt[actuator] = nil
            return
        }
        actions += 1
        if actuator == "a" || actuator == "b" {
            let rival = actuator == "a" ? "b" : "a"
            if world.outputs[rival] == .integer(1) { violate("a and b are both on") }
            if let back = backAt[rival], now - back < Self.deadTime { violate("no dead time after \(rival)") }
        }
        if actuator == "c", leftAt["c"] == nil, let back = backAt["c"], now - back < Self.minOff {
            violate("c was off for \((now - back).milliseconds) ms only")
        }
        if leftAt[actuator] == nil { leftAt[actuator] = now }
        if let hold = leases[actuator]?.until { leases[actuator]?.until = min(hold, (leftAt[actuator] ?? now) + Self.maxOn) }
        if actuator == "d" {
            // As many at once as the limit says, and from then on one in each part of its period.
            let count = Int(Self.rate.count)
            let step = Interval(nanoseconds: Self.rate.period.nanoseconds / Self.rate.count)
            if switched.count >= count, now - switched[switched.count - count] < step { violate("d beyond its rate") }
            switched.append(now)
        }
        justify(actuator)
    }

    /// Who has the actuator, and for how long.
    private func checkLease(_ actuator: String, _ value: Value) {
        let now = world.loop.now
        ends[actuator] = nil
        guard !life.isDead, let order = life.actuators.first(where: { $0.id == actuator })?.current?.order,
            order.value == value, let meaning = meanings[order.command]?.first,
            let assignment = meaning.assignments.first(where: { $0.actuator == actuator && $0.value == value })
        else {
            // Back at the safe value, whatever the lease says.
            leases[actuator] = nil
            return
        }
        if let lease = leases[actuator], now < lease.until, meaning.priority < lease.priority {
            violate("\(order.command) took \(actuator) from a lease of priority \(lease.priority)")
        }
        if actuator == "c", value == .integer(0), let left = leftAt["c"], now - left < Self.minOn {
            violate("c was on for \((now - left).milliseconds) ms only, by \(order.command)")
        }
        leases[actuator] = assignment.hold.map { (meaning.priority, now + $0) }
        if value == .integer(1), let hold = assignment.hold { ends[actuator] = now + hold }
    }

    /// Whose command it is that drives the actuator now, and whether that may be done.
    private func justify(_ actuator: String) {
        checkOrder(actuator)
        guard let current = life.actuators.first(where: { $0.id == actuator })?.current else {
            violate("\(actuator) was driven by nobody")
            return
        }
        let id = current.order.command
        let deed = "\(id)/\(actuator)"
        acted[deed, default: 0] += 1
        if acted[deed] ?? 0 > 1 { violate("\(deed) was done twice") }
        let now = world.now
        let isJustified = (meanings[id] ?? []).dropFirst().contains { meaning in
            guard meaning.isSigned else { return false }
            if let expires = meaning.expires, now >= expires * 1_000 { return false }
            if now - meaning.timestamp > 30_000 { return false }
            return meaning.assignments.contains { $0.actuator == actuator && $0.value == .integer(1) }
        }
        if !isJustified { violate("\(id) was not to be done: \(meanings[id] ?? []), now \(now)") }
    }

    /// Nothing that came before a command for the safe value is done after it.
    private func checkOrder(_ actuator: String) {
        guard let current = life.actuators.first(where: { $0.id == actuator })?.current else { return }
        // The last one of its id: an earlier one may have been too old.
        let place = world.topic.lastIndex { $0.id == current.order.command } ?? 0
        if let last = lastSafe[actuator], place < last { violate("\(current.order.command) was done after a safe") }
    }

    /// Hands a message over, and notes which safe values were commanded by it.
    private func receive() {
        let (place, before) = (life.position, world.driven.count)
        guard life.receive(), world.driven.count > before, place < world.topic.count, let id = world.topic[place].id,
            safes.contains(id)
        else {
            return
        }
        // One that was too old, unsigned or a repetition has done nothing.
        for actuator in life.actuators where actuator.cause == .command(id: id) { lastSafe[actuator.id] = place }
    }

    private func check() {
        let now = world.loop.now
        if !life.isDead {
            for id in world.faulty where world.outputs[id] != .integer(0) { violate("\(id) failed and is on") }
        }
        for id in Self.ids {
            if let end = ends[id], now > end, world.outputs[id] != .integer(0) { violate("\(id) is on after its for") }
            guard let left = leftAt[id] else { continue }
            if now - left > Self.maxOn { violate("\(id) is on for longer than max_on") }
        }
        if let away, now - away > Self.grace {
            for id in Self.ids where id != "d" && leftAt[id] != nil { violate("\(id) is on without a broker") }
        }
    }

    /// Everything is handed over and acknowledged: now each must have been answered.
    private func end() throws {
        world.disk.fails = false
        world.failpoint = nil
        try kill(orderly: false)
        for _ in 0..<3 {
            life.settle()
            world.loop.advance(by: .seconds(60))
        }
        life.settle()
        try kill(orderly: true)
        life.settle()
        for claim in world.disk.claims {
            if claim.reply.isEmpty { violate("\(claim.id) has no reply") }
            if !claim.isDelivered { violate("the reply to \(claim.id) has not arrived") }
        }
        let kept = Dictionary(world.disk.claims.map { ($0.id, $0.reply) }) { $1 }
        for (id, replies) in world.delivered
        where !world.disk.neglected.contains(id) && !queries.contains(id) {
            // What came of it, as far as anybody was told; a message that is too old by the time of its repetition is
            // told that, which is no second outcome.
            let outcomes = Set(
                replies.filter { $0.status != .duplicate && $0.status != .expired && $0.status != .rejected }
                    .map { encoded($0) }
            ).union(world.resent[id] ?? [])
            let finals = Set(outcomes.filter { Self.isOutcome($0) })
            if finals.count > 1 {
                violate("\(id) has several outcomes: \(finals.map { String(decoding: $0, as: UTF8.self) })")
            }
            if let reply = kept[id], Self.isOutcome(reply), let heard = finals.first, heard != reply {
                violate("\(id): heard \(String(decoding: heard, as: UTF8.self))")
            }
        }
        for (id, count) in demanded {
            let answers = (world.delivered[id]?.count ?? 0) + (world.resent[id]?.count ?? 0)
            if answers < count { violate("\(id) has \(answers) answers to \(count) messages") }
        }
        for message in unreadable where world.finals(message.id).isEmpty && world.finals(message.place).isEmpty {
            violate("\(message.place) has no answer")
        }
        for (deed, _) in acted {
            let id = String(deed.prefix { $0 != "/" })
            if world.finals(id).isEmpty { violate("\(id) was done, and nobody heard of it") }
        }
    }

    private static func isOutcome(_ reply: [UInt8]) -> Bool {
        let text = String(decoding: reply, as: UTF8.self)
        return !text.contains(#""status":"expired""#) && !text.contains(#""status":"rejected""#)
    }
}
