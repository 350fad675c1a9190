/// The errors of the protocol that are given or injected here ("Error Codes").
enum Code: Int16 {
    case none = 0
    case offsetOutOfRange = 1
    case unknownTopicOrPartition = 3
    case notLeader = 6
    case requestTimedOut = 7
    case coordinatorLoading = 14
    case coordinatorNotAvailable = 15
    case notCoordinator = 16
    case notEnoughReplicas = 19
    case notEnoughReplicasAfterAppend = 20
    case illegalGeneration = 22
    case unknownMember = 25
    case outOfOrderSequence = 45
    case invalidProducerEpoch = 47
    case invalidTransactionState = 48
    case concurrentTransactions = 51
    case unknownProducer = 59
}

/// A broker's memory: logs, idempotent producers, transactions, the groups' offsets. It has no locks: the
/// `Service` before it lets one request in at a time.
///
/// Written for this suite because librdkafka's mock cluster shows consumers what was aborted, and takes a
/// transaction's offsets before its commit: with it exactly-once can be neither proven nor refuted. And this one keeps what
/// it has while it is "stopped", as a real one does.
final class Broker {
    /// The log of one partition.
    final class Partition {
        fileprivate(set) var batches: [RecordBatch] = []
        fileprivate(set) var end: Int64 = 0
        /// Of transactions that are under way: their producer and first offset.
        fileprivate var open: [Int64: Int64] = [:]
        fileprivate var aborted: [(producer: Int64, first: Int64, last: Int64)] = []
        /// Of idempotent producers: what they sent last.
        fileprivate var producers: [Int64: Sequences] = [:]

        /// Up to where consumers with `read_committed` may read.
        var stableEnd: Int64 { open.values.min() ?? end }

        /// The end of the last record that such a consumer gets: behind it are only markers and what was aborted.
        var visibleEnd: Int64 {
            let last = batches.last { batch in
                batch.endOffset <= stableEnd && batch.baseSequence >= 0
                    && !aborted.contains {
                        $0.producer == batch.producer && ($0.first..<$0.last).contains(batch.baseOffset)
                    }
            }
            return last?.endOffset ?? 0
        }

        fileprivate struct Sequences {
            var epoch: Int16
            /// The last five batches.
            var last: [(base: Int32, end: Int32, offset: Int64)] = []
        }

        fileprivate func append(_ batch: RecordBatch) {
            var batch = batch
            batch.baseOffset = end
            end = batch.endOffset
            batches.append(batch)
        }
    }

    fileprivate final class Transaction {
        let producer: Int64
        var epoch: Int16 = 0
        var isOpen = false
        var partitions: Set<Place> = []
        var offsets: [OffsetKey: GroupOffset] = [:]
        /// How the last one ended, for a request that comes again.
        var lastWasCommit: Bool?

        init(producer: Int64) { self.producer = producer }
    }

    struct Place: Hashable {
        let topic: String
        let partition: Int32
    }

    struct OffsetKey: Hashable {
        let group: String
        let place: Place
    }

    struct GroupOffset {
        let offset: Int64
        let metadata: String
    }

    /// What a broker must never do with a batch that it acknowledges; here it shows that the checker finds it.
    enum Sabotage: String {
        case lose, `repeat`, swap
    }

    var sabotage: Sabotage?
    private var appended = 0
    private var held: RecordBatch?

    let partitionCount: Int32
    private(set) var topics: [String: [Partition]] = [:]
    private var transactions: [String: Transaction] = [:]
    private var offsets: [OffsetKey: GroupOffset] = [:]
    private var groups: [String: ConsumerGroup] = [:]
    private var nextProducer: Int64 = 1_000
    /// The wall time in milliseconds.
    private let clock: () -> Int64

    init(partitions: Int32, clock: @escaping () -> Int64) {
        partitionCount = partitions
        self.clock = clock
    }

    /// The topic's partitions; makes it if it is new.
    func partitions(of topic: String) -> [Partition] {
        if let partitions = topics[topic] { return partitions }
        let partitions = (0..<partitionCount).map { _ in Partition() }
        topics[topic] = partitions
        return partitions
    }

