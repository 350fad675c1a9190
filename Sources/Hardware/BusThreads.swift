import Platform

/// A bus and the thread that its transfers run on.
public struct BusThread {
    public let bus: PatientBus
    public let queue: any WorkQueue

    public init(bus: PatientBus, queue: any WorkQueue) {
        self.bus = bus
        self.queue = queue
    }
}

/// The buses of the agent, each with the one thread that sensors and actuators on it share. A bus that nobody asks
/// for gets none.
public final class BusThreads {
    private let settings: [BusSettings]
    private let hardware: any Hardware
    private let loop: any Loop
    private let log: Log?
    private var threads: [BusThread] = []

    /// - Parameter log: told, once each time, when a bus had to be freed or cannot be.
    public init(_ settings: [BusSettings], hardware: any Hardware, loop: any Loop, log: Log? = nil) {
        self.settings = settings
        self.hardware = hardware
        self.loop = loop
        self.log = log
    }

    /// The bus of that name, on its thread, which the first call starts; the bus itself is opened by its first transfer.
    /// - Returns: `nil` when the configuration has no such bus, which its check reports.
    /// - Throws: `SystemError` when a thread is not to be had.
    public func thread(_ name: String) throws(SystemError) -> BusThread? {
        if let known = threads.first(where: { sameBytes($0.bus.name, name) }) { return known }
        guard let settings = settings.first(where: { sameBytes($0.name, name) }) else { return nil }
        let bus = PatientBus(settings, hardware: hardware, time: loop.time)
        let worker = try Worker(name: name, loop: loop)
        let thread = BusThread(bus: bus, queue: settings.recovery == nil ? worker : TellingQueue(worker, bus, log))
        threads.append(thread)
        return thread
    }
}

/// A bus's queue that tells the log what came of attempts to free the bus: the news is made on the bus's thread, and told
/// on the loop.
final class TellingQueue: WorkQueue {
    private final class News {
        var outcome: RecoveryOutcome?
    }

    private let queue: any WorkQueue
    private let bus: PatientBus
    private let log: Log?

    var pending: Int { queue.pending }

    init(_ queue: any WorkQueue, _ bus: PatientBus, _ log: Log?) {
        self.queue = queue
        self.bus = bus
        self.log = log
    }

    func perform(_ job: @escaping () -> Void, completion: @escaping () -> Void) {
        _ = perform(job, isUrgent: false, completion: completion)
    }

    func withdraw(_ job: UInt64) -> Bool { queue.withdraw(job) }

    func perform(_ job: @escaping () -> Void, isUrgent: Bool, completion: @escaping () -> Void) -> UInt64 {
        let news = News()
        let bus = bus
        return queue.perform(
            {
                job()
                news.outcome = bus.takeOutcome()
            }, isUrgent: isUrgent,
            completion: { [log] in
                if let outcome = news.outcome {
                    log?.warning(joined("bus ", bus.name, ": ", outcome.description))
                }
                completion()
            })
    }
}
