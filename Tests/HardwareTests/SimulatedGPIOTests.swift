import CShim
import Hardware
import Platform
import TestSupport
import Testing

@Suite struct SimulatedGPIOTests {
    private let loop = ManualLoop()
    private let gpio: SimulatedGPIO
    private let button = LineReference(chip: "pinctrl-bcm2711", line: .offset(17))
    private let pump = LineReference(chip: nil, line: .name("GPIO27"))

    init() { gpio = SimulatedHardware(loop: loop).simulatedGPIO }

    /// Collects the edges of a line as the agent does: through the loop.
    private final class Collector {
        var edges: [EdgeEvent] = []
        var failure: GPIOError?
        let line: any GPIOLine

        init(_ line: any GPIOLine, on loop: ManualLoop) throws {
            self.line = line
            let descriptor = try #require(line.eventDescriptor)
            try loop.watch(descriptor) { [unowned self] in
                do throws(GPIOError) {
                    try line.takeEdges { self.edges.append($0) }
                } catch {
                    self.failure = error
                    loop.unwatch(descriptor)
                }
            }
        }
    }

    /// One line, whatever it is called.
    @Test(arguments: [
        LineReference(chip: nil, line: .offset(17)), LineReference(chip: "gpiochip0", line: .offset(17)),
        LineReference(chip: "/dev/gpiochip0", line: .name("GPIO17")),
        LineReference(chip: "pinctrl-bcm2711", line: .name("GPIO17")), LineReference(chip: nil, line: .name("GPIO17")),
    ])
    func whereALineIsAndWhoHasIt(_ reference: LineReference) throws {
        gpio.addChip(name: "gpiochip1", label: "far", lines: ["GPIO17"])
        #expect(try gpio.inspect(reference) == LineInfo(chip: "gpiochip0", offset: 17))
        try gpio.occupy(button, by: "spi0 CS0")
        #expect(try gpio.inspect(reference) == LineInfo(chip: "gpiochip0", offset: 17, consumer: "spi0 CS0"))
        let far = LineReference(chip: "far", line: .name("GPIO17"))
        #expect(try gpio.inspect(far) == LineInfo(chip: "gpiochip1", offset: 0))
    }

    private func cause(
        _ line: LineReference, _ settings: LineSettings = LineSettings(direction: .input)
    ) -> GPIOError.Cause? {
        failure(GPIOError.self) { () throws(GPIOError) in _ = try gpio.request(line, settings) }?.cause
    }

    // MARK: Finding lines

    @Test(arguments: ["gpiochip0", "pinctrl-bcm2711", "/dev/gpiochip0", nil])
    func aLineIsFoundByChipAndOffsetOrName(_ chip: String?) throws {
        let line = try gpio.request(LineReference(chip: chip, line: .name("GPIO17")), LineSettings(direction: .input))
        try gpio.set(LineReference(chip: chip, line: .offset(17)), active: true)
        #expect(try line.read())
    }

    @Test func whatIsNotThereIsNamed() {
        #expect(cause(LineReference(chip: "gpiochip9", line: .offset(0))) == .noSuchChip)
        #expect(cause(LineReference(chip: "gpiochip0", line: .offset(58))) == .noSuchLine)
        #expect(cause(LineReference(chip: nil, line: .name("GPIO99"))) == .noSuchLine)
        let contradiction = LineSettings(direction: .output(active: true), edges: .rising)
        #expect(cause(button, contradiction) == .unsupported("edge detection on an output"))
    }

    @Test func anErrorSaysWhichLine() {
        let error = GPIOError(line: button, cause: .busy(consumer: "spi0 CS0"))
        #expect(error.description == "GPIO pinctrl-bcm2711 17: in use by \"spi0 CS0\"")
        let anywhere = GPIOError(line: pump, cause: .noSuchLine)
        #expect(anywhere.description == "GPIO GPIO27: no such line (kedge scan lists them)")
        let first = GPIOError(line: LineReference(chip: nil, line: .offset(4)), cause: .permission)
        #expect(first.description == "GPIO gpiochip0 4: permission denied; the user must be in the group gpio")
    }

