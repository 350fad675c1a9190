import CShim
import Hardware
import Platform
import Records
import TestSupport
import Testing

@testable import Sensors

/// What a bus with a bad device on it does to the others, and to the log; and how the buses' time is shared out.
@Suite struct BusResilienceTests {
    private let bench = Bench()
    private let bus = SimulatedI2CBus(name: "i2c-1")
    private let queue: TimedQueue

    init() {
        queue = TimedQueue(bench.loop, bus)
        bus.latency = .microseconds(300)
    }

    /// The device at `address` goes wrong in that way, the others are well.
    private func spoil(_ address: UInt8, _ fault: SimulatedI2CFault?) {
        bus.fault = { $0 == address ? fault : nil }
    }

    private func add(_ address: UInt8, every: Interval = .seconds(1), conversion: Interval = .zero) -> RegisterDriver {
        bus.attach(registerDevice(), at: address)
        let driver = RegisterDriver(bus, address, conversion: conversion)
        bench.add(driver, id: "s\(address)", every: every, on: queue, base: Int(address))
        return driver
    }

    private func samples(_ address: UInt8) -> [Sample] { bench.samples.filter { $0.series.index == Int(address) } }

    private static let faults: [SimulatedI2CFault] = [
        .noAcknowledge, .timeout, .arbitrationLost, .garbage, .noise, .stuckLow,
    ]

