import Platform
import Testing

@testable import Actuators
@testable import Sensors

/// What `kedge scan` proposes, against the drivers that there are.
@Suite struct ScannedDriverTests {
    @Test func everyActuatorsDriverThatAScanNamesIsThere() {
        let drivers = DriverEntry.all.map { string($0.name) }
        let named = KnownChip.all.flatMap { string($0.actuator).split(separator: " ").map(String.init) }
        #expect(Set(named) == ["mcp23017", "or", "pcf8574", "pca9685", "mcp4725"])
        for name in Set(named).subtracting(["or"]) { #expect(drivers.contains(name), "\(name)") }
    }
}