    @Test func aNameIsFoundOnAnyChip() throws {
        gpio.addChip(name: "gpiochip1", label: "expander", lines: ["", "relay"])
        let relay = try gpio.request(
            LineReference(chip: nil, line: .name("relay")), LineSettings(direction: .output(active: true)))
        #expect(try relay.read())
        #expect(try gpio.level(LineReference(chip: "expander", line: .offset(1))))
    }

    @Test func aLineHasOneHolder() throws {
        var line: (any GPIOLine)? = try gpio.request(button, LineSettings(direction: .input))
        #expect(cause(button) == .busy(consumer: "kedge"))
        #expect(cause(pump) == nil)
        _ = try line?.read()
        line = nil
        #expect(cause(button) == nil)
        try gpio.occupy(button, by: "spi0 CS0")
        #expect(cause(button) == .busy(consumer: "spi0 CS0"))
        try gpio.occupy(button, by: nil)
        #expect(cause(button) == nil)
    }

    // MARK: Levels

    @Test func aFloatingInputFollowsItsBias() throws {
        for (bias, level) in [(Bias.pullUp, true), (.pullDown, false), (.disabled, false), (.asIs, false)] {
            let line = try gpio.request(button, LineSettings(direction: .input, bias: bias))
            #expect(try line.read() == level)
            try gpio.drive(button, high: !level)
            #expect(try line.read() == !level)
            try gpio.drive(button, high: nil)
            #expect(try line.read() == level)
        }
    }

    @Test func activeLowTurnsEverythingRound() throws {
        let line = try gpio.request(
            button, LineSettings(direction: .input, bias: .pullUp, activeLow: true, edges: .both))
        #expect(try !line.read())
        try gpio.set(button, active: true)
        #expect(try !gpio.level(button))
        #expect(try line.read())
        var edges: [Bool] = []
        try line.takeEdges { edges.append($0.active) }
        #expect(edges == [true])

        let output = try gpio.request(pump, LineSettings(direction: .output(active: false), activeLow: true))
        #expect(try gpio.level(pump))
        try output.write(true)
        #expect(try !gpio.level(pump))
        #expect(try output.read())
    }

