import Configuration
import Platform

// name          | parameter                                   | range
// offset        | amount                                      | any number
// multiply      | factor                                      | any number
// round         | decimals                                    | 0 to 9
// clamp         | { min, max }, at least one                  | min <= max
// range         | { min, max, outside: uncertain | drop }     | min <= max
// median, average, min, max | values in the window            | 1 to 1,000
// exponential   | alpha, the new value's weight               | 0.000001 to 1
// throttle      | interval                                    | 1 ms to 366 days
// deadband, delta | amount, or a percentage of the last value | above 0
// unique        | true, or the bare word                      |
// heartbeat     | interval; behind a filter that holds back   | 1 ms to 366 days

extension FilterChain {
    /// More filters than anyone needs: memory is bounded by 32 windows of 1,000 values a channel.
    private static var mostFilters: Int { 32 }

    /// Reads `filters:`, a list of mappings of one filter each, such as `[ { median: 5 }, { deadband: 0.1 } ]`.
    /// What is wrong is reported and left out.
    /// - Parameter path: such as `sensors[0].channels.temperature.filters`.
    public static func decode(node: Node, path: String, diagnostics: Diagnostics) -> FilterChain {
        let nodes: [Node]
        if case .sequence(let elements, _) = node { nodes = elements } else { nodes = [node] }
        if nodes.count > mostFilters {
            diagnostics.report(node.mark, "\(path): \(nodes.count) filters", expected: "at most \(mostFilters)")
            return FilterChain()
        }
        var decoder = FilterDecoder(diagnostics: diagnostics)
        for (index, element) in nodes.enumerated() { decoder.decode(element, path: "\(path)[\(index)]") }
        return FilterChain(decoder.filters)
    }
}

/// Reads one filter after the other; a heartbeat depends on those before it.
private struct FilterDecoder {
    let diagnostics: Diagnostics
    var filters: [Filter] = []
    /// Whether a filter so far can hold samples back.
    private var canHold = false

    init(diagnostics: Diagnostics) { self.diagnostics = diagnostics }

    mutating func decode(_ node: Node, path: String) {
        if case .scalar(let scalar) = node, scalar.text.isEqual(to: "unique") {
            append(Unique(), holds: true)
            return
        }
        let problems = diagnostics.problems.count
        let before = filters.count
        let reader = Reader(node, path: path, diagnostics: diagnostics)
        arithmetic(reader)
        windows(reader)
        gates(reader)
        reader.finish()
        // What is wrong here may have been meant to hold back.
        if filters.count == before { canHold = true }
        // A mapping with several filters has no order in YAML.
        if filters.count - before > 1 {
            diagnostics.report(
                node.mark, "\(path): several filters in one mapping", expected: "a list with one filter in each element"
            )
        } else if filters.count == before, problems == diagnostics.problems.count, !reader.isBroken {
            diagnostics.report(node.mark, "\(path): no filter", expected: "a filter such as { median: 5 }")
        }
    }

    private mutating func append(_ filter: Filter, holds: Bool = false) {
        filters.append(filter)
        if holds { canHold = true }
    }

    private mutating func arithmetic(_ reader: Reader) {
        let any = -Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude
        if let amount = reader.number("offset", in: any) { append(Offset(amount)) }
        if let factor = reader.number("multiply", in: any) { append(Multiply(factor)) }
        if let decimals = reader.integer("round", in: 0...9) { append(Round(decimals: Int(decimals))) }
        if let bounds = reader.mapping("clamp") {
            if let (low, high) = limits(bounds) { append(Clamp(low: low, high: high)) }
            bounds.finish()
        }
        if let bounds = reader.mapping("range") {
            let drops = bounds.choice("outside", ["uncertain", "drop"]) == 1
            if let (low, high) = limits(bounds) { append(Bounds(low: low, high: high, drops: drops)) }
            bounds.finish()
        }
    }

    /// `min` and `max`, of which one may be absent.
    private func limits(_ reader: Reader) -> (low: Double, high: Double)? {
        let any = -Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude
        let problems = diagnostics.problems.count
        let low = reader.number("min", in: any)
        let high = reader.number("max", in: any)
        if low == nil, high == nil {
            if problems == diagnostics.problems.count, !reader.isBroken {
                diagnostics.report(reader.mark, "\(reader.path): no bound", expected: "min, max or both")
            }
            return nil
        }
        let bounds = (low: low ?? -Double.infinity, high: high ?? Double.infinity)
        if bounds.low > bounds.high {
            diagnostics.report(reader.mark, "\(reader.path): min is above max", expected: "min to be at most max")
            return nil
        }
        return bounds
    }

    private mutating func windows(_ reader: Reader) {
        let sizes: ClosedRange<Int64> = 1...1_000
        if let size = reader.integer("median", in: sizes) { append(Median(size: Int(size))) }
        if let size = reader.integer("average", in: sizes) { append(Average(size: Int(size))) }
        if let size = reader.integer("min", in: sizes) { append(Minimum(size: Int(size))) }
        if let size = reader.integer("max", in: sizes) { append(Maximum(size: Int(size))) }
        if let alpha = reader.number("exponential", in: 0.000_001...1) { append(Exponential(alpha: alpha)) }
    }

    private mutating func gates(_ reader: Reader) {
        let intervals = Interval.milliseconds(1)...Interval.seconds(366 * 86_400)
        if let interval = reader.interval("throttle", in: intervals) {
            append(Throttle(interval: interval), holds: true)
        }
        deadband("deadband", reader)
        deadband("delta", reader)
        if reader.boolean("unique") == true { append(Unique(), holds: true) }
        if let interval = reader.interval("heartbeat", in: intervals) {
            if !canHold {
                diagnostics.report(
                    reader.mark(of: "heartbeat"), "\(reader.path): heartbeat has nothing to do here",
                    expected: "it behind the deadband, delta, unique or throttle that holds samples back")
            }
            append(Heartbeat(interval: interval))
        }
    }

    /// `0.1`, or `5%` of the last value sent.
    private mutating func deadband(_ key: StaticString, _ reader: Reader) {
        guard let node = reader.node(key) else { return }
        // Zero would hold nothing back; `unique` is what is then meant.
        let amounts = Double.leastNormalMagnitude...Double.greatestFiniteMagnitude
        guard case .scalar(let scalar) = node, scalar.text.utf8.last == UInt8(ascii: "%") else {
            if let band = reader.number(key, in: amounts) {
                append(Deadband(band: band, isRelative: false), holds: true)
            }
            return
        }
        let bare = Node.Scalar(
            text: String(decoding: scalar.text.utf8.dropLast(), as: UTF8.self), mark: scalar.mark, isQuoted: false,
            isSecret: scalar.isSecret)
        let name = Node.Scalar(
            text: String(key), mark: scalar.mark, isQuoted: false,
            isSecret: false)
        let percentage = Reader(
            .mapping([Node.Entry(key: name, value: .scalar(bare))], scalar.mark), path: reader.path,
            diagnostics: diagnostics)
        if let percent = percentage.number(key, in: 0.000_001...1_000) {
            append(Deadband(band: percent / 100, isRelative: true), holds: true)
        }
    }
}
