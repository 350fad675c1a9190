import Records

/// Samples that wait for the wall clock, in their order: a ring of fixed size, whose memory comes with the first and goes
/// with the last.
final class WaitingSamples {
    private(set) var count = 0
    private let capacity: Int
    private let maxMemory: Int
    private var memory: UnsafeMutablePointer<Sample>?
    private var start = 0
    /// Bytes of the samples' texts, which lie elsewhere.
    private var textBytes = 0

    /// - Parameter maxMemory: in bytes.
    init(maxMemory: Int) {
        self.maxMemory = maxMemory
        capacity = max(1, maxMemory / MemoryLayout<Sample>.stride)
    }

    deinit { while take() != nil {} }

    var isEmpty: Bool { count == 0 }

    /// Whether one more may wait. One may, whatever its size.
    func fits(_ sample: Sample) -> Bool {
        if count == 0 { return true }
        if count == capacity { return false }
        return (count + 1) * MemoryLayout<Sample>.stride + textBytes + Self.text(of: sample) <= maxMemory
    }

    /// Puts one at the end. `fits` must hold.
    func append(_ sample: Sample) {
        let memory = self.memory ?? UnsafeMutablePointer<Sample>.allocate(capacity: capacity)
        self.memory = memory
        (memory + (start + count) % capacity).initialize(to: sample)
        count += 1
        textBytes += Self.text(of: sample)
    }

    /// The oldest.
    var first: Sample? { count > 0 ? memory.map { $0[start] } : nil }

    /// Takes the oldest.
    func take() -> Sample? {
        guard count > 0, let memory else { return nil }
        let sample = (memory + start).move()
        start = (start + 1) % capacity
        count -= 1
        textBytes -= Self.text(of: sample)
        if count == 0 {
            memory.deallocate()
            self.memory = nil
            start = 0
        }
        return sample
    }

    private static func text(of sample: Sample) -> Int {
        var bytes = 0
        if case .text(let text) = sample.value { bytes += text.utf8.count }
        switch sample.quality {
        case .good: break
        case .uncertain(let reason), .bad(let reason): bytes += reason.utf8.count
        }
        return bytes
    }
}
