import Configuration
import Hardware
import Platform
import Records

/// A line that an actuator needs for itself, and where the configuration says so.
public struct LineClaim: Equatable, Sendable {
    public let reference: LineReference
    public let mark: Mark

    public init(reference: LineReference, mark: Mark) {
        self.reference = reference
        self.mark = mark
    }
}

/// A device on a bus that an actuator needs for itself, and where the configuration says so.
public struct AddressClaim: Equatable, Sendable {
    /// As under `buses`.
    public let bus: String
    /// 7-bit.
    public let address: UInt8
    /// Which of the device's outputs, where it has several that different actuators may use; `nil` is all of it.
    public let output: Int?
    public let mark: Mark

    public init(bus: String, address: UInt8, output: Int? = nil, mark: Mark) {
        self.bus = bus
        self.address = address
        self.output = output
        self.mark = mark
    }

    /// Whether the two cannot both be had.
    public func excludes(_ other: AddressClaim) -> Bool {
        guard address == other.address, sameBytes(bus, other.bus) else { return false }
        guard let output, let another = other.output else { return true }
        return output == another
    }
}

/// The chip that a driver on a bus is for.
public struct ExpectedChip: Sendable {
    /// The driver's name, as `KnownChip.actuator` has it.
    public let driver: StaticString
    /// Those that it can have.
    public let addresses: ClosedRange<UInt8>
    /// Registers that hold these values whatever the chip is doing; none where it has no such registers.
    public var signature: [(register: UInt8, value: UInt8)] = []

    public init(
        _ driver: StaticString, addresses: ClosedRange<UInt8>, signature: [(register: UInt8, value: UInt8)] = []
    ) {
        self.driver = driver
        self.addresses = addresses
        self.signature = signature
    }
}

/// How a driver is made, and where it runs.
public enum OutputMaker {
    /// On the loop; its calls never block.
    case onLoop((any Hardware) throws(ActuatorError) -> any ActuatorDriver)
    /// On the thread of the bus of that name (named at that place), which sensors may share. All of its calls, and this
    /// one too, may block there.
    case onBus(String, Mark, (any I2CBus) throws(ActuatorError) -> any ActuatorDriver)
}

/// What a driver makes of its part of an actuator's configuration.
public struct DriverPlan {
    public let domain: ValueDomain
    /// As `domain` admitted it.
    public let safe: Value
    public let claims: [LineClaim]
    public let addresses: [AddressClaim]
    /// Takes the hardware, with the output at `safe` from the first moment.
    public let maker: OutputMaker

    /// The longest time away from the safe value that the driver's own keys allow (`pulse`), as `max_on`.
    public var longest: Interval?

    /// What must answer at `addresses`; `nil` for a driver without any.
    public var chip: ExpectedChip?

    /// What is wrong with the files that the driver needs, such as a PWM chip's; changes nothing. `nil` for a driver
    /// without any.
    public var problem: (() -> String?)?

    /// The bus that the driver works on, and where the configuration names it; `nil` when it works on the loop.
    public var bus: (name: String, mark: Mark)? {
        if case .onBus(let name, let mark, _) = maker { return (name, mark) }
        return nil
    }

    /// A driver on the loop.
    public init(
        domain: ValueDomain, safe: Value, claims: [LineClaim] = [],
        open: @escaping (any Hardware) throws(ActuatorError) -> any ActuatorDriver
    ) {
        self.domain = domain
        self.safe = safe
        self.claims = claims
        addresses = []
        maker = .onLoop(open)
    }

    /// A driver on a bus.
    /// - Parameters:
    ///   - bus: its name, and where the configuration says it.
    ///   - open: called on the bus's thread, again after the device was lost.
    public init(
        domain: ValueDomain, safe: Value, bus: (name: String, mark: Mark), addresses: [AddressClaim],
        open: @escaping (any I2CBus) throws(ActuatorError) -> any ActuatorDriver
    ) {
        self.domain = domain
        self.safe = safe
        claims = []
        self.addresses = addresses
        maker = .onBus(bus.name, bus.mark, open)
    }

    /// Takes the hardware of a driver on the loop.
    /// - Throws: `ActuatorError`; `noBus` for a driver on a bus.
    public func open(_ hardware: any Hardware) throws(ActuatorError) -> any ActuatorDriver {
        guard case .onLoop(let open) = maker else { throw .noBus }
        return try open(hardware)
    }
}

/// An actuator as the configuration describes it, under `actuators`; nothing is touched until `open`.
public struct ActuatorPlan {
    /// 1 to 128 bytes; what commands name it by.
    public let id: String
    public let mark: Mark
    /// The longest time away from the safe value, counted from when it was left: a newer command does not stretch it.
    public let maxOn: Interval?
    /// Of its values, such as `V` or `/min`; 1 to 32 bytes, `nil` for bare numbers and for what is off or on.
    public let unit: String?
    public let driver: DriverPlan

    public var safe: Value { driver.safe }
    public var domain: ValueDomain { driver.domain }
    public var claims: [LineClaim] { driver.claims }

    public let restraints: Restraints

    public init(
        id: String, mark: Mark = Mark(line: 0, column: 0), maxOn: Interval? = nil,
        restraints: Restraints = Restraints(), unit: String? = nil, driver: DriverPlan
    ) {
        self.id = id
        self.mark = mark
        self.maxOn = maxOn
        self.restraints = restraints
        self.unit = unit
        self.driver = driver
    }

