import Platform
import Records

/// Runs a driver that speaks by itself, and starts it again after it failed.
final class EventSensor: SensorRunner {
    let output: SensorOutput
    private let driver: any EventDriver
    private let loop: any Loop
    private var backoff: Backoff
    private var timer: TimerID?
    private var isStarted = false

    init(driver: any EventDriver, output: SensorOutput, loop: any Loop, seed: UInt64) {
        self.driver = driver
        self.output = output
        self.loop = loop
        backoff = Backoff(base: .seconds(1), seed: seed)
    }

    deinit { halt() }

    func start(first: Instant) {
        do throws(SensorError) {
            isStarted = true
            try driver.start(on: loop) { [unowned(unsafe) self] event in self.take(event) }
        } catch {
            fail(error)
        }
    }

    func stop() {
        if isStarted { driver.flush() }
        halt()
    }

    private func halt() {
        if let timer { loop.cancel(timer) }
        timer = nil
        if isStarted { driver.stop() }
        isStarted = false
    }

    func read(_ completion: @escaping (SensorReading.Outcome) -> Void) {
        var values: [Value] = []
        do throws(SensorError) {
            try driver.read(into: &values)
            completion(.values(values, taken: loop.time.now))
        } catch {
            completion(.failed(error))
        }
    }

    private func take(_ event: SensorEvent) {
        guard isStarted else { return }
        switch event {
        case .value(let channel, let value, let quality, let taken):
            backoff.reset()
            output.send(channel: channel, value, quality, taken: taken)
        case .lost(let edges): output.lose(edges)
        case .missed(let slots): output.miss(slots)
        case .failed(let error): fail(error)
        }
    }

    private func fail(_ error: SensorError) {
        halt()
        output.fail(error, at: loop.time.now)
        timer = loop.after(backoff.fail()) { [unowned(unsafe) self] in
            self.timer = nil
            self.start(first: self.loop.time.now)
        }
    }
}
