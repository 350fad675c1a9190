import Foundation
import Records
import Testing

@Suite struct FactorTests {
    /// Against decimal arithmetic: what comes out is the double nearest to the decimal, which prints as short as that.
    @Test(arguments: ["0.001", "0.01", "0.1", "0.0625", "0.02", "0.2794", "1.8", "-0.005", "0.000001", "3", "1.02"])
    func integersBecomeTheDecimalThatIsMeant(_ written: String) throws {
        let factor = Factor(try #require(Double(written)))
        let decimal = try #require(Decimal(string: written))
        for number in stride(from: -4_000, through: 90_000, by: 7) {
            let expected = (Decimal(number) * decimal).description
            #expect(factor.times(Double(number)) == Double(expected), "\(number) * \(written)")
        }
    }

    @Test func partsOfAnHour() {
        #expect(Factor(1.0 / 3_600).times(7_200) == 2)
        #expect(Factor(1.0 / 3).times(3) == 1)
    }

    @Test func anyOtherFactorMultiplies() {
        for factor in [0, 1, -1, 0.123456789012, Double.pi, 1e300, .leastNonzeroMagnitude, 1e12] {
            for number in [0, 1, -2.5, 1e9] { #expect(Factor(factor).times(number) == factor * number) }
        }
    }
}
