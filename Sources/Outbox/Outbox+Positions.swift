import Platform
import Records

/// For a delivery that keeps its own account of positions, such as in Kafka transactions.
extension Outbox {
    /// Holds reading the backlog back, until `settle(through:of:)` has been called or this is set to `false`.
    public var isDrainHeld: Bool {
        get { disk?.isDrainHeld ?? false }
        set {
            disk?.isDrainHeld = newValue
            if !newValue { pumpDisk() }
        }
    }

    /// Every stored record up to and with `position` has been delivered: it is not offered any more, and deleted.
    /// To be called before the backlog is drained, when `storeIdentity` is known.
    /// - Parameter identity: of the file that the position was given for; with another's nothing is settled.
    /// - Returns: whether it was the identity of this file.
    @discardableResult
    public func settle(through position: Int64, of identity: String) -> Bool {
        guard let disk, disk.isKnown, sameBytes(identity, disk.identity), position > 0 else { return false }
        // The file may be older than the position, such as one that came back with an image of the card: what is stored
        // from here on must not be taken for delivered at the next start.
        let position = min(position, OutboxFile.highestPosition)
        disk.nextPosition = max(disk.nextPosition, position + 1)
        disk.backlog.remove(through: position)
        disk.deletions.insert(PositionRanges.Range(first: 1, last: position))
        backlog.settleWaiting { $0.pointee.position <= position }
        disk.areDeletionsDue = true
        pumpDisk()
        offerWaiting()
        return true
    }
}
