import Platform
import Records

/// One step of a channel's filter chain.
///
/// A filter sees good and uncertain samples only; bad ones, and numbers that are none (NaN, infinities), go round it
/// unchanged and are announced by `interrupted`.
class Filter {
    enum Verdict: Equatable {
        /// Goes on to the next filter.
        case pass
        /// Nothing new in it: only a heartbeat further on may still send it.
        case hold
        /// Not to be sent, whatever follows.
        case drop
    }

    init() {}

    func apply(_ sample: inout Sample) -> Verdict { .pass }

    /// Does to a sample that a filter before it holds what `apply` would, without taking it in: it may be sent all the same.
    /// - Returns: `false` to drop it.
    func carry(_ sample: inout Sample) -> Bool { true }

    /// Whether a sample held so far, taken at `instant`, is to be sent nevertheless.
    func releases(at instant: Instant) -> Bool { false }

    /// The sample that this filter held last goes on after all.
    func released() {}

    /// The sample that `apply` or `carry` saw last was sent, or a bad one, which `interrupted` then tells.
    func sent(at instant: Instant) {}

    /// A bad sample went past: the series' state changed, so the next good one is news.
    func interrupted() {}
}

extension Sample {
    /// The value if numeric filters apply to it: truth values and texts are no numbers here, nor is what an
    /// arithmetic filter has made infinite.
    var numeric: Double? {
        switch value {
        case .number(let number): number.isFinite ? number : nil
        case .integer(let integer): Double(integer)
        case .boolean, .text: nil
        }
    }

    /// Whether filters are to leave it alone.
    var isBad: Bool {
        if case .bad = quality { return true }
        if case .number(let number) = value { return !number.isFinite }
        return false
    }

    var isUncertain: Bool {
        if case .uncertain = quality { return true }
        return false
    }
}
