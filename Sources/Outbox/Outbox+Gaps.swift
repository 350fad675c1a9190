import Platform
import Records

/// Telling consumers what is missing: one record for each key that has lost some.
///
///     {"sensorID":"door","value":null,"timestamp":1795193522.298,"quality":"bad","reason":"gap",
///      "gap":{"count":120,"first":1795193402.298,"last":1795193522.298}}
extension Outbox {
    /// How long what was lost may gather before it is told.
    static var gapPause: Interval { .seconds(1) }

    /// A record is lost; what it told is to be told again.
    func noteGap(_ entry: UnsafeMutablePointer<RecordEntry>, _ memory: UnsafeMutableRawPointer, _ queue: LaneQueue) {
        let told = entry.pointee.told(in: memory)
        let start = memory + Int(entry.pointee.offset) + Int(entry.pointee.length)
        noteGap(
            TopicID(Int(entry.pointee.topic)),
            UnsafeRawBufferPointer(start: start, count: Int(entry.pointee.keyLength)), count: told?.count ?? 1,
            first: told?.first ?? entry.pointee.time, last: entry.pointee.time,
            isDurable: queue.lane == .backlog || entry.pointee.traits.contains(.durable), queue)
    }

    /// A record is not taken. One that would have told of a gap is told later.
    func noteRefused(
        _ topic: TopicID, _ key: UnsafeRawBufferPointer, _ time: Int64, _ traits: RecordEntry.Traits, _ queue: LaneQueue
    ) {
        if traits.contains(.gap) { return }
        noteGap(topic, key, first: time, last: time, isDurable: traits.contains(.durable), queue)
    }

    /// Records of `key` are lost.
    func noteGap(
        _ topic: TopicID, _ key: UnsafeRawBufferPointer, count: Int64 = 1, first: Int64, last: Int64, isDurable: Bool,
        _ queue: LaneQueue
    ) {
        if settings.gapTimestamp == nil || queue.lane == .reply || topic.index == Int(UInt16.max) { return }
        // One that had been on the disk is in the lane of what is read back.
        if let name = disk?.topics.topicName(topic), !tellsGaps(of: name) { return }
        gaps.add(topic: topic.index, key: key, count: count, first: first, last: last, isDurable: isDurable)
        armGaps()
    }

    private func tellsGaps(of topic: String) -> Bool {
        for name in settings.topicsWithoutGaps where sameBytes(name, topic) { return false }
        return true
    }

    func armGaps() {
        if settings.gapTimestamp == nil || gapTimer != nil { return }
        gapTimer = loop.after(Self.gapPause) { [unowned(unsafe) self] in
            gapTimer = nil
            tellGaps()
        }
    }

    /// Appends what is to be told, if there is room for it. Happens by itself within seconds; for a stop it is said.
    public func tellGaps() {
        // At a stop they go to the file, and the next start tells them.
        if (gaps.isEmpty && disk?.hasGaps != true) || disk?.isStopping == true { return }
        guard records.hasRoom && !records.loss.isLosing else {
            if let disk { keepGaps(disk) }
            armGaps()
            return
        }
        let told = gaps.gaps
        gaps.removeAll()
        for gap in told where !append(gap, topic: TopicID(gap.topic), isDurable: gap.isDurable) { gaps.add(gap) }
        if !gaps.isEmpty { armGaps() }
        guard let disk, disk.mayTellGaps, disk.phase == .up, disk.toldGaps.isEmpty else { return }
        disk.areGapsDue = true
        pumpDisk()
    }

    /// Those that the disk has noted: their records and the end of the notes are one commit.
    func tell(_ gaps: [Gap], _ disk: Disk) {
        disk.hasGaps = false
        for gap in gaps {
            guard let name = disk.names.text(gap.topic) else { continue }
            if !tellsGaps(of: name) {
                disk.toldGaps.append(gap)
                continue
            }
            guard let topic = disk.topics.topicID(name) else { continue }
            if append(gap, topic: topic, isDurable: true) {
                disk.toldGaps.append(gap)
            } else {
                disk.hasGaps = true
            }
        }
        disk.isSpillDue = true
        if disk.hasGaps { armGaps() }
    }

    // MARK: On the disk

    /// What cannot be told for long is noted in the file, which a crash does not take. Not often: a commit is an fsync.
    private func keepGaps(_ disk: Disk) {
        if gaps.isEmpty || loop.time.now < disk.nextNotes { return }
        disk.nextNotes = loop.time.now + Disk.notesPause
        disk.areNotesDue = true
        pumpDisk()
    }

    /// Puts what has not been told into a commit.
    func noteGaps(in request: DiskRequest, _ disk: Disk) {
        disk.areNotesDue = false
        for gap in gaps.gaps {
            // A topic without a name gets no records either.
            if let topic = disk.number(of: TopicID(gap.topic)) { request.notes.append((topic, gap)) }
        }
        gaps.removeAll()
    }

    /// At a stop: what the file has no room for is lost with the process.
    func noteUnstored(_ disk: Disk) {
        for index in 0..<table.capacity where table.slabs[index].lane == .record {
            guard let memory = table.slabs[index].memory else { continue }
            for record in 0..<table.slabs[index].records {
                let entry = table.entry(record, in: memory)
                if entry.pointee.state != .settled, entry.pointee.storage == .none { noteGap(entry, memory, records) }
            }
        }
        disk.hasGivenUp = true
        disk.areNotesDue = true
    }

    private func append(_ gap: Gap, topic: TopicID, isDurable: Bool) -> Bool {
        guard let format = settings.gapTimestamp else { return false }
        let name = String(decoding: gap.key, as: UTF8.self)
        let maximum = JSONString.maximumBytes(utf8Count: name.utf8.count) + 3 * TimestampFormat.maximumBytes + 160
        var traits: RecordEntry.Traits = .gap
        // It does not overtake records of its key that wait for the disk.
        // With positions, records are stored in the order in which they are sent: none may go ahead without one.
        if isDurable || (settings.keepsPositions && disk != nil) { traits.insert(.durable) }
        return gap.key.withUnsafeBytes { key in
            append(
                topic: topic, key: key, time: WallTime(nanoseconds: gap.last &* 1_000_000), traits: traits,
                told: RecordEntry.Told(count: gap.count, first: gap.first), maximumBytes: maximum
            ) { writer in
                writer.write("{\"sensorID\":")
                JSONString.write(name, to: &writer)
                writer.write(",\"value\":null,\"timestamp\":")
                format.write(WallTime(nanoseconds: gap.last &* 1_000_000), to: &writer)
                writer.write(",\"quality\":\"bad\",\"reason\":\"gap\",\"gap\":{\"count\":")
                writer.write(gap.count)
                writer.write(",\"first\":")
                format.write(WallTime(nanoseconds: gap.first &* 1_000_000), to: &writer)
                writer.write(",\"last\":")
                format.write(WallTime(nanoseconds: gap.last &* 1_000_000), to: &writer)
                writer.write("}}")
            }
        }
    }
}