    func partition(_ place: Place) -> Partition? {
        let partitions = partitions(of: place.topic)
        return partitions.indices.contains(Int(place.partition)) ? partitions[Int(place.partition)] : nil
    }

    // MARK: Producing

    func append(_ batch: RecordBatch, to place: Place, transactional id: String) -> (code: Code, offset: Int64) {
        guard let partition = partition(place) else { return (.unknownTopicOrPartition, -1) }
        guard batch.producer >= 0 else {
            partition.append(batch)
            return (.none, partition.end - Int64(batch.count))
        }
        if batch.isTransactional {
            guard let transaction = transactions[id] else { return (.unknownProducer, -1) }
            guard batch.epoch == transaction.epoch else { return (.invalidProducerEpoch, -1) }
            guard transaction.isOpen, transaction.partitions.contains(place) else {
                return (.invalidTransactionState, -1)
            }
        }
        if let answer = check(batch, partition) { return answer }
        appendFaultily(batch, partition)
        let offset = partition.end - Int64(batch.count)
        var sequences = partition.producers[batch.producer] ?? Partition.Sequences(epoch: batch.epoch)
        if sequences.epoch != batch.epoch { sequences = Partition.Sequences(epoch: batch.epoch) }
        sequences.last.append((batch.baseSequence, batch.lastSequence, offset))
        if sequences.last.count > 5 { sequences.last.removeFirst() }
        partition.producers[batch.producer] = sequences
        if batch.isTransactional, partition.open[batch.producer] == nil { partition.open[batch.producer] = offset }
        return (.none, offset)
    }

    private func appendFaultily(_ batch: RecordBatch, _ partition: Partition) {
        if let held, partition === topics.values.first?.first {
            partition.append(batch)
            partition.append(held)
            self.held = nil
            sabotage = nil
            return
        }
        appended += 1
        if let sabotage, appended >= 30, partition === topics.values.first?.first {
            switch sabotage {
            case .lose: break
            case .repeat: for _ in 1...2 { partition.append(batch) }
            case .swap:
                held = batch
                return
            }
            self.sabotage = nil
        } else {
            partition.append(batch)
        }
    }

    /// - Returns: `nil` if the batch is the producer's next one.
    private func check(_ batch: RecordBatch, _ partition: Partition) -> (code: Code, offset: Int64)? {
        guard let known = partition.producers[batch.producer] else {
            return batch.baseSequence == 0 ? nil : (.unknownProducer, -1)
        }
        if batch.epoch < known.epoch { return (.invalidProducerEpoch, -1) }
        if batch.epoch > known.epoch { return batch.baseSequence == 0 ? nil : (.outOfOrderSequence, -1) }
        if let same = known.last.first(where: { $0.base == batch.baseSequence && $0.end == batch.lastSequence }) {
            return (.none, same.offset)
        }
        guard let last = known.last.last else { return nil }
        return batch.baseSequence == (last.end &+ 1) & Int32.max ? nil : (.outOfOrderSequence, -1)
    }

    /// Forgets what idempotent producers sent, as a broker does whose retention has passed over it.
    func forgetProducers() {
        for partitions in topics.values {
            for partition in partitions where partition.open.isEmpty { partition.producers = [:] }
        }
    }

    // MARK: Transactions

    func initialise(transactional id: String) -> (producer: Int64, epoch: Int16) {
        if id.isEmpty {
            nextProducer += 1
            return (nextProducer, 0)
        }
        guard let transaction = transactions[id] else {
            nextProducer += 1
            transactions[id] = Transaction(producer: nextProducer)
            return (nextProducer, 0)
        }
        if transaction.isOpen { finish(transaction, isCommit: false) }
        transaction.lastWasCommit = nil
        transaction.epoch += 1
        return (transaction.producer, transaction.epoch)
    }

    /// Shuts all transactional producers out, as others of their name would.
    func fence() {
        for id in transactions.keys { _ = initialise(transactional: id) }
    }