    @Test(arguments: faults)
    func aBadDeviceIsReportedOnceEachWayAndTheOthersGoOn(_ fault: SimulatedI2CFault) {
        let bad = add(0x40)
        for address: UInt8 in 0x41..<0x49 { _ = add(address) }
        bench.sampler.start()
        bench.loop.advance(by: .milliseconds(10_500))
        #expect(bench.bad.isEmpty && bad.prepared == 1)
        bench.clear()
        spoil(0x40, fault)
        bench.loop.advance(by: .seconds(300))
        // One sample marked bad, one line.
        #expect(samples(0x40).filter { $0.quality != .good }.count == 1)
        #expect(bench.bad.count == 1)
        #expect(bench.recorder.lines.count == 1)
        #expect(bench.recorder.lines[0].hasPrefix("warning: sensor s64: "))
        // The others have not missed a slot.
        for address: UInt8 in 0x41..<0x49 { #expect(samples(address).count == 300) }
        let failures = bench.sampler.status(0).failures
        // 1, 2, 4 … 32, 60, 60 … seconds: not each second, and not never.
        #expect((8...13).contains(failures))
        bench.clear()
        spoil(0x40, nil)
        bench.loop.advance(by: .seconds(90))
        #expect(samples(0x40).count > 10)
        #expect(bench.bad.isEmpty)
        #expect(bench.recorder.lines.count == 2)
        #expect(bench.recorder.lines.last == "info: sensor s64: works again after \(failures) failures")
        // Set up anew at each attempt.
        #expect(bad.prepared == 1 + Int(failures))
    }

    /// However it fails, an attempt costs the others one transfer and no more.
    @Test(arguments: faults)
    func aBadDeviceDelaysTheOthersByOneTransfer(_ fault: SimulatedI2CFault) {
        _ = add(0x40, every: .milliseconds(100))
        let good = add(0x41, every: .milliseconds(100))
        bench.sampler.start()
        bench.loop.advance(by: .seconds(2))
        bench.clear()
        spoil(0x40, fault)
        bench.loop.advance(by: .seconds(120))
        let taken = samples(0x41).map { $0.taken }
        let longest = zip(taken, taken.dropFirst()).map { $1 - $0 }.max() ?? .zero
        // A transfer that times out takes 200 ms, so that one or two slots of 100 ms pass.
        #expect(longest <= .milliseconds(100) + bus.timeout + .milliseconds(2))
        #expect(taken.count >= 1_150)
        #expect(good.prepared == 1)
    }

    @Test func aDeviceThatDisappearsAndReturnsIsSetUpAnew() {
        let driver = add(0x40)
        bench.sampler.start()
        bench.loop.advance(by: .milliseconds(3_500))
        #expect(driver.prepared == 1)
        bus.detach(0x40)
        bench.loop.advance(by: .seconds(20))
        #expect(bench.sampler.status(0).error == .i2c(I2CError(bus: "i2c-1", address: 0x40, register: 0, code: ENXIO)))
        bench.clear()
        bus.attach(registerDevice(), at: 0x40)
        let before = driver.prepared
        bench.loop.advance(by: .seconds(40))
        #expect(driver.prepared == before + 1)
        #expect(bench.good.count > 5 && bench.bad.isEmpty)
    }

    @Test func anotherChipInItsPlaceIsNeverTakenForIt() {
        let driver = add(0x40)
        bench.sampler.start()
        bench.loop.advance(by: .milliseconds(2_500))
        bus.detach(0x40)
        bench.loop.advance(by: .seconds(5))
        bench.clear()
        let other = registerDevice()
        other.registers[0] = 0x11
        bus.attach(other, at: 0x40)
        bench.loop.advance(by: .seconds(300))
        #expect(bench.samples.isEmpty)
        #expect(bench.sampler.status(0).error == .wrongChip(expected: "0x5a", found: "0x11"))
        #expect(driver.prepared > 3)
    }

    /// A loose contact: works and fails in turn, each second.
    @Test func aLooseContactDoesNotFillTheLog() {
        _ = add(0x40)
        var transfers = 0
        bus.fault = { _ in
            transfers += 1
            return transfers % 5 == 0 ? .noAcknowledge : nil
        }
        bench.sampler.start()
        bench.loop.advance(by: .seconds(600))
        let outages = bench.bad.count
        #expect(outages > 50)
        #expect(bench.sampler.status(0).recovered >= UInt64(outages - 1))
        // One pair of lines a minute at most, and no outage is forgotten.
        #expect(bench.recorder.lines.count <= 22)
        #expect(bench.recorder.lines.contains { $0.contains("shorter outages before") })
    }

    /// What begins in the quiet time after a line and lasts is told of when that is over.
    @Test func anOutageThatLastsIsNeverKeptSecret() {
        let driver = ScriptedDriver()
        bench.add(driver, id: "x", every: .seconds(1), on: queue)
        bench.sampler.start()
        driver.collectFailure = .simulated
        bench.loop.advance(by: .milliseconds(500))
        driver.collectFailure = nil
        bench.loop.advance(by: .seconds(2))
        #expect(bench.recorder.lines.count == 2)
        driver.collectFailure = .simulated
        bench.loop.advance(by: .seconds(20))
        #expect(bench.recorder.lines.count == 2)
        #expect(bench.bad.count == 2)
        bench.loop.advance(by: .seconds(130))
        #expect(bench.recorder.lines.count == 3)
        #expect(bench.recorder.lines.last == "warning: sensor x: simulated failure")
        driver.collectFailure = nil
        bench.loop.advance(by: .seconds(90))
        #expect(bench.recorder.lines.count == 4)
    }

    // MARK: Sharing a bus

    /// 24 sensors whose conversions take 500 ms each, once a second: twelve seconds of conversions in each second. Were the
    /// bus held meanwhile, most slots would pass.
    @Test func conversionsDoNotHoldTheBus() {
        for address: UInt8 in 0x20..<0x38 { _ = add(address, conversion: .milliseconds(500)) }
        _ = add(0x40, every: .milliseconds(20))
        bench.sampler.start()
        bench.loop.advance(by: .milliseconds(60_500))
        #expect(bench.bad.isEmpty)
        for address: UInt8 in 0x20..<0x38 { #expect(samples(address).count >= 60) }
        for index in 0..<25 { #expect(bench.sampler.status(index).missed == 0) }
        #expect(samples(0x40).count >= 3_000)
        // Two transfers of 0.3 ms for each of 24 sensors a second, one for each of 50 slots, and the start.
        #expect(queue.busy < .seconds(3))
    }

    @Test func aHundredSensorsOnOneBusKeepTheirGrids() {
        for address: UInt8 in 0x08..<0x6C { _ = add(address, every: .milliseconds(500)) }
        let start = bench.loop.now
        bench.sampler.start()
        bench.loop.advance(by: .seconds(600))
        #expect(bench.bad.isEmpty)
        for address: UInt8 in 0x08..<0x6C {
            let taken = samples(address).map { ($0.taken - start).nanoseconds }
            #expect(taken.count >= 1_199)
            // The phase is the same to the end, but for the wait in line; never so much as a slot early or late.
            let phase = taken[0] / 20_000_000
            for (slot, instant) in taken.enumerated() {
                let late = instant - phase * 20_000_000 - Int64(slot) * 500_000_000
                #expect(late >= 0 && late < 20_000_000)
            }
        }
        for index in 0..<100 { #expect(bench.sampler.status(index).missed == 0) }
    }

    @Test func aHundredSensorsDoNotComeAtOnce() {
        for address: UInt8 in 0x08..<0x6C { _ = add(address, every: .seconds(60)) }
        let start = bench.loop.now
        bench.sampler.start()
        bench.loop.advance(by: .seconds(59))
        var moments: [Int64: Int] = [:]
        for sample in bench.samples { moments[(sample.taken - start).milliseconds / 20, default: 0] += 1 }
        #expect(bench.samples.count == 100)
        #expect(moments.values.max() ?? 0 <= 3)
    }

    @Test func aBusThatIsTooSlowMissesSlotsAndCountsThem() {
        bus.latency = .milliseconds(30)
        for address: UInt8 in 0x20..<0x2A { _ = add(address, every: .milliseconds(100)) }
        bench.sampler.start()
        bench.loop.advance(by: .seconds(60))
        var missed: UInt64 = 0
        for index in 0..<10 {
            let status = bench.sampler.status(index)
            // Every slot was used or counted: 600, but for what is under way at the end.
            #expect((590...602).contains(status.samples + status.missed))
            missed += status.missed
        }
        // 33 transfers a second for 100 slots.
        #expect(missed > 3_500)
        #expect(bench.bad.isEmpty)
    }
}
