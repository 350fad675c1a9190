import Platform

/// What was lost for want of room, and what the log knows of it: one line when it begins, none for each record, and one
/// when there is room again. Something that is at its bound for hours would fill the log otherwise.
final class LossNotice {
    /// Whether what came last found no room, and there has not been any since.
    private(set) var isLosing = false
    /// Records lost since the line that said so.
    private var count: UInt64 = 0
    /// Whether the last line is that records are lost.
    private var isSaid = false
    /// Runs while it is too early for the line that there is room.
    private var timer: TimerID?

    /// From the first line to the second, at least.
    static var pause: Interval { .seconds(60) }

    /// Something is lost.
    /// - Parameters:
    ///   - begin: says so, where it is not said yet.
    ///   - end: says, later, that there is room again, with the number of records lost.
    func lose(_ lost: Int, _ loop: any Loop, begin: () -> Void, end: @escaping (UInt64) -> Void) {
        isLosing = true
        count += UInt64(lost)
        if isSaid { return }
        isSaid = true
        timer = loop.after(Self.pause) { [unowned(unsafe) self] in
            timer = nil
            if !isLosing { say(end) }
        }
        begin()
    }

    /// There is room again; said at once, or when the time has come and there still is.
    func recover(_ end: (UInt64) -> Void) {
        if !isLosing { return }
        isLosing = false
        if timer == nil { say(end) }
    }

    func abandon(_ loop: any Loop) { if let timer { loop.cancel(timer) } }

    private func say(_ end: (UInt64) -> Void) {
        let lost = count
        isSaid = false
        count = 0
        end(lost)
    }
}

extension Outbox {
    func noteLost(_ count: Int, _ queue: LaneQueue) {
        let kilobytes = queue.limit * table.slabSize / 1_000
        queue.loss.lose(
            count, loop,
            begin: {
                if queue.lane == .reply {
                    log.warning("outbox: \(kilobytes) kB of replies wait: new ones are refused")
                } else {
                    let which = settings.whenFull == .dropNewest ? "newest" : "oldest"
                    log.warning("outbox: \(kilobytes) kB of records wait (max_memory): the \(which) are being dropped")
                }
            },
            end: { [unowned(unsafe) self] in sayRoom(queue, $0) })
    }

    /// A slab may have gone.
    func noteRoom(_ queue: LaneQueue) {
        if queue.loss.isLosing, queue.hasRoom { queue.loss.recover { sayRoom(queue, $0) } }
    }

    private func sayRoom(_ queue: LaneQueue, _ lost: UInt64) {
        log.warning("outbox: room again; \(lost) \(queue.lane == .reply ? "replies" : "records") were dropped")
    }

    func noteDiskFull(_ count: Int, _ disk: Disk) {
        disk.loss.lose(
            count, loop,
            begin: {
                let policy: StaticString
                switch settings.whenFull {
                case .dropOldest: policy = "the oldest are being dropped"
                case .dropNewest: policy = "new ones stay in memory as long as that has room"
                case .thin: policy = "of each sensor's one in four is kept"
                }
                log.warning(
                    joined(
                        "outbox: ", decimal(settings.maxSize / 1_000_000), " MB of records wait on the disk ",
                        "(max_size): ", String(policy)))
            },
            end: { [unowned(unsafe) self] in sayDiskRoom($0) })
    }

    func noteDiskRoom(_ disk: Disk) {
        if disk.loss.isLosing, disk.usedBytes < settings.maxSize / 4 * 3 { disk.loss.recover { sayDiskRoom($0) } }
    }

    private func sayDiskRoom(_ lost: UInt64) {
        log.warning("outbox: room on the disk again; \(lost) records were dropped there")
    }
}
