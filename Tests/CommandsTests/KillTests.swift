import Actuators
import Commands
import Platform
import Records
import TestSupport
import Testing

/// The process ends between two steps of a command, at each of them.
@Suite struct KillTests {
    private let plans: [(id: String, maxOn: Interval?, restraints: Restraints)] = [
        ("pump", nil, Restraints()), ("drain", nil, Restraints()),
    ]

    private func life(_ world: World) throws -> Life { try Life(world, plans) }

    /// The steps that a process passes which is not ended.
    private func steps(_ command: String) throws -> [String] {
        let world = World()
        world.send(command, id: "a")
        let life = try life(world)
        life.settle()
        world.loop.advance(by: .seconds(10))
        life.settle()
        return world.passed
    }

    @Test(arguments: [
        #"{"id":"a","actuator":"pump","value":1}"#, #"{"actuator":"pump","value":1}"#,
        #"{"id":"a","group":[{"actuator":"pump","value":1},{"actuator":"drain","value":1}]}"#,
        #"{"id":"a","actuator":"pump","value":7}"#, #"{"id":"a","actuator":"*","safe":true}"#,
    ]) func nothingIsDoneTwice(command: String) throws {
        let steps = try steps(command)
        #expect(steps.count >= 7)
        var counts: [String: Int] = [:]
        for step in steps {
            let world = World()
            world.failpoint = (step, counts[step, default: 0])
            counts[step, default: 0] += 1
            world.send(command, id: "a")
            var life = try life(world)
            life.settle()
            world.loop.advance(by: .seconds(10))
            life.settle()
            #expect(life.isDead, "\(step)")
            let moved = world.driven.filter { $0.value == .integer(1) }.map { $0.actuator }

            life = try self.life(world)
            life.settle()
            // And once more, as after a rebalance that lost the commit.
            world.committed = 0
            life = try self.life(world)
            life.settle()

            let id = command.hasPrefix(#"{"id""#) ? "a" : "commands/0/0"
            let all = world.driven.filter { $0.value == .integer(1) }.map { $0.actuator }
            #expect(Set(all).count == all.count, "done twice after the end at \(step)")
            // The sender hears exactly one thing, as often as it may.
            let finals = world.finals(id)
            #expect(finals.count == 1, "\(step): \(finals.map { String(decoding: $0, as: UTF8.self) })")
            let reply = String(decoding: finals.first ?? [], as: UTF8.self)
            if reply.contains("unknown outcome") {
                #expect(!command.contains("7"), "nothing was ever to be done: \(step)")
                // It is the truth: the claim was kept, and the answer was not.
                #expect(reply.contains(#""status":"failed""#))
                #expect(all == moved, "\(step)")
            } else if reply.contains(#""status":"done""#), !command.contains("safe") {
                #expect(!all.isEmpty, "\(step)")
            } else {
                #expect(all.isEmpty, "\(step)")
            }
        }
    }

    /// Its offset was not committed, and it is too old by now: what its sender has heard stays true.
    @Test func aMessageThatIsReadAgainWhenItIsOldIsNotContradicted() throws {
        let world = World()
        world.send(#"{"id":"a","actuator":"pump","value":1}"#, id: "a")
        var life = try life(world)
        life.settle()
        life.mortality.isDead = true
        world.committed = 0
        world.loop.advance(by: .seconds(3_600))
        life = try self.life(world)
        life.settle()
        #expect(world.driven.filter { $0.value == .integer(1) }.count == 1)
        let replies = try #require(world.delivered["a"])
        #expect(replies.map { $0.status } == [.done, .duplicate])
        #expect(replies[1].first == encoded(replies[0]))
    }

    /// As above, with a second command behind the first, whose commit must not cover it.
    @Test func aCommandThatIsRefusedAtOnceDoesNotCommitTheOneBeforeIt() throws {
        let world = World()
        world.send(#"{"id":"a","actuator":"pump","value":1}"#, id: "a")
        world.send("garbage")
        var life = try life(world)
        life.queue.runAll()
        life.receive()
        life.receive()
        #expect(world.committed == 0)
        life.mortality.isDead = true
        life = try self.life(world)
        life.settle()
        #expect(world.committed == 2)
        #expect(world.driven.map { $0.actuator } == ["pump"])
        #expect(world.finals("a").count == 1)
    }

    @Test func aReplyThatNeverReachedTheBrokerIsSentAgain() throws {
        let world = World()
        world.send(#"{"id":"a","actuator":"pump","value":1}"#, id: "a")
        var life = try life(world)
        life.queue.runAll()
        life.receive()
        life.queue.runAll()
        #expect(life.outbox.map { $0.status } == [.done])
        let first = encoded(life.outbox[0])
        life.mortality.isDead = true
        life = try self.life(world)
        life.settle()
        #expect(world.resent["a"] == [first])
        #expect(world.delivered["a"] == nil)
        // Once it has arrived that is kept, too, and nobody hears of it again.
        world.loop.advance(by: .seconds(5))
        life.settle()
        life.mortality.isDead = true
        life = try self.life(world)
        life.settle()
        #expect(world.resent["a"] == [first])
    }

    @Test func anOrderlyStopLeavesNothingToSendAgain() throws {
        let world = World()
        world.send(#"{"id":"a","actuator":"pump","value":1}"#, id: "a")
        var life = try life(world)
        life.settle()
        life.stop()
        #expect(world.outputs["pump"] == .integer(0))
        life = try self.life(world)
        life.settle()
        #expect(world.resent.isEmpty)
        #expect(world.delivered["a"]?.map { $0.status } == [.done])
    }

    @Test func aRepetitionAfterARestartGetsTheFirstReply() throws {
        let world = World()
        let command = #"{"id":"a","actuator":"pump","value":1}"#
        world.send(command, id: "a")
        var life = try life(world)
        life.settle()
        life.mortality.isDead = true
        world.send(command, id: "a")
        life = try self.life(world)
        life.settle()
        #expect(world.driven.map { $0.value } == [.integer(1)])
        let replies = try #require(world.delivered["a"])
        #expect(replies.map { $0.status } == [.done, .duplicate])
        #expect(replies[1].first == encoded(replies[0]))
    }

    /// It could not be repeated any more, but nobody has heard of it.
    @Test func aReplyThatHasNotArrivedIsNotForgotten() throws {
        let world = World()
        let settings = CommandSettings(topics: [], remember: 1)
        world.send(#"{"id":"a","actuator":"pump","value":1}"#, id: "a")
        var life = try Life(world, plans, settings)
        life.queue.runAll()
        life.receive()
        life.queue.runAll()
        #expect(life.outbox.map { $0.status } == [.done])
        world.loop.advance(by: .seconds(60))
        world.send(#"{"id":"b","actuator":"drain","value":1}"#, id: "b")
        life.receive()
        life.queue.runAll()
        #expect(life.outbox.map { $0.status } == [.done, .rejected])
        life.mortality.isDead = true
        life = try Life(world, plans, settings)
        life.settle()
        #expect(world.finals("a").count == 1)
        // The other comes again, and there is room by then.
        #expect(world.delivered["b"]?.map { $0.status } == [.done])
    }

    /// Somebody plays it again within its validity, after many others and a crash.
    @Test func aRepetitionWithinItsValidityAfterRestarts() throws {
        let world = World()
        let settings = CommandSettings(topics: [], remember: 20)
        let command = #"{"id":"a","actuator":"pump","value":1,"expires":\#(world.now / 1_000 + 3_000)}"#
        world.send(command, id: "a")
        var life = try Life(world, plans, settings)
        life.settle()
        for index in 0..<100 {
            world.send(#"{"id":"o\#(index)","actuator":"drain","value":1}"#)
            life.settle()
            world.loop.advance(by: .seconds(2))
            if index % 30 == 29 {
                life.mortality.isDead = true
                life = try Life(world, plans, settings)
            }
        }
        #expect(world.disk.claims.count <= 20)
        world.send(command, id: "a")
        life.settle()
        #expect(world.driven.filter { $0.actuator == "pump" && $0.value == .integer(1) }.count == 1)
        #expect(world.driven.filter { $0.actuator == "drain" && $0.value == .integer(1) }.count == 100)
        #expect(world.delivered["a"]?.map { $0.status } == [.done, .duplicate])
    }

    // MARK: Refusals

    @Test(arguments: [
        "garbage", #"{"id":"a","actuator":"nothing","value":1}"#, #"{"id":"a","actuator":"pump","query":true}"#,
    ]) func aRefusalThatNobodyHasHeardComesAgain(command: String) throws {
        let world = World()
        world.send(command)
        world.send(#"{"id":"b","actuator":"pump","value":1}"#)
        var life = try life(world)
        life.queue.runAll()
        while life.receive() {}
        life.queue.runAll()
        #expect(life.outbox.count == 2)
        #expect(world.driven.count == 1)
        // The reply is on its way; the command behind it does not commit it.
        #expect(world.committed == 0)
        life.mortality.isDead = true
        let first = life.outbox.first { $0.id != "b" }

        life = try self.life(world)
        life.settle()
        let id = try #require(first?.id)
        #expect(world.delivered[id]?.map { $0.reason } == [first?.reason])
        #expect(world.committed == 2)
        // Nor is that one done twice.
        #expect(world.driven.count == 1)
        #expect(world.delivered["b"]?.map { $0.status } == [.duplicate])
    }

    @Test func aRefusalIsCommittedWhenItsReplyHasArrived() throws {
        let world = World()
        world.send("garbage")
        let life = try life(world)
        life.queue.runAll()
        life.receive()
        world.loop.advance(by: .seconds(60))
        #expect(world.committed == 0)
        life.acknowledge()
        #expect(world.committed == 1)
    }

    /// The broker takes no replies for long, and the outbox has room for ten.
    @Test func aLongOutageOfTheReplies() throws {
        let world = World()
        var life = try life(world)
        life.room = 10
        life.queue.runAll()
        for index in 0..<3_000 {
            world.send("garbage \(index)")
            if index % 10 == 0 {
                world.send(#"{"id":"\#(index)","actuator":"pump","value":\#(index / 10 % 2)}"#, id: "\(index)")
            }
        }
        while life.receive() { life.queue.runAll() }
        // Commands are carried out all the same, and nothing is committed that nobody has heard of.
        #expect(world.driven.count == 300)
        #expect(world.committed == 0)
        // With the replies' way open again each message gets its answer, without a restart.
        life.room = .max
        life.settle()
        #expect(world.committed < 20)
        for _ in 0..<3 {
            world.loop.advance(by: .seconds(5))
            life.settle()
        }
        #expect(world.committed == world.topic.count)
        #expect(world.driven.count == 300)
        for (index, message) in world.topic.enumerated() {
            let id = message.id ?? "commands/0/\(index)"
            #expect(world.finals(id).count == 1, "\(id)")
        }
        // After a crash nobody hears of them again.
        let count = world.resent.count
        life.mortality.isDead = true
        life = try self.life(world)
        life.settle()
        #expect(world.driven.count == 300)
        #expect(world.resent.count == count)
    }

    @Test func whatIsForgottenIsStillToldByItsPlace() throws {
        let world = World()
        let settings = CommandSettings(topics: [], remember: 2)
        var life = try Life(world, plans, settings)
        for id in ["a", "b", "c", "d"] {
            world.send(#"{"id":"\#(id)","actuator":"pump","value":1}"#, id: id)
            life.settle()
            world.loop.advance(by: .milliseconds(30_001))
        }
        #expect(world.driven.count == 4)
        #expect(world.disk.claims.map { $0.id } == ["c", "d"])
        life.mortality.isDead = true
        // The group has forgotten its place.
        world.committed = 0
        life = try Life(world, plans, CommandSettings(topics: [], maxAge: .seconds(600), remember: 2))
        life.settle()
        #expect(world.driven.count == 4)
        #expect(world.delivered["a"]?.last?.status == .duplicate)
        #expect(world.delivered["a"]?.last?.reason?.contains("was passed before") == true)
        // A topic that was made anew begins with the first offset again.
        life.mortality.isDead = true
        world.topic = []
        world.committed = 0
        world.loop.advance(by: .seconds(1))
        world.send(#"{"id":"e","actuator":"pump","value":1}"#, id: "e")
        life = try Life(world, plans, settings)
        life.settle()
        #expect(world.driven.count == 5)
    }
}
