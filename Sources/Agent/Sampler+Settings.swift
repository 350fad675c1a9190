import Hardware
import Platform
import Records
import Sensors

extension Sampler {
    /// Adds the configured sensors: those on a bus run on its thread, those that read files on one of their own.
    /// - Throws: `SystemError` when a thread is not to be had.
    public func add(
        _ sensors: [AgentSettings.SensorSettings], buses: BusThreads, hardware: any Hardware, loop: any Loop
    ) throws(SystemError) {
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
                // The configuration's check has seen to it that the bus is there.
                guard let thread = try buses.thread(name) else { continue }
                add(plan, driver: make(thread.bus), on: thread.queue, base: first)
            case .events(let make): add(plan, driver: make(hardware.gpio), base: first)
            }
        }
    }
}
