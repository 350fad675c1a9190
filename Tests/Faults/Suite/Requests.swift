/// The requests that are understood, and the highest version of each: old ones, which any client still speaks.
enum Request: Int16, CaseIterable {
    case produce = 0
    case fetch = 1
    case listOffsets = 2
    case metadata = 3
    case offsetCommit = 8
    case offsetFetch = 9
    case findCoordinator = 10
    case joinGroup = 11
    case heartbeat = 12
    case leaveGroup = 13
    case syncGroup = 14
    case apiVersions = 18
    case initProducer = 22
    case addPartitions = 24
    case addOffsets = 25
    case endTransaction = 26
    case commitOffsets = 28

    var highestVersion: Int16 {
        switch self {
        case .produce: 3
        case .fetch: 4
        case .offsetCommit: 2
        case .listOffsets, .metadata, .offsetFetch, .findCoordinator: 1
        default: 0
        }
    }
}

/// What is to be done about a request besides answering it.
struct Injection {
    /// This error instead of an answer, for every topic and partition in it.
    var code: Code
    /// Whether the request is carried out all the same: its sender cannot know.
    var isCarriedOut: Bool
}

/// Takes requests apart, lets the broker do what they ask, and puts the answers together.
struct Requests {
    let broker: Broker
    /// The port by which the broker is known to whoever asks.
    let port: UInt16

    struct Unknown: Error {}

    /// - Parameter frame: a request behind its length.
    /// - Returns: the answer behind its length, or `nil` where none is wanted (`acks` 0).
    func answer(_ frame: [UInt8], _ injection: Injection?) throws -> [UInt8]? {
        var reader = WireReader(frame)
        let key = try reader.integer(Int16.self)
        let version = try reader.integer(Int16.self)
        let correlation = try reader.integer(Int32.self)
        _ = try reader.string()
        guard let request = Request(rawValue: key) else { throw Unknown() }
        var writer = WireWriter()
        writer.write(correlation)
        if request == .apiVersions {
            answerVersions(version, &writer)
            return writer.bytes
        }
        guard version <= request.highestVersion else { throw Unknown() }
        var body = try carryOut(request, version, reader, injection?.isCarriedOut == false ? injection?.code : nil)
        if let injection, injection.isCarriedOut {
            // Carried out, and denied.
            let denied = try carryOut(request, version, reader, injection.code)
            body = denied
        }
        writer.append(body)
        return writer.bytes
    }

    private func carryOut(_ request: Request, _ version: Int16, _ reader: WireReader, _ denial: Code?) throws -> [UInt8]
    {
        var reader = reader
        var writer = WireWriter()
        switch request {
        case .produce: try produce(&reader, &writer, denial)
        case .fetch: try fetch(&reader, &writer)
        case .listOffsets: try listOffsets(version, &reader, &writer)
        case .metadata: try metadata(version, &reader, &writer)
        case .offsetFetch: try offsetFetch(&reader, &writer, denial)
        case .offsetCommit: try offsetCommit(&reader, &writer, denial)
        case .joinGroup: try joinGroup(&reader, &writer, denial)
        case .syncGroup: try syncGroup(&reader, &writer, denial)
        case .heartbeat: try heartbeat(&reader, &writer, denial)
        case .leaveGroup: try leaveGroup(&reader, &writer, denial)
        case .findCoordinator: findCoordinator(version, &writer, denial)
        case .initProducer: try initProducer(&reader, &writer, denial)
        case .addPartitions: try addPartitions(&reader, &writer, denial)
        case .addOffsets: try addOffsets(&reader, &writer, denial)
        case .endTransaction: try endTransaction(&reader, &writer, denial)
        case .commitOffsets: try commitOffsets(&reader, &writer, denial)
        case .apiVersions: break
        }
        return writer.bytes
    }

    private func answerVersions(_ version: Int16, _ writer: inout WireWriter) {
        let ranges = Request.allCases.map { (key: $0.rawValue, version: $0.highestVersion) }
        // UNSUPPORTED_VERSION has the client ask again with version 0.
        writer.write(Int16(version > 0 ? 35 : 0))
        writer.write(array: ranges.sorted { $0.key < $1.key }) {
            $0.write($1.key)
            $0.write(Int16(0))
            $0.write($1.version)
        }
    }

