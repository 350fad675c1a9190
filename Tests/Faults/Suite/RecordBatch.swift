/// A record batch of format 2, whose records stay as they came ("Record Batch" of Kafka's documentation).
struct RecordBatch {
    var baseOffset: Int64
    let count: Int
    let producer: Int64
    let epoch: Int16
    let baseSequence: Int32
    let isTransactional: Bool
    private let raw: [UInt8]

    var endOffset: Int64 { baseOffset + Int64(count) }
    var lastSequence: Int32 { baseSequence &+ Int32(count - 1) & Int32.max }

    /// The batch at the beginning of a produce request's records; `nil` if there is none of format 2.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= 61, bytes[16] == 2 else { return nil }
        var reader = WireReader(bytes, from: 21)
        guard let attributes = try? reader.integer(Int16.self), let lastDelta = try? reader.integer(Int32.self),
            (try? reader.integer(Int64.self)) != nil, (try? reader.integer(Int64.self)) != nil,
            let producer = try? reader.integer(Int64.self), let epoch = try? reader.integer(Int16.self),
            let baseSequence = try? reader.integer(Int32.self)
        else { return nil }
        baseOffset = 0
        count = Int(lastDelta) + 1
        self.producer = producer
        self.epoch = epoch
        self.baseSequence = baseSequence
        isTransactional = attributes & 0x10 != 0
        raw = bytes
    }

    /// The marker that ends a transaction in a partition ("Control Batches").
    init(markerOf producer: Int64, epoch: Int16, isCommit: Bool, at offset: Int64, time: Int64) {
        var record = WireWriter()
        // Attributes, time and offset deltas, key length (4), key: version and type, value length (6), value, headers.
        record.append([0, 0, 0, 8])
        record.write(Int16(0))
        record.write(Int16(isCommit ? 1 : 0))
        record.append([12])
        record.write(Int16(0))
        record.write(Int32(0))
        record.append([0])
        var body = WireWriter()
        body.write(Int16(0x30))
        body.write(Int32(0))
        body.write(time)
        body.write(time)
        body.write(producer)
        body.write(epoch)
        body.write(Int32(-1))
        body.write(Int32(1))
        body.append([UInt8(record.bytes.count * 2)])
        body.append(record.bytes)
        var batch = WireWriter()
        batch.write(offset)
        batch.write(Int32(body.bytes.count + 9))
        batch.write(Int32(0))
        batch.append([2])
        batch.write(checksum(body.bytes[...]))
        batch.append(body.bytes)
        raw = batch.bytes
        baseOffset = offset
        count = 1
        self.producer = producer
        self.epoch = epoch
        baseSequence = -1
        isTransactional = true
    }

    /// With its offset in place, which the checksum does not cover.
    var bytes: [UInt8] {
        var writer = WireWriter()
        writer.write(baseOffset)
        return writer.bytes + raw[8...]
    }

    var size: Int { raw.count }
}
