import Hardware
import Platform
import Records
import TestSupport
import Testing

@testable import Sensors

/// Real drivers on a bus where everything may happen to every transfer. Seeded, and on the test's clock.
@Suite struct BusFaultTests {
    private static let kinds: [SimulatedI2CFault] = [
        .noAcknowledge, .timeout, .arbitrationLost, .noise, .stuckLow, .garbledWrite,
    ]

    /// More than 100,000 transfers to a BME280 and a BMP280, of which one in `rate` goes wrong, while chips disappear,
    /// return, are reset and are exchanged for each other. Whatever is said to be good is the truth.
    @Test(arguments: [(7, 1_000), (40, 2_000), (400, 3_000)] as [(UInt64, UInt64)])
    func whatIsGoodIsTrue(_ rate: UInt64, _ seed: UInt64) {
        let bench = Bench()
        let bus = SimulatedI2CBus(name: "i2c-1")
        let queue = TimedQueue(bench.loop, bus)
        bus.latency = .microseconds(300)
        var random = SeededGenerator(seed: seed)
        bus.fault = { _ in
            guard random.next(upperBound: rate) == 0 else { return nil }
            return Self.kinds.randomElement(using: &random)
        }
        // Each chip has its own air and, as real ones do, its own trimming values.
        let airs = [
            SimulatedAir(temperature: 21.5, pressure: 101_325, humidity: 45),
            SimulatedAir(temperature: -12, pressure: 70_000, humidity: 80),
        ]
        var trimming = BoschTrimming()
        trimming.t2 += 900
        trimming.p1 -= 700
        let chips = [
            SimulatedBME280(time: bench.loop), SimulatedBMP280(trimming: trimming, time: bench.loop),
        ]
        for (index, chip) in chips.enumerated() { chip.air = airs[index] }
        let models: [Bosch280.Model] = [.bme280, .bmp280]
        for index in 0..<2 {
            let address = UInt8(0x76 + index)
            bus.attach(chips[index], at: address)
            let settings = Bosch280.Settings(model: models[index], address: address)
            let channels = ["t", "p", "h"].prefix(3 - index).map { ChannelPlan(Channel($0, unit: nil)) }
            bench.add(
                Bosch280(bus: bus, settings: settings), id: "s\(index)", every: .milliseconds(50),
                channels: Array(channels), on: queue, base: index * 3)
        }
        let truth = [21.5, 101_325, 45, -12, 70_000]
        // With one conversion the readings have 16 bits.
        let tolerance = [0.09, 3.5, 0.05, 0.09, 3.5]
        var good = 0
        var outages = 0
        var areSwapped = false
        bench.sampler.start()
        while bus.transfers < 110_000 {
            for _ in 0..<20 { bench.loop.advance(by: .milliseconds(Int64(random.next(upperBound: UInt64(900))))) }
            for sample in bench.samples {
                guard sample.quality == .good else {
                    outages += 1
                    continue
                }
                good += 1
                let series = sample.series.index
                let value = sample.value.number ?? .nan
                #expect(abs(value - truth[series]) <= tolerance[series], "series \(series)")
            }
            bench.clear()
            let index = Int(random.next(upperBound: UInt64(2)))
            let address = UInt8(0x76 + index)
            switch random.next(upperBound: UInt64(8)) {
            case 0: bus.detach(address)
            case 1:
                // They change places, without their power.
                for index in 0..<2 {
                    _ = chips[index].receive([0xE0, 0xB6])
                    bus.attach(chips[1 - index], at: UInt8(0x76 + index))
                }
                areSwapped = true
            case 2: _ = chips[index].receive([0xE0, 0xB6])
            case 3...5 where areSwapped:
                for index in 0..<2 {
                    _ = chips[index].receive([0xE0, 0xB6])
                    bus.attach(chips[index], at: UInt8(0x76 + index))
                }
                areSwapped = false
            default: if !areSwapped { bus.attach(chips[index], at: address) }
            }
        }
        #expect(good > 1_000 && outages > 20)
        // Nothing but the outages of two sensors was said, and not each of them.
        #expect(bench.recorder.lines.count < outages)
        bus.fault = nil
        for index in 0..<2 { bus.attach(chips[index], at: UInt8(0x76 + index)) }
        bench.loop.advance(by: .seconds(200))
        bench.clear()
        bench.loop.advance(by: .seconds(1))
        #expect(bench.good.count >= 5 * 19 && bench.bad.isEmpty)
    }
}

extension SimulatedI2CDevice {
    fileprivate func receive(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { receive($0) } }
}