    /// Goes through partitions in their topics, and begins the answer about each with its number.
    func eachPartition(
        _ reader: inout WireReader, _ writer: inout WireWriter,
        _ body: (inout WireReader, inout WireWriter, Broker.Place) throws -> Void
    ) throws {
        let count = try reader.integer(Int32.self)
        writer.write(count)
        for _ in 0..<count {
            let topic = try reader.string()
            writer.write(topic)
            let parts = try reader.integer(Int32.self)
            writer.write(parts)
            for _ in 0..<parts {
                let partition = try reader.integer(Int32.self)
                writer.write(partition)
                try body(&reader, &writer, Broker.Place(topic: topic, partition: partition))
            }
        }
    }

    // MARK: Data

    private func produce(_ reader: inout WireReader, _ writer: inout WireWriter, _ denial: Code?) throws {
        let id = try reader.string()
        _ = try reader.integer(Int16.self)
        _ = try reader.integer(Int32.self)
        try eachPartition(&reader, &writer) { reader, writer, place in
            guard let batch = RecordBatch(try reader.bytes()) else { throw Unknown() }
            let result =
                denial.map { (code: $0, offset: Int64(-1)) }
                ?? broker.append(batch, to: place, transactional: id)
            writer.write(result.code.rawValue)
            writer.write(result.offset)
            writer.write(Int64(-1))
        }
        writer.write(Int32(0))
    }

    private func fetch(_ reader: inout WireReader, _ writer: inout WireWriter) throws {
        for _ in 0..<4 { _ = try reader.integer(Int32.self) }
        let isCommitted = try reader.integer(Int8.self) == 1
        writer.write(Int32(0))
        try eachPartition(&reader, &writer) { reader, writer, place in
            let offset = try reader.integer(Int64.self)
            let limit = Int(try reader.integer(Int32.self))
            let fetched = broker.fetch(place, from: offset, atMost: limit, committed: isCommitted)
            writer.write(fetched.code.rawValue)
            writer.write(fetched.end)
            writer.write(fetched.stableEnd)
            writer.write(array: fetched.aborted) {
                $0.write($1.producer)
                $0.write($1.first)
            }
            writer.write(fetched.bytes)
        }
    }

    private func listOffsets(_ version: Int16, _ reader: inout WireReader, _ writer: inout WireWriter) throws {
        guard version == 1 else { throw Unknown() }
        _ = try reader.integer(Int32.self)
        try eachPartition(&reader, &writer) { reader, writer, place in
            let time = try reader.integer(Int64.self)
            let log = broker.partition(place)
            writer.write((log == nil ? Code.unknownTopicOrPartition : .none).rawValue)
            writer.write(Int64(-1))
            // -1 asks for the end, -2 for the beginning.
            writer.write(time == -1 ? log?.end ?? -1 : 0)
        }
    }

    // MARK: Who is where

    private func metadata(_ version: Int16, _ reader: inout WireReader, _ writer: inout WireWriter) throws {
        let asked = try reader.array { (reader) throws(WireReader.Torn) in try reader.string() }
        let isAll = asked == nil || (version == 0 && asked?.isEmpty == true)
        writer.write(Int32(1))
        writeNode(&writer)
        if version >= 1 {
            writer.write(String?.none)
            writer.write(Int32(1))
        }
        let names = isAll ? Array(broker.topics.keys) : asked ?? []
        writer.write(array: names) { writer, name in
            let partitions = broker.partitions(of: name)
            writer.write(Code.none.rawValue)
            writer.write(name)
            if version >= 1 { writer.write(Int8(0)) }
            writer.write(array: Array(partitions.indices)) {
                $0.write(Code.none.rawValue)
                $0.write(Int32($1))
                $0.write(Int32(1))
                $0.write(array: [Int32(1)]) { $0.write($1) }
                $0.write(array: [Int32(1)]) { $0.write($1) }
            }
        }
    }

