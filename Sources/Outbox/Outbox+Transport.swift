import Platform
import Records

/// For a transport that is renewed behind its name.
extension Outbox {
    /// What had the records is there no more, and what took its place knows nothing of them: everything that was handed over
    /// and not reported on is to be offered again, in order. Reports that come for it all the same are strays.
    /// To be called before the new one is offered anything.
    /// - Parameters:
    ///   - doubtful: reports for these will come.
    ///   - isInUse: whether payloads may be read still: where they are, they stay for good.
    public func offerAgain(except doubtful: [DeliveryToken], isInUse: Bool) {
        let doubtful = Set(doubtful)
        var count = 0
        for index in 0..<table.capacity where table.slabs[index].handedOver > 0 {
            let found = offerAgain(slab: index, except: doubtful)
            count += found
            if found == 0 || !isInUse { continue }
            if table.left < table.capacity {
                table.leaveMemory(of: index)
            } else {
                // All that may be left is; from here on it is the lane's own memory.
                table.slabs[index].pins += 1
            }
        }
        if count == 0 { return }
        log.warning(joined("outbox: ", decimal(count), " records were not reported on and are sent again"))
        guard isInUse else { return }
        // A slab that is pinned must outlive this outbox, too.
        _ = Unmanaged.passRetained(table)
        log.warning(joined("outbox: ", decimal(table.left * table.slabSize / 1_000), " kB of memory are lost by that"))
    }

    private func offerAgain(slab index: Int, except doubtful: Set<DeliveryToken>) -> Int {
        guard let memory = table.slabs[index].memory else { return 0 }
        let queue = queue(table.slabs[index].lane)
        var count = 0
        for record in 0..<table.slabs[index].records {
            let entry = table.entry(record, in: memory)
            if entry.pointee.state != .handedOver { continue }
            if doubtful.contains(DeliveryToken(slab: index, record: record, nonce: entry.pointee.nonce)) { continue }
            queue.counters.retried += 1
            queue.markWaiting(RecordPosition(slab: index, record: record), entry)
            count += 1
        }
        return count
    }
}
