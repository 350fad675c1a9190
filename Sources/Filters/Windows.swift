import Records

/// The last values of a series, as many as the window holds; each sample gives an output from the first on.
/// Values that are not numeric pass unchanged and do not enter.
class WindowFilter: Filter {
    /// In the order of arrival from `next` on, once it is full.
    private(set) final var values: [Double] = []
    private let size: Int
    private var next = 0
    private var last: Double?

    /// - Parameter size: 1 to 1,000 values.
    init(size: Int) {
        self.size = size
        values.reserveCapacity(size)
    }

    /// What comes out; `values` holds at least one.
    func output() -> Double { 0 }
    /// `leaving` has been replaced by `entering`; `nil` while the window fills.
    func replaced(_ leaving: Double?, by entering: Double) {}

    final override func apply(_ sample: inout Sample) -> Verdict {
        guard let number = sample.numeric else { return .pass }
        if values.count < size {
            values.append(number)
            replaced(nil, by: number)
        } else {
            let leaving = values[next]
            values[next] = number
            next = next + 1 == size ? 0 : next + 1
            replaced(leaving, by: number)
        }
        let result = output()
        last = result
        sample.value = .number(result)
        return .pass
    }

    /// A held sample does not enter; the last output stands for it.
    final override func carry(_ sample: inout Sample) -> Bool {
        if sample.numeric != nil, let last { sample.value = .number(last) }
        return true
    }
}

/// `average: 10`: the mean of the window. Summed anew each time: a running sum drifts over the years.
final class Average: WindowFilter {
    override func output() -> Double {
        var mean = 0.0
        var count = 0.0
        // Welford's way: large values cannot overflow the sum.
        for value in values {
            count += 1
            mean += (value - mean) / count
        }
        return mean
    }
}

/// `min: 10`: the least of the window.
final class Minimum: WindowFilter {
    override func output() -> Double {
        var least = Double.infinity
        for value in values where value < least { least = value }
        return least
    }
}

/// `max: 10`: the greatest of the window.
final class Maximum: WindowFilter {
    override func output() -> Double {
        var greatest = -Double.infinity
        for value in values where value > greatest { greatest = value }
        return greatest
    }
}

/// `median: 5`: the middle of the window, or the mean of the two middle ones.
final class Median: WindowFilter {
    private var sorted: [Double] = []

    override init(size: Int) {
        super.init(size: size)
        sorted.reserveCapacity(size)
    }

    override func replaced(_ leaving: Double?, by entering: Double) {
        if let leaving { sorted.remove(at: position(of: leaving)) }
        sorted.insert(entering, at: position(of: entering))
    }

    override func output() -> Double {
        let middle = sorted.count / 2
        if sorted.count % 2 == 1 { return sorted[middle] }
        return sorted[middle - 1] + (sorted[middle] - sorted[middle - 1]) / 2
    }

    /// The first place whose value is not less.
    private func position(of value: Double) -> Int {
        var low = 0
        var high = sorted.count
        while low < high {
            let middle = (low + high) / 2
            if sorted[middle] < value { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// `exponential: 0.1`: an exponential moving average; alpha is the new value's weight.
final class Exponential: Filter {
    private let alpha: Double
    private var state: Double?

    /// - Parameter alpha: above 0, up to 1 (which changes nothing).
    init(alpha: Double) { self.alpha = alpha }

    override func apply(_ sample: inout Sample) -> Verdict {
        guard let number = sample.numeric else { return .pass }
        let result: Double
        if let state { result = alpha * number + (1 - alpha) * state } else { result = number }
        state = result
        sample.value = .number(result)
        return .pass
    }

    override func carry(_ sample: inout Sample) -> Bool {
        if sample.numeric != nil, let state { sample.value = .number(state) }
        return true
    }
}
