import Records

/// A filter whose output depends on the present value alone. Results are floating-point numbers, also of integers;
/// values that are not numeric pass unchanged.
class Transform: Filter {
    func transform(_ number: Double) -> Double { number }

    final override func apply(_ sample: inout Sample) -> Verdict {
        if let number = sample.numeric { sample.value = .number(transform(number)) }
        return .pass
    }

    final override func carry(_ sample: inout Sample) -> Bool { apply(&sample) == .pass }
}

/// `offset: -0.5`: adds a constant.
final class Offset: Transform {
    private let amount: Double
    init(_ amount: Double) { self.amount = amount }
    override func transform(_ number: Double) -> Double { number + amount }
}

/// `multiply: 0.2794`: multiplies by a constant.
final class Multiply: Transform {
    private let factor: Factor
    init(_ factor: Double) { self.factor = Factor(factor) }
    override func transform(_ number: Double) -> Double { factor.times(number) }
}

/// `round: 1`: so many decimals, halves away from zero.
final class Round: Transform {
    private let scale: Double

    /// - Parameter decimals: 0 to 9.
    init(decimals: Int) {
        var scale = 1.0
        for _ in 0..<decimals { scale *= 10 }
        self.scale = scale
    }

    override func transform(_ number: Double) -> Double {
        let scaled = number * scale
        // From 2^52 on there are no decimals left to round; an overflow would also end here.
        if scaled.magnitude >= 4_503_599_627_370_496 { return number }
        // Dividing, not multiplying by 10^-n, gives the double nearest to the decimal: it prints as short as meant.
        return scaled.rounded(.toNearestOrAwayFromZero) / scale
    }
}

/// `clamp: { min: 0, max: 100 }`: what is outside becomes the nearest bound.
final class Clamp: Transform {
    private let low: Double
    private let high: Double

    init(low: Double, high: Double) {
        self.low = low
        self.high = high
    }

    override func transform(_ number: Double) -> Double { min(max(number, low), high) }
}

/// `range: { min: -40, max: 85, outside: uncertain | drop }`: what cannot be.
///
/// By default a value outside is marked `uncertain` with the reason `out-of-range`, which is what OPC calls "engineering
/// units exceeded": nothing vanishes silently, and the consumer decides. With `drop` it goes no further, so that it does
/// not enter the windows of the filters behind.
final class Bounds: Filter {
    private let low: Double
    private let high: Double
    private let drops: Bool

    init(low: Double, high: Double, drops: Bool) {
        self.low = low
        self.high = high
        self.drops = drops
    }

    override func apply(_ sample: inout Sample) -> Verdict {
        guard let number = sample.numeric, number < low || number > high else { return .pass }
        if drops { return .drop }
        if !sample.isUncertain { sample.quality = .uncertain(reason: "out-of-range") }
        return .pass
    }

    override func carry(_ sample: inout Sample) -> Bool { apply(&sample) == .pass }
}