    @Test func anOutputHasItsLevelFromTheRequestOn() throws {
        let start = loop.now
        var line: (any GPIOLine)? = try gpio.request(
            pump, LineSettings(direction: .output(active: true), activeLow: true))
        loop.advance(by: .seconds(1))
        try line?.write(false)
        line = nil
        #expect(
            try gpio.history(pump) == [
                SimulatedLevel(high: false, timestamp: start),
                SimulatedLevel(high: true, timestamp: start + .seconds(1)),
                SimulatedLevel(high: nil, timestamp: start + .seconds(1)),
            ])
    }

    @Test func theReadBackShowsAShortCircuit() throws {
        let line = try gpio.request(pump, LineSettings(direction: .output(active: true)))
        try gpio.drive(pump, high: false)
        #expect(try !line.read())
        try gpio.drive(pump, high: nil)
        #expect(try line.read())
    }

    @Test func anInputCannotBeDriven() throws {
        let line = try gpio.request(button, LineSettings(direction: .input))
        let error = failure(GPIOError.self) { () throws(GPIOError) in try line.write(true) }
        #expect(error?.cause == .unsupported("driving an input"))
    }

    // MARK: Edges

    @Test func edgesComeInOrderWithTheirTimes() throws {
        let collector = try Collector(gpio.request(button, LineSettings(direction: .input, edges: .both)), on: loop)
        let start = loop.now
        try gpio.set(button, active: true)
        loop.advance(by: .milliseconds(3))
        try gpio.set(button, active: true)  // no change, no edge
        try gpio.set(button, active: false)
        try gpio.set(button, active: true)
        loop.poll()
        #expect(
            collector.edges == [
                EdgeEvent(active: true, timestamp: start),
                EdgeEvent(active: false, timestamp: start + .milliseconds(3)),
                EdgeEvent(active: true, timestamp: start + .milliseconds(3)),
            ])
        #expect(collector.line.lostEdges == 0)
        #expect(!isReadable(try #require(collector.line.eventDescriptor)))
    }

    @Test(arguments: [(Edges.rising, [true, true]), (.falling, [false, false]), (.both, [true, false, true, false])])
    func onlyTheEdgesAskedForCome(_ edges: Edges, _ expected: [Bool]) throws {
        let line = try gpio.request(button, LineSettings(direction: .input, edges: edges))
        for _ in 0..<2 {
            try gpio.set(button, active: true)
            try gpio.set(button, active: false)
        }
        var taken: [Bool] = []
        try line.takeEdges { taken.append($0.active) }
        #expect(taken == expected)
    }

    @Test func aLineWithoutEdgesHasNone() throws {
        let line = try gpio.request(button, LineSettings(direction: .input))
        #expect(line.eventDescriptor == nil)
        try gpio.set(button, active: true)
        try line.takeEdges { _ in Issue.record("an edge nobody asked for") }
    }

    @Test func aFullQueueLosesItsOldestAndCounts() throws {
        let line = try gpio.request(button, LineSettings(direction: .input, edges: .both))
        let start = loop.now
        for index in 1...21 {
            loop.advance(by: .milliseconds(1))
            try gpio.set(button, active: !index.isMultiple(of: 2))
        }
        var taken: [EdgeEvent] = []
        try line.takeEdges { taken.append($0) }
        #expect(taken.count == 16)
        #expect(taken.first == EdgeEvent(active: false, timestamp: start + .milliseconds(6)))
        #expect(taken.last == EdgeEvent(active: true, timestamp: start + .milliseconds(21)))
        #expect(line.lostEdges == 5)
    }

    @Test func bouncesAreSettledByTheLoop() throws {
        let settings = LineSettings(direction: .input, edges: .both, debounce: .milliseconds(20))
        let collector = try Collector(gpio.request(button, settings), on: loop)
        let start = loop.now
        for _ in 0..<5 {
            try gpio.set(button, active: true)
            loop.advance(by: .milliseconds(2))
            try gpio.set(button, active: false)
            loop.advance(by: .milliseconds(2))
        }
        try gpio.set(button, active: true)
        #expect(try !collector.line.read())
        loop.advance(by: .milliseconds(19))
        #expect(collector.edges.isEmpty)
        loop.advance(by: .milliseconds(1))
        #expect(collector.edges == [EdgeEvent(active: true, timestamp: start + .milliseconds(40))])
        #expect(try collector.line.read())
        // A dropout that is shorter than the wait leaves no trace.
        try gpio.set(button, active: false)
        loop.advance(by: .milliseconds(19))
        try gpio.set(button, active: true)
        loop.advance(by: .seconds(1))
        #expect(collector.edges.count == 1)
    }

    @Test func aDebouncedLineMayGoWhileItWaits() throws {
        var line: (any GPIOLine)? = try gpio.request(
            button, LineSettings(direction: .input, edges: .both, debounce: .milliseconds(20)))
        try gpio.set(button, active: true)
        _ = line
        line = nil
        loop.advance(by: .seconds(1))
        #expect(cause(button) == nil)
    }

    // MARK: A chip that is pulled out

    @Test func aRemovedChipFailsItsLinesAndMayReturn() throws {
        let collector = try Collector(gpio.request(button, LineSettings(direction: .input, edges: .both)), on: loop)
        var output: (any GPIOLine)? = try gpio.request(pump, LineSettings(direction: .output(active: true)))
        gpio.removeChip("gpiochip0")
        loop.poll()
        let gone = GPIOError.Cause.system(SystemError(call: "ioctl", code: ENODEV, subject: button.description))
        #expect(collector.failure?.cause == gone)
        #expect(failure(GPIOError.self) { () throws(GPIOError) in _ = try collector.line.read() }?.cause == gone)
        #expect(throws: GPIOError.self) { try output?.write(false) }
        #expect(cause(button) == .noSuchChip)

        gpio.returnChip("gpiochip0")
        #expect(throws: GPIOError.self) { try output?.read() }
        let again = try gpio.request(pump, LineSettings(direction: .output(active: false)))
        #expect(try !again.read())
        // The dead line goes without touching the one that took its place.
        output = nil
        #expect(try gpio.history(pump).last?.high == false)
        #expect(cause(pump) == .busy(consumer: "kedge"))
        try again.write(true)
        #expect(try gpio.level(pump))
    }
}
