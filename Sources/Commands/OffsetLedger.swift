import Platform

/// Which messages have been dealt with, so that a partition's offset is committed only when that is so for all before it.
///
/// A message is dealt with when it need not come again after a crash: its claim is on the disk, or its reply has arrived.
/// Bounded: what comes while `mostTickets` of a partition are open shares the last ticket, and is committed with it.
final class OffsetLedger {
    /// A message that is not dealt with yet, or several that are committed together.
    final class Ticket {
        let topic: String
        let partition: Int32
        fileprivate(set) var offset: Int64
        fileprivate var open = 1

        fileprivate init(_ place: ClaimList.Place) {
            (topic, partition, offset) = (place.topic, place.partition, place.offset)
        }
    }

    /// The most tickets of a partition.
    static var mostTickets: Int { 1_024 }

    /// Gets topic, partition and offset of the last of the messages that, with all before them, are dealt with.
    var onDealtWith: ((String, Int32, Int64) -> Void)?

    private struct Partition {
        let topic: String
        let partition: Int32
        /// In the order of their offsets.
        var tickets: [Ticket] = []
    }

    private var partitions: [Partition] = []

    /// A message has come.
    func take(_ place: ClaimList.Place) -> Ticket {
        let index = index(place.topic, place.partition)
        // After a rebalance it comes again, with all behind it: those that came before are of no account any more.
        partitions[index].tickets.removeAll { $0.offset >= place.offset }
        if partitions[index].tickets.count >= Self.mostTickets, let last = partitions[index].tickets.last {
            last.offset = place.offset
            last.open += 1
            return last
        }
        let ticket = Ticket(place)
        partitions[index].tickets.append(ticket)
        return ticket
    }

    /// The message of that ticket is dealt with; once for each `take`.
    func settle(_ ticket: Ticket) {
        ticket.open -= 1
        let index = index(ticket.topic, ticket.partition)
        let count = partitions[index].tickets.prefix { $0.open <= 0 }.count
        if count == 0 { return }
        let offset = partitions[index].tickets[count - 1].offset
        partitions[index].tickets.removeFirst(count)
        onDealtWith?(ticket.topic, ticket.partition, offset)
    }

    private func index(_ topic: String, _ partition: Int32) -> Int {
        for index in partitions.indices
        where partitions[index].partition == partition && sameBytes(partitions[index].topic, topic) {
            return index
        }
        partitions.append(Partition(topic: topic, partition: partition))
        return partitions.count - 1
    }
}
