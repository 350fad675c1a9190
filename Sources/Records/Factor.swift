/// A factor between a raw number and a value, such as 0.001.
///
/// 0.001 is not a double, and its error shows: 30487 times the nearest one is 30.487000000000002. Divided by 1000, which is
/// a double, it is the double nearest to 30.487, which prints as that. So a factor that is one part of a whole number, or
/// a decimal of up to nine places, is kept as a fraction.
public struct Factor: Sendable {
    private var numerator: Double
    private var denominator = 1.0

    /// - Parameter factor: any finite number.
    public init(_ factor: Double) {
        numerator = factor
        let parts = (1 / factor).rounded()
        if 1 / parts == factor {
            numerator = 1
            denominator = parts
            return
        }
        var power = 1.0
        while numerator != numerator.rounded(), power < 1e9 {
            power *= 10
            let whole = (factor * power).rounded()
            if whole / power == factor {
                numerator = whole
                denominator = power
            }
        }
    }

    /// `number` times the factor.
    public func times(_ number: Double) -> Double { number * numerator / denominator }
}
