import Actuators
import Configuration
import Foundation
import Hardware
import Platform
import Records
import Storage
import TestSupport
import Testing

@testable import Commands

/// How an output fails.
enum Fault: CaseIterable {
    /// Nothing moves.
    case before
    /// It moves, and says that it did not.
    case after
    /// It moves, and shows something else.
    case shown
}

/// A message in the topic of commands.
struct Sent {
    let id: String?
    let text: String
    let signature: String?
    let timestamp: Int64
}

/// What outlives a process: the topic, the group's place in it, the disk, the outputs and the replies that were
/// acknowledged. A `Life` is a process in it; many come one after the other.
final class World {
    let loop: ManualLoop
    var topic: [Sent] = []
    var committed = 0
    let disk = Disk()
    /// What each output shows; absent before the first request.
    var outputs: [String: Value] = [:]
    /// Each value that an output was driven to.
    var driven: [(actuator: String, value: Value, at: Instant)] = []
    /// Replies that have reached the broker, by id.
    var delivered: [String: [Reply]] = [:]
    /// Of an earlier process, sent again as they were.
    var resent: [String: [[UInt8]]] = [:]
    var onDrive: ((String, Value) -> Void)?
    /// How an output's next drive away from its safe value goes; `nil` is well.
    var onAttempt: ((String) -> Fault?)?
    /// Outputs that were left where they should not be, until they are driven again.
    var faulty: Set<String> = []
    /// Where the process ends next: the name of a step, and how often it is passed before.
    var failpoint: (name: String, passes: Int)?
    /// The steps that were passed, for a test that wants to end at each of them.
    var passed: [String] = []

    init(_ loop: ManualLoop = ManualLoop()) { self.loop = loop }

    var now: Int64 { loop.wallTime.milliseconds }

    func send(_ text: String, id: String? = nil, signature: String? = nil, age: Interval = .zero) {
        topic.append(Sent(id: id, text: text, signature: signature, timestamp: now - age.milliseconds))
    }

    /// All answers that anybody has received for an id, duplicates left out; the same bytes count once.
    func finals(_ id: String) -> Set<[UInt8]> {
        var finals = Set((delivered[id] ?? []).filter { $0.status != .duplicate }.map { encoded($0) })
        finals.formUnion(resent[id] ?? [])
        return finals
    }
}

/// The disk: what was written whole is there.
final class Disk {
    var claims: [ClaimBatch.Claim] = []
    var places: [String: ClaimBatch.Claim] = [:]
    var writes = 0
    var fails = false
    /// Ids of commands of which something could not be written: of them a process that ends knows too little.
    var neglected: Set<String> = []
}

/// Ends a process: nothing that it does has an effect from then on.
final class Mortality {
    var isDead = false
    private let world: World

    init(_ world: World) { self.world = world }

    func pass(_ name: String) {
        if isDead { return }
        world.passed.append(name)
        guard let failpoint = world.failpoint, failpoint.name == name else { return }
        if failpoint.passes == 0 {
            world.failpoint = nil
            isDead = true
        } else {
            world.failpoint = (name, failpoint.passes - 1)
        }
    }
}

final class DiskJournal: ClaimJournal {
    private let disk: Disk
    private let mortality: Mortality

    init(_ disk: Disk, _ mortality: Mortality) {
        self.disk = disk
        self.mortality = mortality
    }

    func load() throws(StorageError) -> ClaimHistory {
        var history = ClaimHistory()
        history.claims = Array(disk.places.values) + disk.claims
        return history
    }

    func write(_ batch: ClaimBatch) throws(StorageError) {
        mortality.pass("before write")
        if mortality.isDead { return }
        if disk.fails {
            for claim in batch.claims { disk.neglected.insert(claim.id) }
            for answer in batch.answers {
                if let claim = disk.claims.last(where: { $0.sequence == answer.sequence }) {
                    disk.neglected.insert(claim.id)
                }
            }
            throw StorageError(file: "claims.db", operation: "COMMIT", code: 13, reason: "disk is full")
        }
        for claim in batch.claims {
            disk.claims.append(claim)
            disk.places["\(claim.topic)/\(claim.partition)"] = ClaimBatch.Claim(
                sequence: 0, id: "", actuator: nil, topic: claim.topic, partition: claim.partition,
                offset: claim.offset, timestamp: claim.timestamp, reply: [], isDelivered: true)
        }
        for answer in batch.answers {
            guard let index = disk.claims.lastIndex(where: { $0.sequence == answer.sequence }) else { continue }
            disk.claims[index].reply = answer.reply
        }
        for sequence in batch.delivered {
            guard let index = disk.claims.lastIndex(where: { $0.sequence == sequence }) else { continue }
            disk.claims[index].isDelivered = true
        }
        disk.claims.removeAll { batch.forgotten.contains($0.sequence) }
        disk.writes += 1
        mortality.pass("after write")
    }
}

/// An output of the world, driven by a process.
final class WorldOutput: ActuatorDriver {
    private let id: String
    private let world: World
    private let mortality: Mortality

    init(_ id: String, safe: Value, _ world: World, _ mortality: Mortality) {
        (self.id, self.world, self.mortality) = (id, world, mortality)
        world.outputs[id] = safe
        world.faulty.remove(id)
        world.onDrive?(id, safe)
    }