    private func transaction(_ id: String, _ producer: Int64, _ epoch: Int16) -> (Transaction?, Code) {
        guard let transaction = transactions[id], transaction.producer == producer else {
            return (nil, .unknownProducer)
        }
        return transaction.epoch == epoch ? (transaction, .none) : (nil, .invalidProducerEpoch)
    }

    func add(_ places: [Place], to id: String, _ producer: Int64, _ epoch: Int16) -> Code {
        let (transaction, code) = transaction(id, producer, epoch)
        guard let transaction else { return code }
        transaction.isOpen = true
        transaction.partitions.formUnion(places)
        return .none
    }

    func take(_ offset: GroupOffset, of key: OffsetKey, in id: String, _ producer: Int64, _ epoch: Int16) -> Code {
        let (transaction, code) = transaction(id, producer, epoch)
        guard let transaction else { return code }
        guard transaction.isOpen else { return .invalidTransactionState }
        transaction.offsets[key] = offset
        return .none
    }

    func end(_ id: String, _ producer: Int64, _ epoch: Int16, isCommit: Bool) -> Code {
        let (transaction, code) = transaction(id, producer, epoch)
        guard let transaction else { return code }
        guard transaction.isOpen else {
            return transaction.lastWasCommit == isCommit ? .none : .invalidTransactionState
        }
        finish(transaction, isCommit: isCommit)
        return .none
    }

    private func finish(_ transaction: Transaction, isCommit: Bool) {
        for place in transaction.partitions {
            guard let partition = partition(place) else { continue }
            let marker = RecordBatch(
                markerOf: transaction.producer, epoch: transaction.epoch, isCommit: isCommit, at: partition.end,
                time: clock())
            if let first = partition.open.removeValue(forKey: transaction.producer), !isCommit {
                partition.aborted.append((transaction.producer, first, partition.end))
            }
            partition.append(marker)
        }
        if isCommit { offsets.merge(transaction.offsets) { $1 } }
        transaction.partitions = []
        transaction.offsets = [:]
        transaction.isOpen = false
        transaction.lastWasCommit = isCommit
    }

    func offset(of key: OffsetKey) -> GroupOffset? { offsets[key] }
    func commit(_ offset: GroupOffset, of key: OffsetKey) { offsets[key] = offset }

    /// The group of consumers of that name; makes it if it is new.
    func group(_ name: String) -> ConsumerGroup {
        if let group = groups[name] { return group }
        let group = ConsumerGroup()
        groups[name] = group
        return group
    }

    // MARK: Fetching

    struct Fetched {
        var code = Code.none
        var end: Int64 = 0
        var stableEnd: Int64 = 0
        var aborted: [(producer: Int64, first: Int64)] = []
        var bytes: [UInt8] = []
    }

    func fetch(_ place: Place, from offset: Int64, atMost limit: Int, committed: Bool) -> Fetched {
        var fetched = Fetched()
        guard let partition = partition(place) else {
            fetched.code = .unknownTopicOrPartition
            return fetched
        }
        fetched.end = partition.end
        fetched.stableEnd = partition.stableEnd
        guard (0...partition.end).contains(offset) else {
            fetched.code = .offsetOutOfRange
            return fetched
        }
        let end = committed ? partition.stableEnd : partition.end
        var index = partition.batches.partitioningIndex { $0.endOffset > offset }
        var reached = offset
        while index < partition.batches.count, partition.batches[index].endOffset <= end,
            fetched.bytes.isEmpty || fetched.bytes.count + partition.batches[index].size <= limit
        {
            fetched.bytes += partition.batches[index].bytes
            reached = partition.batches[index].endOffset
            index += 1
        }
        if committed {
            fetched.aborted = partition.aborted.filter { $0.last >= offset && $0.first < reached }
                .map { ($0.producer, $0.first) }
        }
        return fetched
    }
}

extension Array {
    /// The first index whose element, and all behind it, fulfils the condition.
    fileprivate func partitioningIndex(_ isBehind: (Element) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if isBehind(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
