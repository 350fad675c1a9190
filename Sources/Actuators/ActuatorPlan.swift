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

/// What a driver makes of its part of an actuator's configuration.
public struct DriverPlan {
    public let domain: ValueDomain
    /// As `domain` admitted it.
    public let safe: Value
    public let claims: [LineClaim]
    /// Takes the hardware, with the output at `safe` from the first moment.
    public let open: (any Hardware) throws(ActuatorError) -> any ActuatorDriver

    public init(
        domain: ValueDomain, safe: Value, claims: [LineClaim] = [],
        open: @escaping (any Hardware) throws(ActuatorError) -> any ActuatorDriver
    ) {
        self.domain = domain
        self.safe = safe
        self.claims = claims
        self.open = open
    }
}

/// An actuator as the configuration describes it, under `actuators`; nothing is touched until `open`.
public struct ActuatorPlan {
    /// 1 to 128 bytes; what commands name it by.
    public let id: String
    public let mark: Mark
    /// The longest time away from the safe value, counted from when it was left: a newer command does not stretch it.
    public let maxOn: Interval?
    public let driver: DriverPlan

    public var safe: Value { driver.safe }
    public var domain: ValueDomain { driver.domain }
    public var claims: [LineClaim] { driver.claims }

    public init(id: String, mark: Mark = Mark(line: 0, column: 0), maxOn: Interval? = nil, driver: DriverPlan) {
        self.id = id
        self.mark = mark
        self.maxOn = maxOn
        self.driver = driver
    }

    /// As `open`, but an actuator whose hardware is not to be had is made all the same: it says so once, tries again
    /// until it has the hardware at the safe value, and answers orders with the reason until then.
    public func start(on hardware: any Hardware, loop: any Loop, log: Log) -> Actuator {
        let output = PatientOutput(driver, on: hardware)
        let actuator = Actuator(self, driver: output, loop: loop, log: log)
        do throws(ActuatorError) {
            try output.open()
        } catch {
            actuator.fail(error)
        }
        return actuator
    }

    /// Takes the hardware and drives the safe value, both at once.
    /// - Throws: `ActuatorError` when the hardware is not to be had.
    public func open(
        on hardware: any Hardware, loop: any Loop, log: Log
    ) throws(ActuatorError) -> Actuator {
        Actuator(self, driver: try driver.open(hardware), loop: loop, log: log)
    }
}

extension ActuatorPlan {
    /// The shortest and the longest `max_on`.
    public static var maxOnRange: ClosedRange<Interval> { Interval.milliseconds(1)...Interval.seconds(366 * 86_400) }

    /// What a later version will know. Accepting it now would promise a protection that is not there.
    private static var later: [StaticString] {
        ["interlock", "min_on", "min_off", "priority", "rate_limit", "link_loss", "depends_on", "pwm"]
    }

    /// Reads one element of `actuators`.
    /// - Returns: `nil` when it has no usable id or driver; that was reported.
    public static func decode(_ reader: Reader) -> ActuatorPlan? {
        let id = reader.requiredString("id")
        let entries = DriverEntry.all
        // `requiredString` tells what is missing, `choice` what is wrong.
        let index = reader.requiredString("driver") == nil ? nil : reader.choice("driver", entries.map { $0.name })
        let maxOn = reader.interval("max_on", in: maxOnRange)
        for key in later where reader.has(key) {
            reader.diagnostics.report(
                reader.mark(of: key), joined(reader.path, ".", string(key), ": not in this version"))
        }
        // Without a driver nobody knows which other keys are right.
        guard let index else { return nil }
        let driver = entries[index].decode(reader)
        reader.finish()
        guard let id, let driver else { return nil }
        guard (1...128).contains(id.utf8.count) else {
            reader.diagnostics.report(
                reader.mark(of: "id"), joined(reader.path, ".id has ", decimal(id.utf8.count), " bytes"),
                expected: "1 to 128")
            return nil
        }
        return ActuatorPlan(id: id, mark: reader.mark, maxOn: maxOn, driver: driver)
    }

    /// Reads all of `actuators`; an id that is there twice is a problem.
    /// - Returns: those that could be read.
    public static func decode(list nodes: [Node], path: String, diagnostics: Diagnostics) -> [ActuatorPlan] {
        var plans: [ActuatorPlan] = []
        for index in 0..<nodes.count {
            let reader = Reader(nodes[index], path: joined(path, "[", decimal(index), "]"), diagnostics: diagnostics)
            guard let plan = decode(reader) else { continue }
            if let first = plans.first(where: { sameBytes($0.id, plan.id) }) {
                diagnostics.report(
                    reader.mark(of: "id"),
                    joined(
                        reader.path, ".id: \"", plan.id, "\" is the id of the actuator on line ",
                        decimal(first.mark.line), " already"))
            } else {
                plans.append(plan)
            }
        }
        return plans
    }
}
