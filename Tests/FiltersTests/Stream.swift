import Platform
import Records

@testable import Filters

/// Puts values through a chain, a second apart unless said otherwise.
struct Stream {
    let chain: FilterChain
    var time = Instant(nanoseconds: 1_000_000_000_000)

    init(_ filters: Filter...) { chain = FilterChain(filters) }

    mutating func send(_ value: Value, _ quality: Quality = .good, after interval: Interval = .seconds(1)) -> Sample? {
        time = time + interval
        return chain.apply(Sample(series: SeriesID(0), value: value, quality: quality, taken: time))
    }

    /// What comes out, as numbers; `nil` for what does not.
    mutating func numbers(_ values: [Double]) -> [Double?] { values.map { send(.number($0))?.value.number } }
}
