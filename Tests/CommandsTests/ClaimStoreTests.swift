import Actuators
import Commands
import Platform
import Records
import TestSupport
import Testing

/// The disk, and what does not wait for it.
@Suite struct ClaimStoreTests {
    private let plans: [(id: String, maxOn: Interval?, restraints: Restraints)] = [("pump", nil, Restraints())]

    private func command(_ id: String) -> String { #"{"id":"\#(id)","actuator":"pump","value":1}"# }

    @Test func nothingMovesBeforeTheClaimIsWritten() throws {
        let world = World()
        let life = try Life(world, plans)
        life.queue.runAll()
        world.send(command("a"))
        life.receive()
        #expect(world.driven.isEmpty)
        life.queue.runJob()
        #expect(world.disk.claims.count == 1)
        #expect(world.driven.isEmpty)
        life.queue.deliver()
        #expect(world.driven.count == 1)
        // The reply waits until it is kept, too.
        #expect(life.outbox.isEmpty)
        life.queue.runAll()
        #expect(life.outbox.count == 1)
    }

    @Test func whatWaitsForTheDiskIsWrittenTogether() throws {
        let world = World()
        let life = try Life(world, plans)
        life.queue.runAll()
        for id in 0..<20 { world.send(command("\(id)")) }
        while life.receive() {}
        life.queue.runAll()
        // The first claim alone, then nineteen with the first answer, then their answers.
        #expect(world.disk.writes == 3)
        #expect(life.outbox.count == 20)
    }

    @Test func aFullDiskRejects() throws {
        let world = World()
        let life = try Life(world, plans)
        life.queue.runAll()
        world.disk.fails = true
        world.send(command("a"))
        world.send(#"{"id":"s","actuator":"pump","safe":true}"#)
        life.settle()
        #expect(world.driven.map { $0.value } == [.integer(0)])
        #expect(world.delivered["a"]?.map { $0.status } == [.rejected])
        #expect(world.delivered["s"]?.map { $0.status } == [.done])
        world.disk.fails = false
        world.send(command("b"))
        life.settle()
        #expect(world.delivered["b"]?.map { $0.status } == [.done])
    }

    @Test func aHungDiskRejects() throws {
        let world = World()
        let life = try Life(world, plans)
        life.queue.runAll()
        world.send(command("a"))
        life.receive()
        world.send(command("b"))
        life.receive()
        world.loop.advance(by: .seconds(10))
        #expect(life.outbox.map { $0.status } == [.rejected, .rejected])
        world.send(command("c"))
        life.receive()
        #expect(life.outbox.last?.reason?.contains("claims cannot be written") == true)
        // The write comes back after all: what was rejected is not done.
        life.queue.runAll()
        #expect(world.driven.isEmpty)
        world.send(command("d"))
        life.settle()
        #expect(world.driven.count == 1)
        #expect(world.finals("a").count == 1)
    }

    @Test func aCommandThatExpiresWhileTheDiskIsSlowIsNotDone() throws {
        let world = World()
        let life = try Life(world, plans)
        life.queue.runAll()
        world.send(#"{"id":"a","actuator":"pump","value":1,"expires":\#(world.now / 1_000 + 2)}"#)
        life.receive()
        world.loop.advance(by: .seconds(3))
        life.settle()
        #expect(world.driven.isEmpty)
        #expect(world.delivered["a"]?.map { $0.status } == [.expired])
    }

    /// `safe` does not wait for the disk, so what was sent before it must not come behind it.
    @Test func aSafeIsNotUndoneByWhatWasSentBeforeIt() throws {
        let world = World()
        let life = try Life(world, plans)
        life.queue.runAll()
        world.send(command("a"))
        world.send(#"{"id":"g","group":[{"actuator":"pump","value":1}]}"#)
        world.send(#"{"id":"s","actuator":"*","safe":true}"#)
        while life.receive() {}
        life.settle()
        #expect(world.outputs["pump"] == .integer(0))
        #expect(world.driven.allSatisfy { $0.value == .integer(0) })
        #expect(world.delivered["a"]?.map { $0.status } == [.preempted])
        #expect(world.delivered["g"]?.map { $0.status } == [.preempted])
        world.send(command("b"))
        life.settle()
        #expect(world.outputs["pump"] == .integer(1))
    }

    /// A claim that is kept only after the brokers were given up comes too late.
    @Test func whatWaitsForTheDiskDoesNotMoveWithoutABroker() throws {
        let world = World()
        let life = try Life(world, plans, CommandSettings(topics: [], onDisconnect: .safe(after: .seconds(2))))
        life.queue.runAll()
        life.guardian.linkChanged(isUp: true)
        world.send(command("a"))
        life.receive()
        life.guardian.linkChanged(isUp: false)
        world.loop.advance(by: .seconds(3))
        life.settle()
        #expect(world.driven.isEmpty)
        #expect(world.delivered["a"]?.map { $0.status } == [.preempted])
        life.guardian.linkChanged(isUp: true)
        world.send(command("b"))
        life.settle()
        #expect(world.outputs["pump"] == .integer(1))
    }

    /// What comes faster than the disk writes waits in the topic.
    @Test func aBurstIsHeldBack() throws {
        let world = World()
        let life = try Life(world, plans)
        life.queue.runAll()
        for id in 0..<600 { world.send(command("\(id)"), id: "\(id)") }
        while life.receive() {}
        #expect(life.isHeld)
        #expect(life.position == 256)
        life.settle()
        #expect(!life.isHeld)
        #expect(world.driven.count == 600)
        #expect(world.delivered.count == 600)
        #expect(world.delivered.values.allSatisfy { $0.map { $0.status } == [.done] })
    }

    /// A disk that takes its time does not keep the safe value waiting.
    @Test func nothingIsHeldBackForLong() throws {
        let world = World()
        let life = try Life(world, plans)
        life.queue.runAll()
        for id in 0..<300 { world.send(command("\(id)")) }
        world.send(#"{"id":"s","actuator":"pump","safe":true}"#)
        while life.receive() {}
        world.loop.advance(by: .milliseconds(999))
        #expect(life.isHeld)
        world.loop.advance(by: .milliseconds(1))
        #expect(!life.isHeld)
        while life.receive() {}
        #expect(life.position == 301)
        #expect(life.outbox.count == 300 - 256)
        #expect(life.outbox.allSatisfy { $0.reason == "256 commands wait for the disk already" })
        #expect(world.driven.map { $0.value } == [.integer(0)])
        life.settle()
        #expect(world.delivered.count == 301)
        #expect(world.driven.allSatisfy { $0.value == .integer(0) })
    }

    /// A disk that is slow and works is waited for, however long that takes.
    @Test func aBurstIsHeldBackWhileTheDiskWrites() throws {
        let world = World()
        let life = try Life(world, plans)
        life.queue.runAll()
        for id in 0..<1_000 { world.send(command("\(id)"), id: "\(id)") }
        for _ in 0..<100 where life.position < 1_000 || life.queue.pending > 0 {
            while life.receive() {}
            world.loop.advance(by: .milliseconds(900))
            while life.receive() {}
            life.queue.runJob()
            life.queue.deliver()
        }
        life.settle()
        #expect(world.driven.count == 1_000)
        #expect(world.delivered.values.allSatisfy { $0.map { $0.status } == [.done] })
    }

    /// An hour away, 500 commands: none that is too old is done, and each is answered.
    @Test func aReplayAfterAnHour() throws {
        let world = World()
        let loop = world.loop
        for index in 0..<500 {
            world.send(command("\(index)"), id: "\(index)")
            loop.advance(by: .milliseconds(7_200))
        }
        var sent: [String: Int64] = [:]
        for (index, message) in world.topic.enumerated() { sent["\(index)"] = message.timestamp }
        let now = world.now
        let life = try Life(world, plans)
        life.settle()
        var done = 0
        for index in 0..<500 {
            let replies = world.delivered["\(index)"] ?? []
            #expect(replies.count == 1)
            let isFresh = now - (sent["\(index)"] ?? 0) <= 30_000
            #expect(replies.first?.status == (isFresh ? .done : .expired))
            if isFresh { done += 1 }
        }
        #expect(done == 4)
        #expect(world.driven.count == done)
        #expect(world.committed == 500)
    }
}
