import Configuration
import Hardware
import Platform

/// How the drivers that read a GPIO line request it.
struct GPIOInput: Equatable {
    var line: LineReference
    var bias: Bias = .asIs
    var activeLow = false
    var edges: Edges
    var debounce: Interval = .zero

    func request(from gpio: any GPIO) throws(SensorError) -> any GPIOLine {
        let settings = LineSettings(
            direction: .input, bias: bias, activeLow: activeLow, edges: edges, debounce: debounce)
        do throws(GPIOError) { return try gpio.request(line, settings) } catch { throw .gpio(error) }
    }

    /// - Parameters:
    ///   - choices: the words for `edges` that the driver allows.
    ///   - edges: what they stand for; the first is the default.
    static func decode(_ reader: Reader, edges choices: [StaticString], _ edges: [Edges]) -> GPIOInput? {
        let line = LineReference.decode(reader)
        let bias = reader.choice("bias", ["as-is", "disabled", "pull-up", "pull-down"]) ?? 0
        let activeLow = reader.boolean("active_low") ?? false
        let edge = reader.choice("edges", choices) ?? 0
        let debounce = reader.interval("debounce", in: .zero ... .seconds(60)) ?? .zero
        guard let line else { return nil }
        let biases: [Bias] = [.asIs, .disabled, .pullUp, .pullDown]
        return GPIOInput(
            line: line, bias: biases[bias], activeLow: activeLow, edges: edges[edge], debounce: debounce)
    }
}

extension GPIOLine {
    func level() throws(SensorError) -> Bool {
        do throws(GPIOError) { return try read() } catch { throw .gpio(error) }
    }

    func edges(_ body: (EdgeEvent) -> Void) throws(SensorError) {
        do throws(GPIOError) { try takeEdges(body) } catch { throw .gpio(error) }
    }
}
