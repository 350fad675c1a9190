import Foundation
import Platform
import Records
import TestSupport
import Testing

@testable import Sensors

@Suite struct SysfsTests {
    private func read(
        _ text: String, key: String? = nil, scale: Double = 1, offset: Double = 0
    ) throws -> Value? {
        let file = try TemporaryFile(text)
        return try read(path: file.path, key: key, scale: scale, offset: offset)
    }

    private func read(
        path: String, key: String? = nil, scale: Double = 1, offset: Double = 0
    ) throws -> Value? {
        let driver = SysfsNumber(
            settings: SysfsNumber.Settings(path: path, key: key, scale: scale, offset: offset))
        var values: [Value] = []
        try driver.collect(into: &values)
        #expect(values.count == 1)
        return values.first
    }

    private func problem(_ text: String, key: String? = nil) throws -> String {
        do {
            _ = try read(text, key: key)
            return ""
        } catch let error as SensorError {
            #expect(error.code == "invalid-data")
            return error.description
        }
    }

    @Test func numbersScaled() throws {
        #expect(try read("42000\n", scale: 0.001) == .number(42))
        #expect(try read("42\n") == .integer(42))
        #expect(try read(" -12.5\n") == .number(-12.5))
        #expect(try read("100", scale: 1.8, offset: 32) == .number(212))
        #expect(try read("1e3") == .integer(1000))
    }

    /// As a table of the kernel has them, such as /proc/meminfo.
    @Test func blanksBetweenTheKeyAndTheNumber() throws {
        let table = "MemTotal:        8000000 kB\nMemFree:\t  123456 kB\nBuffers:\nCached: none\n"
        #expect(try read(table, key: "MemFree:") == .integer(123_456))
        #expect(try read(table, key: "MemTotal:") == .integer(8_000_000))
        #expect(try problem(table, key: "Cached:").hasSuffix(": \" none\\n\""))
        // The number of the next line is another's.
        #expect(try problem("Buffers:\n 12 kB\n", key: "Buffers:").contains("not a number"))
    }

    /// 30487 * 0.001 is 30.487000000000002.
    @Test func aScaledIntegerIsTheDecimalThatIsMeant() throws {
        for thousandths in stride(from: 30_000, to: 90_000, by: 487) {
            let expected = try #require(
                Double("\(thousandths / 1_000).\(String(thousandths % 1_000 + 1_000).dropFirst())"))
            #expect(try read("\(thousandths)", scale: 0.001) == .number(expected))
        }
        #expect(try read("30487", scale: 0.001, offset: 1) == .number(31.487))
    }

    @Test func aRealSysfsAttribute() throws {
        guard FileManager.default.fileExists(atPath: "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size") else {
            return
        }
        let value = try read(path: "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
        #expect((value?.number ?? 0) > 0)
    }

    @Test func anAbsentFileIsNamed() {
        let path = "/nonexistent/temp1_input"
        #expect(throws: SensorError.system(SystemError(call: "open", code: ENOENT, subject: path))) {
            try read(path: path)
        }
        #expect(throws: SensorError.system(SystemError(call: "read", code: EISDIR, subject: "/tmp"))) {
            try read(path: "/tmp")
        }
    }

    @Test func whatIsNoNumberIsShown() throws {
        #expect(try problem("").hasSuffix(": nothing"))
        #expect(try problem("\n").hasSuffix(": \"\\n\""))
        #expect(try problem("disabled\n").hasSuffix(": \"disabled\\n\""))
        #expect(try problem("12 34\n").contains("12 34"))
        for text in ["nan", "inf", "0x10", "1e999", "--1", "1.2.3", "+", "e"] {
            #expect(try problem(text).contains("not a number"), "\(text)")
        }
        #expect(try problem("\u{1b}[31m\"\\").hasSuffix(": \"\\x1b[31m\\x22\\x5c\""))
    }

    @Test func aHugeFileIsCutAndShownInPart() throws {
        let text = try problem(String(repeating: "9", count: 10_000_000))
        #expect(text.hasSuffix("\"" + String(repeating: "9", count: 32) + "\"…"))
        #expect(text.utf8.count < 300)
    }

    @Test func oneWireSlave() throws {
        let good = "72 01 4b 46 7f ff 0e 10 57 : crc=57 YES\n72 01 4b 46 7f ff 0e 10 57 t=23125\n"
        #expect(try read(good, key: "t=", scale: 0.001) == .number(23.125))
        let below = "5e ff 4b 46 7f ff 02 10 e6 : crc=e6 YES\n5e ff 4b 46 7f ff 02 10 e6 t=-10125\n"
        #expect(try read(below, key: "t=", scale: 0.001) == .number(-10.125))
        let wrong = "72 01 4b 46 7f ff 0e 10 56 : crc=57 NO\n72 01 4b 46 7f ff 0e 10 56 t=23125\n"
        #expect(try problem(wrong, key: "t=").contains("wrong checksum"))
        // All zeros have a right checksum, and are what a shorted bus reads as.
        let shorted = "00 00 00 00 00 00 00 00 00 : crc=00 YES\n00 00 00 00 00 00 00 00 00 t=0\n"
        #expect(try problem(shorted, key: "t=").contains("only zeros"))
        #expect(try problem("no such thing", key: "t=").contains("no \"t=\""))
        #expect(try problem("t=", key: "t=").contains("not a number"))
    }

    @Test func aFIFODoesNotBlock() throws {
        let path = NSTemporaryDirectory() + "kedge-\(UUID().uuidString)"
        #expect(mkfifo(path, 0o600) == 0)
        defer { unlink(path) }
        #expect(throws: SensorError.self) { try read(path: path) }
    }

    @Test func theFileMayComeAndGo() throws {
        let bench = Bench()
        let path = NSTemporaryDirectory() + "kedge-\(UUID().uuidString)"
        bench.add(SysfsNumber(settings: SysfsNumber.Settings(path: path)), id: "cpu")
        bench.sampler.start()
        bench.loop.advance(by: .zero)
        #expect(bench.samples.map { $0.quality } == [.bad(reason: "system")])
        try Data("7\n".utf8).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        bench.loop.advance(by: .seconds(1))
        #expect(bench.good.map { $0.value } == [.integer(7)])
    }
}
