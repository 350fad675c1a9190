import Commands
import Platform
import TestSupport
import Testing

/// Commands that waited in several partitions, and come in any order.
@Suite struct PrecedenceTests {
    private let station: Station

    init() throws { station = try Station() }

    private func send(
        _ text: String, topic: String = "commands", partition: Int32, offset: Int64 = 0, age: Int64,
        isBacklog: Bool = false
    ) {
        station.send(
            Array(text.utf8), topic: topic, partition: partition, offset: offset, timestamp: station.now - age,
            isBacklog: isBacklog)
    }

    @Test func whatWasSentBeforeASafeOfAnotherPartitionIsNotDone() throws {
        send(#"{"actuator":"*","safe":true}"#, partition: 0, age: 1_000)
        send(#"{"id":"on","actuator":"pump","value":1}"#, partition: 1, age: 2_500)
        #expect(station.last.status == .preempted)
        #expect(station.last.reason == "what was sent 1.5 s later, to another partition, came before it")
        send(#"{"id":"on","actuator":"pump","value":1}"#, partition: 1, offset: 1, age: 2_500)
        #expect(station.last.status == .duplicate)
        // In the same millisecond: in doubt it is safe.
        send(#"{"actuator":"pump","value":1}"#, partition: 2, age: 1_000)
        #expect(station.last.status == .preempted)
        #expect(try station.levels.allSatisfy { !$0 })
        send(#"{"actuator":"pump","value":1}"#, partition: 1, offset: 2, age: 999)
        #expect(station.last.status == .done)
    }

    @Test func anotherTopicIsAnotherPartition() throws {
        send(#"{"actuator":"pump","safe":true}"#, topic: "commands.pi-01", partition: 0, age: 1_000)
        send(#"{"actuator":"pump","value":1}"#, partition: 0, age: 1_001)
        #expect(station.last.status == .preempted)
        send(#"{"actuator":"dimmer","value":1}"#, partition: 0, offset: 1, age: 1_001)
        #expect(station.last.status == .done)
    }

    @Test func anOlderOrderComesAfterNoNewerOneButForTheSafeValue() throws {
        send(#"{"actuator":"dimmer","value":20}"#, partition: 0, age: 1_000)
        send(#"{"actuator":"dimmer","value":90}"#, partition: 1, age: 2_000)
        #expect(station.last.status == .preempted)
        let group = #"{"group":[{"actuator":"pump","value":1},{"actuator":"dimmer","value":90}]}"#
        send(group, partition: 1, offset: 1, age: 2_000)
        #expect(station.last.status == .preempted)
        #expect(try station.levels.allSatisfy { !$0 })
        send(#"{"actuator":"dimmer","value":0}"#, partition: 1, offset: 2, age: 2_000)
        #expect(station.last.status == .done)
    }

    /// Kafka's order counts, not that of the senders' clocks.
    @Test func inOnePartitionTheOffsetsAreTheOrder() {
        send(#"{"actuator":"dimmer","value":20}"#, partition: 0, age: 1_000)
        send(#"{"actuator":"dimmer","value":90}"#, partition: 0, offset: 1, age: 2_000)
        #expect(station.last.status == .done)
    }

    @Test func whatIsRefusedBeforeIsOfNoAccount() {
        send(#"{"actuator":"dimmer","value":900}"#, partition: 0, age: 1_000)
        send(#"{"actuator":"dimmer","value":20}"#, partition: 1, age: 2_000)
        #expect(station.last.status == .done)
    }

    /// The safe value is not withheld because a clock is wrong, but that clock shuts nobody out.
    @Test func aSafeOfTheFarFutureShutsNobodyOut() {
        send(#"{"actuator":"dimmer","safe":true}"#, partition: 0, age: -3_600_000)
        #expect(station.last.status == .done)
        station.loop.advance(by: .seconds(31))
        send(#"{"actuator":"dimmer","value":20}"#, partition: 1, age: 0)
        #expect(station.last.status == .done)
    }

    // MARK: Without a clock

    @Test func whatMayHaveWaitedIsNotDoneWithoutAClock() throws {
        station.processor.isClockSynchronised = { false }
        send(#"{"id":"old","actuator":"pump","value":1}"#, partition: 0, age: 0, isBacklog: true)
        #expect(station.last.status == .rejected)
        #expect(
            station.last.reason
                == "it may have waited in its topic, and without a synchronised clock its age is not known")
        #expect(try station.levels.allSatisfy { !$0 })
        send(#"{"actuator":"pump","safe":true}"#, partition: 0, offset: 1, age: 0, isBacklog: true)
        #expect(station.last.status == .done)
        send(#"{"actuator":"pump","value":1}"#, partition: 0, offset: 2, age: 0)
        #expect(station.last.status == .done)
        station.processor.isClockSynchronised = { true }
        // Its refusal stands.
        send(#"{"id":"old","actuator":"pump","value":1}"#, partition: 0, offset: 3, age: 0, isBacklog: true)
        #expect(station.last.status == .duplicate)
        send(#"{"actuator":"pump","value":0}"#, partition: 0, offset: 4, age: 0, isBacklog: true)
        #expect(station.last.status == .done)
    }
}
