// swift-tools-version: 6.2
import PackageDescription

// One target per stage of the two paths (telemetry: Sensors -> Filters -> Records -> Outbox -> Kafka;
// command: Kafka -> Commands -> Actuators), one system library target per C library.
// System libraries carry no `pkgConfig:`: its answers are the building machine's and break a cross link.
// `.linkedLibrary` stands on the targets that use a library, because Embedded Swift does not autolink.

let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("MemberImportVisibility"),
]

/// A stage in `Sources/NAME`.
func stage(
    _ name: String, _ dependencies: [Target.Dependency], links libraries: [String] = []
) -> Target {
    .target(
        name: name, dependencies: dependencies, swiftSettings: strict,
        linkerSettings: libraries.map { .linkedLibrary($0) })
}

/// A system library whose module map lies in `Sources/Libraries/NAME`.
func library(_ name: String) -> Target {
    .systemLibrary(name: name, path: "Sources/Libraries/\(name)")
}

/// The tests of a stage, in `Tests/NAMETests`.
func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: [.byName(name: name), "TestSupport"] + dependencies,
        swiftSettings: strict)
}

let package = Package(
    name: "kedge",
    products: [.executable(name: "kedge", targets: ["kedge"])],
    targets: [
        library("CRdkafka"),
        library("CYAML"),
        library("CJansson"),
        library("CGPIOD"),
        library("CI2C"),
        library("CSQLite"),
        library("CCrypto"),
        .target(
            name: "CShim", dependencies: ["CGPIOD"], path: "Sources/Libraries/CShim",
            cSettings: [.treatAllWarnings(as: .error), .enableWarning("all"), .enableWarning("extra")],
            linkerSettings: [.linkedLibrary("gpiod"), .linkedLibrary("m")]),

        stage("Platform", ["CShim"]),
        stage("Configuration", ["Platform", "CYAML", "CShim"], links: ["yaml"]),
        stage("Hardware", ["Platform", "Configuration", "CShim", "CI2C"], links: ["i2c"]),
        stage("Records", ["Platform", "Configuration", "CShim"]),
        stage("Filters", ["Platform", "Records", "Configuration"]),
        stage(
            "Sensors", ["Platform", "Records", "Hardware", "Configuration", "CShim", "CJansson"], links: ["jansson"]),
        stage("Storage", ["Platform", "CSQLite", "CShim"], links: ["sqlite3"]),
        stage("Outbox", ["Platform", "Records", "Configuration", "Storage", "CShim"]),
        stage("Kafka", ["Platform", "Records", "Configuration", "CRdkafka", "CShim"], links: ["rdkafka"]),
        stage("Actuators", ["Platform", "Hardware", "Records", "Configuration"]),
        stage(
            "Commands",
            ["Platform", "Actuators", "Records", "Configuration", "Storage", "CJansson", "CCrypto", "CShim"],
            links: ["jansson", "crypto"]),
        stage(
            "Agent",
            [
                "Platform", "Configuration", "Hardware", "Sensors", "Filters", "Records", "Outbox", "Kafka",
                "Commands", "Actuators", "Storage",
            ]),
        .executableTarget(
            name: "kedge",
            dependencies: [
                "Agent", "Platform", "Configuration", "Hardware", "Sensors", "Filters", "Records", "Outbox", "Kafka",
                "Commands", "Actuators", "Storage", "CShim",
            ], swiftSettings: strict),

        // The telemetry path alone, for Tests/Benchmarks/run.
        .executableTarget(
            name: "telemetry-path",
            dependencies: ["Agent", "Platform", "Filters", "Records", "Outbox", "Kafka", "CShim"],
            path: "Tests/Benchmarks/TelemetryPath", swiftSettings: strict),
        // The fault suite, for Tests/Faults/run: it knows kedge only by its command.
        .target(name: "FaultChecker", path: "Tests/Faults/Checker", swiftSettings: strict),
        .executableTarget(
            name: "fault-suite", dependencies: ["FaultChecker", "TestSupport"], path: "Tests/Faults/Suite",
            swiftSettings: strict),
        .testTarget(
            name: "FaultsTests", dependencies: ["FaultChecker"], path: "Tests/Faults/CheckerTests",
            swiftSettings: strict),
        // The outbox alone, with each durability: what the disk costs.
        .executableTarget(
            name: "outbox-path", dependencies: ["Platform", "Records", "Outbox", "Storage", "CShim"],
            path: "Tests/Benchmarks/OutboxPath", swiftSettings: strict),
        .target(
            name: "TestSupport", dependencies: ["Platform", "Configuration", "CShim"], path: "Tests/TestSupport",
            swiftSettings: strict),
        tests("Platform", []),
        tests("Configuration", []),
        tests("Hardware", []),
        tests("Records", ["Configuration"]),
        tests("Filters", ["Records", "Configuration"]),
        tests("Sensors", ["Records", "Hardware", "Configuration", "CShim"]),
        tests("Storage", ["CSQLite"]),
        tests("Outbox", ["Records", "Configuration", "Storage", "CSQLite", "CShim"]),
        tests("Kafka", ["Records", "Configuration"]),
        tests("Actuators", ["Hardware", "Configuration"]),
        tests("Commands", ["Actuators", "Hardware", "Configuration"]),
        tests(
            "Agent",
            [
                "Configuration", "Hardware", "Sensors", "Filters", "Records", "Outbox", "Kafka", "Commands",
                "Actuators", "CShim",
            ]),
        // Runs the built binary as a user would.
        .testTarget(name: "SystemTests", dependencies: ["kedge"], swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu11
)
