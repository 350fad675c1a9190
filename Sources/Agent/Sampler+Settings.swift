import Hardware
import Platform
import Records
import Sensors

extension Sampler {
    /// Adds the configured sensors, with a worker thread for each bus that one of them uses and one for files.
    /// - Throws: `SystemError` when a thread is not to be had.
    public func add(
        _ sensors: [AgentSettings.SensorSettings], buses: [BusSettings], hardware: any Hardware, loop: any Loop
    ) throws(SystemError) {
        var opened: [(bus: PatientBus, queue: Worker)] = []
        var files: Worker?
        var base = 0
        for sensor in sensors {
            let plan = sensor.plan
            let first = SeriesID(base)
            base += plan.channels.count
            switch plan.make {
            case .onLoop(let make): add(plan, driver: make(), on: nil, base: first)
            case .onFiles(let make):
                if files == nil { files = try Worker(name: "files", loop: loop) }
                add(plan, driver: make(), on: files, base: first)
            case .onBus(let name, _, let make):
                if let known = opened.first(where: { sameBytes($0.bus.name, name) }) {
                    add(plan, driver: make(known.bus), on: known.queue, base: first)
                    continue
                }
                // The configuration's check has seen to it that the bus is there.
                guard let settings = buses.first(where: { sameBytes($0.name, name) }) else { continue }
                let bus = PatientBus(settings, hardware: hardware)
                let queue = try Worker(name: name, loop: loop)
                opened.append((bus, queue))
                add(plan, driver: make(bus), on: queue, base: first)
            case .events(let make): add(plan, driver: make(hardware.gpio), base: first)
            }
        }
    }
}
