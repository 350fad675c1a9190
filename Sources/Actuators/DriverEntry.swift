import Configuration

/// A driver as `driver:` names it. A new driver is one file, and one line here.
struct DriverEntry {
    let name: StaticString
    /// Reads the driver's own keys and `safe`; what is wrong is reported, and then there may be no plan.
    let decode: (Reader, SharedChips) -> DriverPlan?

    static var all: [DriverEntry] {
        [
            DriverEntry(name: "gpio", decode: GPIOOutput.decode),
            DriverEntry(name: "mcp23017", decode: PortExpander.decodeMCP23017),
            DriverEntry(name: "mcp4725", decode: MCP4725Output.decode),
            DriverEntry(name: "pca9685", decode: PCA9685Output.decode),
            DriverEntry(name: "pcf8574", decode: PortExpander.decodePCF8574),
            DriverEntry(name: "pwm", decode: KernelPWM.decode),
            DriverEntry(name: "servo", decode: Servo.decode),
            DriverEntry(name: "sim", decode: SimulatedOutput.decode),
        ]
    }
}
