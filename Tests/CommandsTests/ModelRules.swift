import Configuration
import Foundation
import Platform
import Records
import TestSupport
import Testing

@testable import Actuators
@testable import Commands

/// What each actuator may be, and what must be answered.
extension Model {
    func drove(_ actuator: String, _ value: Value) {
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
        if let until = leases[actuator]?.until {
            leases[actuator]?.until = min(until, (leftAt[actuator] ?? now) + Self.maxOn)
        }
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
    func checkLease(_ actuator: String, _ value: Value) {
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
    func justify(_ actuator: String) {
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
    func checkOrder(_ actuator: String) {
        guard let current = life.actuators.first(where: { $0.id == actuator })?.current else { return }
        // The last one of its id: an earlier one may have been too old.
        let place = world.topic.lastIndex { $0.id == current.order.command } ?? 0
        if let last = lastSafe[actuator], place < last { violate("\(current.order.command) was done after a safe") }
    }

    /// Hands a message over, and notes which safe values were commanded by it.
    func receive() {
        let (place, before) = (life.position, world.driven.count)
        guard life.receive(), world.driven.count > before, place < world.topic.count, let id = world.topic[place].id,
            safes.contains(id)
        else {
            return
        }
        // One that was too old, unsigned or a repetition has done nothing.
        for actuator in life.actuators where actuator.cause == .command(id: id) { lastSafe[actuator.id] = place }
    }

    func check() {
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
    func end() throws {
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
        where !world.disk.neglected.contains(id) && !harmless.contains(id) {
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

    static func isOutcome(_ reply: [UInt8]) -> Bool {
        let text = String(decoding: reply, as: UTF8.self)
        return !text.contains(#""status":"expired""#) && !text.contains(#""status":"rejected""#)
    }
}
