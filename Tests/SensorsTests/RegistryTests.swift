import Configuration
import Hardware
import Platform
import Records
import TestSupport
import Testing

@testable import Sensors

@Suite struct RegistryTests {
    private func decode(_ nodes: Node...) -> (plans: [SensorPlan], problems: [String]) {
        let diagnostics = Diagnostics(file: "kedge.yaml")
        let plans = Registry.sensors(
            nodes, TopicNames(node: "pi-01", layer: nil), diagnostics: diagnostics)
        return (plans, diagnostics.lines)
    }

    private func bosch(_ plan: SensorPlan?) -> FakeBus? {
        guard case .onBus(_, _, let make)? = plan?.make else { return nil }
        let bus = BoschVector.room.bus()
        let driver = make(bus)
        try? driver.prepare()
        _ = try? driver.trigger()
        return bus
    }

    @Test func theDesignsExamples() throws {
        let filters = mapping(["median": "5"])
        let (plans, problems) = decode(
            mapping([
                "id": "greenhouse", "driver": "bme280", "bus": "i2c-1", "address": "0x76", "every": "5s",
                "channels": mapping([
                    "temperature": mapping(["filters": [filters]]), "humidity": mapping(["enabled": "false"]),
                ]),
            ]),
            mapping([
                "id": "door", "driver": "gpio", "chip": "pinctrl-bcm2711", "line": "17", "edges": "both",
                "debounce": "20ms",
            ]),
            mapping(["id": "rain", "driver": "gpio-counter", "line": "22", "every": "60s", "scale": "0.2794"]),
            mapping([
                "id": "cpu", "driver": "sysfs", "path": "/sys/class/thermal/thermal_zone0/temp", "scale": "0.001",
                "every": "30s", "unit": "Cel",
            ]))
        #expect(problems == [])
        try #require(plans.count == 4)
        #expect(
            plans.map { $0.series.map { $0.sensorID } } == [
                ["greenhouse.temperature", "greenhouse.pressure", "greenhouse.humidity"], ["door"],
                ["rain.count", "rain.total"], ["cpu"],
            ])
        #expect(plans.map { $0.every } == [.seconds(5), nil, .seconds(60), .seconds(30)])
        #expect(plans[0].series.map { $0.unit } == ["Cel", "Pa", "%RH"])
        #expect(plans[0].channels.map { $0.isEnabled } == [true, true, false])
        #expect(plans[0].channels.map { $0.filters != nil } == [true, false, false])
        #expect(plans[0].claims == [.address(bus: "i2c-1", 0x76, Mark(line: 4, column: 9))])
        let line = LineReference(chip: "pinctrl-bcm2711", line: .offset(17))
        #expect(plans[1].claims == [.line(line, Mark(line: 4, column: 9))])
        guard case .onBus("i2c-1", Mark(line: 3, column: 9), _) = plans[0].make else {
            Issue.record("not on its bus")
            return
        }
        guard case .events(let make) = plans[1].make else {
            Issue.record("no event driver")
            return
        }
        let gpio = FakeGPIO()
        try make(gpio).start(on: Bench().loop) { _ in }
        #expect(
            gpio.requests == [LineSettings(direction: .input, edges: .both, debounce: .milliseconds(20))])
    }

    @Test func theBoschSettingsReachTheChip() {
        let (plans, problems) = decode(
            mapping([
                "id": "a", "driver": "bme280", "bus": "i2c-1", "iir_filter": "16",
                "oversampling": mapping(["temperature": "2", "pressure": "16", "humidity": "4"]),
            ]))
        #expect(problems == [])
        #expect(bosch(plans.first)?.written.map { $0.value } == [0xB6, 0xA0 | 4 << 2, 3, 2 << 5 | 5 << 2 | 1])
        #expect(plans.first?.every == .seconds(60))
        let plain = decode(mapping(["id": "a", "driver": "bme280", "bus": "i2c-1"]))
        #expect(bosch(plain.plans.first)?.written.map { $0.value } == [0xB6, 0xA0, 1, 1 << 5 | 1 << 2 | 1])
    }

    @Test func everyWaveformAndAReplay() throws {
        let (plans, problems) = decode(
            mapping(["id": "a", "driver": "sim", "value": "3"]),
            mapping([
                "id": "b", "driver": "sim", "waveform": "sine", "amplitude": "2", "period": "10s", "phase": "0.25",
            ]),
            mapping(["id": "c", "driver": "sim", "waveform": "step", "low": "1", "high": "2"]),
            mapping(["id": "d", "driver": "sim", "waveform": "random-walk", "min": "5", "max": "6", "seed": "9"]),
            mapping([
                "id": "e", "driver": "sim", "waveform": "counter", "error_rate": "0.5", "stall": "5s",
                "stall_rate": "0",
            ]),
            mapping(["id": "f", "driver": "sim", "waveform": "replay", "path": "/nonexistent", "key": "value"]))
        #expect(problems == [])
        try #require(plans.count == 6)
        var first: [Value] = []
        for plan in plans.prefix(4) {
            guard case .onLoop(let make) = plan.make else {
                Issue.record("not on the loop")
                return
            }
            try make().collect(into: &first)
        }
        #expect(first == [.number(3), .number(2), .number(1), .number(5)])
        guard case .onFiles(let make) = plans[5].make else {
            Issue.record("a replay reads a file")
            return
        }
        #expect(throws: SensorError.self) { try make().collect(into: &first) }
    }

    @Test func mistakesAreNamedWithTheirPlace() {
        func expect(_ node: Node, _ place: String, _ parts: String..., location: SourceLocation = #_sourceLocation) {
            let problems = decode(node).problems
            #expect(problems.count == 1, "\(problems)", sourceLocation: location)
            for part in [place] + parts {
                #expect(problems.first?.contains(part) == true, "\(part): \(problems)", sourceLocation: location)
            }
        }
        expect(mapping(["driver": "sim"]), "kedge.yaml:1:1:", "id")
        expect(mapping(["id": "a"]), "kedge.yaml:1:1:", "driver")
        expect(mapping(["id": "a", "driver": "bme820", "bus": "x"]), "kedge.yaml:2:9:", "bme280")
        expect(mapping(["id": "a", "driver": "sim", "amplitude": "2"]), "kedge.yaml:3:1:", "amplitude")
        expect(mapping(["id": "a", "driver": "bme280"]), "kedge.yaml:1:1:", "bus")
        expect(mapping(["id": "a", "driver": "bme280", "bus": "b", "address": "0x40"]), "kedge.yaml:4:9:", "0x40")
        expect(mapping(["id": "a", "driver": "sim", "every": "25h"]), "kedge.yaml:3:9:", "every")
        expect(mapping(["id": "a", "driver": "gpio", "line": "4", "edges": "none"]), "kedge.yaml:4:9:", "every")
        expect(mapping(["id": "a", "driver": "gpio", "line": "4", "edges": "none", "every": "5"]), "kedge.yaml:5:9:")
        expect(mapping(["id": "a", "driver": "gpio"]), "kedge.yaml:1:1:", "line")
        expect(mapping(["id": "a", "driver": "sysfs"]), "kedge.yaml:1:1:", "path")
        expect(
            mapping(["id": "a", "driver": "sim", "waveform": "replay", "path": "x"]), "kedge.yaml:1:1:", "column", "key"
        )
        expect(
            mapping(["id": "a", "driver": "sim", "waveform": "replay", "path": "x", "column": "0"]), "kedge.yaml:5:9:")
        expect(
            mapping(["id": "a", "driver": "sim", "waveform": "random-walk", "min": "2", "max": "1"]),
            "min <= start <= max")
        expect(
            mapping([
                "id": "a", "driver": "bmp280", "bus": "b",
                "channels": mapping(["humidity": mapping(["enabled": "true"], line: 7)], line: 6),
            ]), "kedge.yaml:6:1:", "humidity", "temperature, pressure")
        expect(mapping(["id": "a", "driver": "sim", "channels": mapping(["x": mapping([:])])]), "kedge.yaml:")
        expect(mapping(["id": "", "driver": "sim"]), "kedge.yaml:1:9:")
    }

    @Test func namesOfRecordsAreTakenOnce() {
        let twice = decode(mapping(["id": "a", "driver": "sim"]), mapping(["id": "a", "driver": "sim"], line: 5))
        #expect(twice.problems.count == 1)
        #expect(twice.problems.first?.hasPrefix("kedge.yaml:5:9:") == true)
        let channel = decode(
            mapping(["id": "r", "driver": "gpio-counter", "line": "1"]),
            mapping(["id": "r.total", "driver": "sim"], line: 5))
        #expect(channel.problems.count == 1)
        #expect(channel.problems.first?.contains("\"r.total\" is taken by the sensor at line 1") == true)
    }

    @Test func everyDriverIsNamedOnce() {
        let names = Registry.drivers.map { "\($0.name)" }
        #expect(names == names.sorted())
        #expect(Set(names).count == names.count)
    }
}
