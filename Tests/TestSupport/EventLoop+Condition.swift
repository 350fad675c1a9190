import Platform

extension EventLoop {
    /// Turns the loop until `condition` holds, or for no longer than `limit` of real time.
    /// - Returns: whether it holds.
    public func wait(for limit: Interval = .seconds(60), until condition: () -> Bool) throws(SystemError) -> Bool {
        let deadline = time.now + limit
        while !condition() {
            let left = deadline - time.now
            if left <= .zero { return false }
            try turn(atMost: min(left, .milliseconds(20)))
        }
        return true
    }

    /// Turns the loop for `interval` of real time, for what must not happen.
    public func turn(for interval: Interval) throws(SystemError) {
        _ = try wait(for: interval) { false }
    }
}