    /// Makes all actuators, ties those that exclude each other, and drives each to its safe value: those on the loop
    /// before this returns.
    /// - Throws: `SystemError` when a bus's thread is not to be had.
    public static func start(
        _ plans: [ActuatorPlan], on hardware: any Hardware, buses: BusThreads, loop: any Loop, log: Log
    ) throws(SystemError) -> [Actuator] {
        var actuators: [Actuator] = []
        for plan in plans {
            if let bus = plan.driver.bus {
                guard let thread = try buses.thread(bus.name),
                    let actuator = plan.start(on: thread, loop: loop, log: log)
                else { continue }
                actuators.append(actuator)
            } else {
                actuators.append(plan.start(on: hardware, loop: loop, log: log))
            }
        }
        Actuator.tie(actuators)
        return actuators
    }

    /// As `open`, but an actuator whose hardware is not to be had is made all the same: it says so once, tries again
    /// until it has the hardware at the safe value, and answers orders with the reason until then.
    public func start(on hardware: any Hardware, loop: any Loop, log: Log) -> Actuator {
        let output = PatientOutput(safe: safe) { [driver] () throws(ActuatorError) in try driver.open(hardware) }
        let actuator = Actuator(self, driver: output, loop: loop, log: log)
        do throws(ActuatorError) {
            try output.open()
        } catch {
            actuator.isConfirmed = false
            actuator.fail(error)
        }
        return actuator
    }

    /// As `start(on:loop:log:)` for a driver on a bus, whose thread this is. The first transfer is under way when this
    /// returns.
    /// - Returns: `nil` for a driver that is not on a bus.
    public func start(on thread: BusThread, loop: any Loop, log: Log) -> Actuator? {
        guard case .onBus(_, _, let make) = driver.maker else { return nil }
        let bus = thread.bus
        let output = PatientOutput(safe: safe) { () throws(ActuatorError) in try make(bus) }
        let runner = OutputRunner(driver: output, queue: thread.queue, loop: loop)
        let actuator = Actuator(self, output: runner, loop: loop, log: log)
        actuator.returnToSafe(.start)
        return actuator
    }

    /// Takes the hardware and drives the safe value, both at once.
    /// - Throws: `ActuatorError` when the hardware is not to be had, or when it is on a bus.
    public func open(
        on hardware: any Hardware, loop: any Loop, log: Log
    ) throws(ActuatorError) -> Actuator {
        Actuator(self, driver: try driver.open(hardware), loop: loop, log: log)
    }
}

extension ActuatorPlan {
    /// The shortest and the longest `max_on`.
    public static var maxOnRange: ClosedRange<Interval> { Interval.milliseconds(1)...Interval.seconds(366 * 86_400) }

    /// What a later version will know.
    private static var later: [StaticString] {
        ["priority", "link_loss", "depends_on"]
    }

    /// Reads one element of `actuators`.
    /// - Returns: `nil` when it has no usable id or driver; that was reported.
    /// - Parameter chips: what actuators on one chip share.
    public static func decode(_ reader: Reader, chips: SharedChips = SharedChips()) -> ActuatorPlan? {
        let id = reader.requiredString("id")
        if let id, !(1...128).contains(id.utf8.count) {
            reader.report("id", joined("has ", decimal(id.utf8.count), " bytes"), expected: "1 to 128")
        }
        let entries = DriverEntry.all
        let index = reader.requiredChoice("driver", entries.map { $0.name })
        let maxOn = reader.interval("max_on", in: maxOnRange)
        let restraints = Restraints.decode(reader, maxOn: maxOn)
        let unit = reader.string("unit")
        if let unit, !(1...32).contains(unit.utf8.count) {
            reader.report("unit", joined("has ", decimal(unit.utf8.count), " bytes"), expected: "1 to 32, such as V")
        }
        reader.refuseLater(later)
        guard let index else {
            // The other keys are the driver's: only those that none of them knows are wrong for certain.
            for entry in entries {
                let rehearsal = reader.rehearsal()
                _ = entry.decode(rehearsal, SharedChips())
                reader.learn(from: rehearsal)
            }
            reader.finish()
            return nil
        }
        let driver = entries[index].decode(reader, chips)
        reader.finish()
        guard let id, let driver else { return nil }
        if unit != nil, driver.domain == .level {
            reader.report("unit", "stands beside values that are off or on", expected: "none")
        }
        let longest = maxOn.map { min($0, driver.longest ?? $0) } ?? driver.longest
        return ActuatorPlan(
            id: id, mark: reader.mark, maxOn: longest, restraints: restraints, unit: unit, driver: driver)
    }

    /// Reads all of `actuators`; an id that is there twice is a problem.
    /// - Returns: those that could be read.
    public static func decode(list nodes: [Node], path: String, diagnostics: Diagnostics) -> [ActuatorPlan] {
        var plans: [ActuatorPlan] = []
        let chips = SharedChips()
        var readers: [Reader] = []
        var ids: [String] = []
        for index in 0..<nodes.count {
            let reader = Reader(nodes[index], path: joined(path, "[", decimal(index), "]"), diagnostics: diagnostics)
            let plan = decode(reader, chips: chips)
            // Also of those with other mistakes: they are there.
            let id = reader.string("id") ?? ""
            if !id.utf8.isEmpty, let first = ids.firstIndex(where: { sameBytes($0, id) }) {
                diagnostics.report(
                    reader.mark(of: "id"),
                    joined(
                        reader.path, ".id: \"", id, "\" is the id of the actuator on line ",
                        decimal(readers[first].mark.line), " already"))
            } else if let plan {
                plans.append(plan)
            }
            ids.append(id)
            readers.append(reader)
        }
        for (reader, id) in zip(readers, ids) {
            for other in reader.strings("interlock") ?? [] {
                if sameBytes(other, id) {
                    reader.report("interlock", "names the actuator itself", expected: "other actuators")
                } else if !contains(ids, other) {
                    reader.report(
                        "interlock", joined("names \"", other, "\""), expected: "the id of an actuator")
                }
            }
        }
        return plans
    }
}
