import Platform

extension EventLoop {
    /// Turns the loop until `condition` holds or `limit` has passed.
    /// - Returns: whether it came to hold.
    public func turn(until condition: () -> Bool, within limit: Interval = .seconds(20)) throws -> Bool {
        let end = time.now + limit
        while !condition() {
            let left = end - time.now
            if left <= .zero { return false }
            try turn(atMost: min(left, .milliseconds(100)))
        }
        return true
    }
}