    private func writeNode(_ writer: inout WireWriter) {
        writer.write(Int32(1))
        writer.write("127.0.0.1")
        writer.write(Int32(port))
    }

    private func findCoordinator(_ version: Int16, _ writer: inout WireWriter, _ denial: Code?) {
        if version >= 1 { writer.write(Int32(0)) }
        writer.write((denial ?? .none).rawValue)
        if version >= 1 { writer.write(String?.none) }
        writeNode(&writer)
    }

    // MARK: Transactions

    private func initProducer(_ reader: inout WireReader, _ writer: inout WireWriter, _ denial: Code?) throws {
        let id = try reader.string()
        writer.write(Int32(0))
        writer.write((denial ?? .none).rawValue)
        let identity = denial == nil ? broker.initialise(transactional: id) : (producer: -1, epoch: -1)
        writer.write(identity.producer)
        writer.write(identity.epoch)
    }

    private func addPartitions(_ reader: inout WireReader, _ writer: inout WireWriter, _ denial: Code?) throws {
        let id = try reader.string()
        let producer = try reader.integer(Int64.self)
        let epoch = try reader.integer(Int16.self)
        writer.write(Int32(0))
        let count = try reader.integer(Int32.self)
        writer.write(count)
        for _ in 0..<count {
            let topic = try reader.string()
            let parts = try reader.array { (reader) throws(WireReader.Torn) in try reader.integer(Int32.self) } ?? []
            let places = parts.map { Broker.Place(topic: topic, partition: $0) }
            let code = denial ?? broker.add(places, to: id, producer, epoch)
            writer.write(topic)
            writer.write(array: parts) {
                $0.write($1)
                $0.write(code.rawValue)
            }
        }
    }

    private func addOffsets(_ reader: inout WireReader, _ writer: inout WireWriter, _ denial: Code?) throws {
        let id = try reader.string()
        let producer = try reader.integer(Int64.self)
        let epoch = try reader.integer(Int16.self)
        writer.write(Int32(0))
        writer.write((denial ?? broker.add([], to: id, producer, epoch)).rawValue)
    }

    private func endTransaction(_ reader: inout WireReader, _ writer: inout WireWriter, _ denial: Code?) throws {
        let id = try reader.string()
        let producer = try reader.integer(Int64.self)
        let epoch = try reader.integer(Int16.self)
        let isCommit = try reader.integer(Int8.self) != 0
        writer.write(Int32(0))
        writer.write((denial ?? broker.end(id, producer, epoch, isCommit: isCommit)).rawValue)
    }

    private func commitOffsets(_ reader: inout WireReader, _ writer: inout WireWriter, _ denial: Code?) throws {
        let id = try reader.string()
        let group = try reader.string()
        let producer = try reader.integer(Int64.self)
        let epoch = try reader.integer(Int16.self)
        writer.write(Int32(0))
        try eachPartition(&reader, &writer) { reader, writer, place in
            let offset = try reader.integer(Int64.self)
            let metadata = try reader.string()
            let key = Broker.OffsetKey(group: group, place: place)
            let value = Broker.GroupOffset(offset: offset, metadata: metadata)
            writer.write((denial ?? broker.take(value, of: key, in: id, producer, epoch)).rawValue)
        }
    }

    private func offsetFetch(_ reader: inout WireReader, _ writer: inout WireWriter, _ denial: Code?) throws {
        let group = try reader.string()
        let count = try reader.integer(Int32.self)
        writer.write(count)
        for _ in 0..<count {
            let topic = try reader.string()
            writer.write(topic)
            let parts = try reader.array { (reader) throws(WireReader.Torn) in try reader.integer(Int32.self) } ?? []
            writer.write(array: parts) {
                let key = Broker.OffsetKey(group: group, place: Broker.Place(topic: topic, partition: $1))
                let found = broker.offset(of: key)
                $0.write($1)
                $0.write(found?.offset ?? -1)
                $0.write(found?.metadata ?? "")
                $0.write((denial ?? .none).rawValue)
            }
        }
    }
}