    func drive(_ value: Value) throws(ActuatorError) -> Interval {
        mortality.pass("before drive")
        if mortality.isDead { return .zero }
        let fault = value == .integer(0) ? nil : world.onAttempt?(id)
        if fault == .before { throw .device("nothing moves") }
        world.outputs[id] = value
        world.driven.append((id, value, world.loop.now))
        world.onDrive?(id, value)
        world.faulty.remove(id)
        if fault != nil { world.faulty.insert(id) }
        if fault == .after { throw .device("it moves all the same") }
        mortality.pass("after drive")
        return .zero
    }

    func readBack() throws(ActuatorError) -> Value {
        if world.faulty.contains(id) { return .integer(0) }
        return world.outputs[id] ?? .integer(0)
    }
}

/// One process: from its start to its end.
final class Life {
    let world: World
    let mortality: Mortality
    let actuators: [Actuator]
    private(set) var processor: CommandProcessor! = nil
    let queue = HeldWorkQueue()
    let guardian: DisconnectGuard
    /// Replies in its outbox, not acknowledged yet.
    private(set) var outbox: [Reply] = []
    private var outboxAgain: [(String, [UInt8])] = []
    /// How many replies the outbox takes.
    var room = Int.max
    private var taken: UInt64 = 0
    private var arrived: UInt64 = 0
    private(set) var isHeld = false
    private(set) var position: Int
    private(set) var isReceiving = false

    var isDead: Bool { mortality.isDead }

    init(
        _ world: World, _ plans: [(id: String, maxOn: Interval?, restraints: Restraints)],
        _ settings: CommandSettings = CommandSettings(topics: []), isDurable: Bool = true
    ) throws {
        self.world = world
        let mortality = Mortality(world)
        self.mortality = mortality
        let hardware = SimulatedHardware(loop: world.loop)
        let log = Log { _, _ in }
        let made = plans.map { plan in
            ActuatorPlan(
                id: plan.id, maxOn: plan.maxOn, restraints: plan.restraints,
                driver: DriverPlan(domain: .level, safe: .integer(0)) {
                    (_) throws(ActuatorError) -> any ActuatorDriver in
                    WorldOutput(plan.id, safe: .integer(0), world, mortality)
                })
        }
        actuators = try ActuatorPlan.start(
            made, on: hardware, buses: BusThreads([], hardware: hardware, loop: world.loop), loop: world.loop, log: log)
        guardian = DisconnectGuard(actuators, standard: settings.onDisconnect, loop: world.loop, log: log)
        position = world.committed
        processor = CommandProcessor(
            node: "pi-01", settings: settings, actuators: actuators, loop: world.loop, log: log,
            journal: isDurable ? DiskJournal(world.disk, mortality) : nil, journalQueue: isDurable ? queue : nil
        ) { [unowned self] reply in
            mortality.pass("reply")
            if mortality.isDead { return true }
            if outbox.count + outboxAgain.count >= room { return false }
            outbox.append(reply)
            taken += 1
            return true
        }
        processor.onUndelivered = { [unowned self] id, bytes in
            if mortality.isDead { return true }
            if outbox.count + outboxAgain.count >= room { return false }
            outboxAgain.append((id, bytes))
            taken += 1
            return true
        }
        processor.deliveredReplies = { [unowned self] in arrived }
        processor.onReread = { [unowned self] in rebalance() }
        processor.onHold = { [unowned self] in isHeld = $0 }
        processor.onDealtWith = { _, _, offset in
            mortality.pass("commit")
            if !mortality.isDead { world.committed = max(world.committed, Int(offset) + 1) }
        }
        processor.onStep = { mortality.pass($0.description) }
        processor.start { [unowned self] in isReceiving = true }
    }

    deinit { processor?.stop() }

    /// Hands the next message over.
    /// - Returns: whether there was one.
    @discardableResult
    func receive() -> Bool {
        guard isReceiving, !isHeld, !isDead, position < world.topic.count else { return false }
        let message = world.topic[position]
        position += 1
        let payload = Array(message.text.utf8)
        let signature = message.signature.map { Array($0.utf8) }
        payload.withUnsafeBytes { payload in
            let place = (Int32(0), Int64(position - 1))
            if let signature {
                signature.withUnsafeBytes {
                    processor.handle(
                        payload: payload, signature: $0, topic: "commands", partition: place.0, offset: place.1,
                        timestampMilliseconds: message.timestamp)
                }
            } else {
                processor.handle(
                    payload: payload, topic: "commands", partition: place.0, offset: place.1,
                    timestampMilliseconds: message.timestamp)
            }
        }
        return true
    }

    /// The group gives the partition back to this process: what is not committed comes again.
    func rebalance() { position = min(position, world.committed) }

    /// The broker acknowledges what it was sent.
    func acknowledge() {
        if isDead { return }
        for reply in outbox { world.delivered[reply.id, default: []].append(reply) }
        for (id, bytes) in outboxAgain { world.resent[id, default: []].append(bytes) }
        outbox = []
        outboxAgain = []
        arrived = taken
        mortality.pass("arrived")
        if !isDead { processor.noteDeliveries() }
    }

    /// Lets everything come to its end, in no more time than that takes.
    func settle() {
        for _ in 0..<10_000 where !isDead {
            queue.runAll()
            world.loop.poll()
            acknowledge()
            if !receive(), queue.pending == 0 { break }
        }
    }

    /// An orderly end.
    func stop() {
        for actuator in actuators { actuator.stop() }
        queue.runAll()
        acknowledge()
        processor.keepDeliveries()
        queue.runAll()
        mortality.isDead = true
    }
}
