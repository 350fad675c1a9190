import Platform
import Storage

/// A file's identity a second time, as a name among its names: `/<identity>/<epoch>`. The page of `state` is written with
/// every commit and so is the likeliest to be torn; that of `names` with every start at most.
///
/// Where `state` is lost, so is the position that comes next, and one that was given out must not be given out again under
/// the same identity: the transport takes all up to its own position for delivered. So positions then go on in the next
/// epoch, of 2^44 positions, which no outbox ever counts through.
struct OutboxMark {
    let identity: String
    let epoch: Int64

    /// Of a file whose next position is `next`.
    init(identity: String, next: Int64) {
        self.identity = identity
        epoch = Self.epoch(of: next)
    }

    /// - Returns: `nil` for any other name: topics have no slash, and id prefixes do not begin with one.
    init?(_ name: String) {
        let bytes = Array(name.utf8)
        let slash = UInt8(ascii: "/")
        guard bytes.count > 18, bytes.count < 25, bytes[0] == slash, bytes[17] == slash else { return nil }
        var epoch: Int64 = 0
        for byte in bytes[18...] {
            guard byte >= 48, byte <= 57 else { return nil }
            epoch = epoch * 10 + Int64(byte - 48)
        }
        identity = String(decoding: bytes[1..<17], as: UTF8.self)
        // What a damaged one says must leave positions to count.
        self.epoch = min(epoch, Self.epoch(of: OutboxFile.highestPosition) / 2)
    }

    var text: String { joined("/", identity, "/", decimal(epoch)) }

    static func epoch(of position: Int64) -> Int64 { position >> 44 }
    static func start(of epoch: Int64) -> Int64 { epoch << 44 }
}

extension DiskNames {
    /// The mark among them, and its number.
    var mark: (number: Int, mark: OutboxMark)? {
        for entry in entries { if let mark = OutboxMark(entry.text) { return (entry.number, mark) } }
        return nil
    }
}

/// What the process that has a file open knows of it: a recovery need not find it.
struct KnownOutbox {
    /// Empty before the file was opened for the first time.
    var identity = ""
    /// No position from here on was ever given out.
    var next: Int64 = 1
    var names = DiskNames()
}

extension OutboxFile {
    /// Puts the mark in its place: under the number that it has, as a loop may know it by that.
    func noteMark(_ mark: OutboxMark) throws(StorageError) {
        if let old = names.mark {
            let update = try database.prepare("UPDATE names SET name=? WHERE number=?")
            try update.bind(1, mark.text)
            try update.bind(2, Int64(old.number))
            try update.run()
            return
        }
        var names = names
        if let number = names.number(adding: mark.text) { try add(DiskNames.Entry(number: number, text: mark.text)) }
    }
}
