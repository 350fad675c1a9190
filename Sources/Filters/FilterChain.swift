import Records

/// What happens to a channel's samples between the sensor and the record: filters, in the order of the list.
///
/// - Bad samples (and NaN, infinities) pass unchanged, enter no window, and make the next good one pass every
///   `deadband`, `unique` and `throttle`.
/// - Numeric filters pass truth values and texts unchanged.
/// - Time is the samples' own: nothing here calls a clock, and no sample is made up.
///
/// The filters remember: a copy of a chain shares their memory, so each channel gets its own from `decode`.
public struct FilterChain {
    private let filters: [Filter]

    /// The chain that passes everything.
    public init() { filters = [] }

    init(_ filters: [Filter]) { self.filters = filters }

    public var isEmpty: Bool { filters.isEmpty }
    /// How many filters there are.
    public var count: Int { filters.count }

    /// Puts one sample through; `nil` when it is not to be sent.
    public func apply(_ sample: Sample) -> Sample? {
        if filters.isEmpty { return sample }
        if sample.isBad {
            for filter in filters {
                filter.sent(at: sample.taken)
                filter.interrupted()
            }
            return sample
        }
        var sample = sample
        // The filter that holds the sample back; it may still be released by a heartbeat behind it.
        var holder: Filter?
        for filter in filters {
            if let holding = holder {
                if !filter.carry(&sample) { return nil }
                if filter.releases(at: sample.taken) {
                    holding.released()
                    holder = nil
                }
            } else {
                switch filter.apply(&sample) {
                case .pass: break
                case .hold: holder = filter
                case .drop: return nil
                }
            }
        }
        if holder != nil { return nil }
        for filter in filters { filter.sent(at: sample.taken) }
        return sample
    }
}
