import CShim
import Platform

/// What sysfs and `/dev` tell about buses and chips. Nothing here touches hardware.
struct KernelSurvey {
    /// Where they are mounted; elsewhere in tests.
    var sys = "/sys"
    var dev = "/dev"

    /// All I2C buses that have a device file, in the order of their numbers.
    func buses() -> [FoundBus] {
        entries(dev, beginningWith: "i2c-").map { name in
            FoundBus(
                name: name, path: joined(dev, "/", name),
                adapter: firstLine(joined(sys, "/class/i2c-dev/", name, "/name")) ?? "")
        }
    }

    /// The kernel driver that has `address` on the bus at `path`, with the device's name; `nil` when none or not known.
    func holder(of address: UInt8, on path: String) -> String? {
        guard let number = busNumber(path) else { return nil }
        let digits = String(address, radix: 16)
        let device = joined(
            sys, "/bus/i2c/devices/", number, "-", address < 16 ? "000" : "00", digits)
        guard let driver = linkTarget(joined(device, "/driver")).map({ lastPart($0) }) else { return nil }
        guard let name = firstLine(joined(device, "/name")), !sameBytes(name, driver) else { return driver }
        return joined(driver, " (", name, ")")
    }

    /// `1` of `/dev/i2c-1`, also through links such as those in `/dev/i2c-by-name`.
    private func busNumber(_ path: String) -> String? {
        let name = lastPart(linkTarget(path) ?? path)
        guard name.hasBeginning("i2c-") else { return nil }
        return String(decoding: Array(name.utf8).dropFirst(4), as: UTF8.self)
    }

    /// The chips' device files, without links, which are second names of chips that are listed anyway.
    func chips() -> [String] {
        entries(dev, beginningWith: "gpiochip").filter { linkTarget(joined(dev, "/", $0)) == nil }
    }

    private func entries(_ path: String, beginningWith start: StaticString) -> [String] {
        do throws(SystemError) {
            return try directoryEntries(path).filter {
                $0.utf8.count > start.utf8CodeUnitCount && $0.hasBeginning(start)
            }
        } catch {
            return []
        }
    }

    private func lastPart(_ path: String) -> String {
        let bytes = Array(path.utf8)
        guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return path }
        return String(decoding: bytes[(slash + 1)...], as: UTF8.self)
    }
}

extension KernelGPIO {
    public func survey() -> [FoundChip] {
        let survey = KernelSurvey()
        return survey.chips().map { name in
            let path = joined(survey.dev, "/", name)
            let found = Found()
            do throws(SystemError) {
                try systemCall("open", on: path) {
                    kedge_gpio_survey(
                        path, { Found.of($0)?.take(label: $1) }, { Found.of($0)?.take(line: $1) },
                        Unmanaged.passUnretained(found).toOpaque())
                }
                return FoundChip(name: name, label: found.label, lines: found.lines)
            } catch {
                return FoundChip(name: name, label: found.label, lines: found.lines, failure: error)
            }
        }
    }

    /// What C tells about one chip.
    private final class Found {
        var label = ""
        var lines: [FoundChip.Line] = []

        static func of(_ context: UnsafeMutableRawPointer?) -> Found? {
            context.map { Unmanaged<Found>.fromOpaque($0).takeUnretainedValue() }
        }

        func take(label text: UnsafePointer<CChar>?) {
            if let text { label = String(cString: text) }
        }

        func take(line: UnsafePointer<kedge_gpio_found>?) {
            guard let line = line?.pointee else { return }
            lines.append(
                FoundChip.Line(
                    offset: line.offset, name: line.name.map { String(cString: $0) } ?? "",
                    consumer: line.consumer.map { String(cString: $0) }, isOutput: line.output))
        }
    }
}
