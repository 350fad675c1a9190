import Configuration

/// A driver as `driver:` names it. A new driver is one file, and one line here.
struct DriverEntry {
    let name: StaticString
    /// Reads the driver's own keys and `safe`; what is wrong is reported, and then there may be no plan.
    let decode: (Reader) -> DriverPlan?

    static var all: [DriverEntry] {
        [
            DriverEntry(name: "gpio", decode: GPIOOutput.decode),
            DriverEntry(name: "sim", decode: SimulatedOutput.decode),
        ]
    }
}
