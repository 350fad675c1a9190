import CShim
import Platform

/// The GPIO chips of the kernel, through libgpiod 1.6 or 2.
///
/// Every request opens the chip by itself, so lines of one chip are independent of each other.
public final class KernelGPIO: GPIO {
    private let time: any TimeSource

    /// - Parameter time: `CLOCK_MONOTONIC`, on which the kernel stamps edges.
    public init(time: any TimeSource) { self.time = time }

    /// - Throws: `GPIOError` with the cause; `busy` with the consumer that the kernel names.
    public func request(_ line: LineReference, _ settings: LineSettings) throws(GPIOError) -> any GPIOLine {
        if let contradiction = settings.contradiction {
            throw GPIOError(line: line, cause: .unsupported(contradiction))
        }
        var handle: OpaquePointer?
        var failure = RequestFailure()
        do throws(SystemError) {
            try systemCall("gpiod_line_request", on: line.description) {
                Self.request(line, settings, &handle, &failure)
            }
        } catch {
            throw GPIOError(line: line, cause: failure.cause(error, settings))
        }
        guard let handle else { throw GPIOError(line: line, cause: .noSuchLine) }
        let requested = KernelLine(owning: handle, line, settings, time)
        try requested.startDebouncing()
        return requested
    }

    /// - Throws: `GPIOError` as `request` would, except for `busy`.
    public func inspect(_ line: LineReference) throws(GPIOError) -> LineInfo {
        var place = [CChar](repeating: 0, count: Int(KEDGE_GPIO_CONSUMER))
        var found: UInt32 = 0
        var used = false
        var failure = RequestFailure()
        do throws(SystemError) {
            try systemCall("gpiod_line_info", on: line.description) {
                line.withCNames { chip, name, offset in
                    found = offset
                    return failure.consumer.withUnsafeMutableBufferPointer { consumer in
                        place.withUnsafeMutableBufferPointer {
                            kedge_gpio_inspect(
                                chip, name, &found, $0.baseAddress, &used, &failure.step, consumer.baseAddress)
                        }
                    }
                }
            }
        } catch {
            throw GPIOError(line: line, cause: failure.cause(error, LineSettings(direction: .input)))
        }
        return LineInfo(
            chip: text(place) ?? "unknown", offset: found, consumer: used ? failure.consumerName : nil)
    }

    private static func request(
        _ line: LineReference, _ settings: LineSettings, _ handle: inout OpaquePointer?,
        _ failure: inout RequestFailure
    ) -> Int32 {
        var converted = settings.converted
        return line.withCNames { chip, name, offset in
            failure.consumer.withUnsafeMutableBufferPointer { consumer in
                kedge_gpio_request(chip, name, offset, &converted, &handle, &failure.step, consumer.baseAddress)
            }
        }
    }
}

extension LineReference {
    /// Chip and name as C has them, `NULL` for what is not given; the offset where there is no name.
    fileprivate func withCNames(
        _ body: (UnsafePointer<CChar>?, UnsafePointer<CChar>?, UInt32) -> Int32
    ) -> Int32 {
        withOptionalCString(chip) { chip in
            switch line {
            case .name(let name): name.withCString { body(chip, $0, 0) }
            case .offset(let offset): body(chip, nil, offset)
            }
        }
    }
}

private func withOptionalCString(_ text: String?, _ body: (UnsafePointer<CChar>?) -> Int32) -> Int32 {
    guard let text else { return body(nil) }
    return text.withCString(body)
}

/// What a failed request leaves beside errno.
private struct RequestFailure {
    var step: Int32 = 0
    var consumer = [CChar](repeating: 0, count: Int(KEDGE_GPIO_CONSUMER))

    func cause(_ error: SystemError, _ settings: LineSettings) -> GPIOError.Cause {
        switch error.code {
        case EACCES, EPERM: return .permission
        case EBUSY: return .busy(consumer: consumerName)
        default: break
        }
        switch Int(step) {
        case Int(KEDGE_GPIO_STEP_CHIP):
            // ENOTTY: a file, but not a chip's.
            let absent = [ENOENT, ENOTDIR, ENODEV, ENXIO, ENOTTY]
            return absent.contains(error.code) ? .noSuchChip : .system(error)
        case Int(KEDGE_GPIO_STEP_LINE):
            if error.code == ENOENT { return .noSuchLine }
            // libgpiod 1.6 on a kernel built without CONFIG_GPIO_CDEV_V1, as Debian's are from 7 on.
            return error.code == EINVAL ? .unsupported("libgpiod's version on this kernel") : .system(error)
        default:
            // A line without an interrupt is ENODEV in the kernel's first interface and ENXIO in the second.
            let refused = [EINVAL, ENODEV, ENXIO, EOPNOTSUPP, kernelNotSupported]
            guard refused.contains(error.code) else { return .system(error) }
            if settings.edges != .none { return .unsupported("edge detection") }
            if settings.debounce > .zero { return .unsupported("debouncing") }
            return error.code == ENODEV || error.code == ENXIO
                ? .system(error) : .unsupported("this combination of direction and bias")
        }
    }

    /// ENOTSUPP, which the kernel keeps from user space by intent but not always in fact.
    private var kernelNotSupported: Int32 { 524 }

    var consumerName: String { text(consumer) ?? "unknown" }
}

/// What C has put there; `nil` for nothing.
private func text(_ room: [CChar]) -> String? {
    let bytes = room.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
}

extension LineSettings {
    /// What the settings ask for that no line can do.
    var contradiction: String? {
        guard direction != .input else { return nil }
        if edges != .none { return "edge detection on an output" }
        if debounce > .zero { return "debouncing an output" }
        return nil
    }

    fileprivate var converted: kedge_gpio_settings {
        var result = kedge_gpio_settings()
        if case .output(let active) = direction {
            result.output = true
            result.active = active
        }
        result.active_low = activeLow
        result.open_drain = drive == .openDrain
        switch bias {
        case .asIs: result.bias = Int32(KEDGE_GPIO_BIAS_AS_IS)
        case .disabled: result.bias = Int32(KEDGE_GPIO_BIAS_DISABLED)
        case .pullUp: result.bias = Int32(KEDGE_GPIO_BIAS_PULL_UP)
        case .pullDown: result.bias = Int32(KEDGE_GPIO_BIAS_PULL_DOWN)
        }
        if needsDebouncer {
            // Whatever is asked for: the debouncer needs to see the level go both ways.
            result.edges = Int32(KEDGE_GPIO_EDGES_BOTH)
        } else {
            switch edges {
            case .none: result.edges = Int32(KEDGE_GPIO_EDGES_NONE)
            case .rising: result.edges = Int32(KEDGE_GPIO_EDGES_RISING)
            case .falling: result.edges = Int32(KEDGE_GPIO_EDGES_FALLING)
            case .both: result.edges = Int32(KEDGE_GPIO_EDGES_BOTH)
            }
            // 71 minutes at most.
            result.debounce = UInt32(clamping: debounce.nanoseconds / 1_000)
        }
        return result
    }

    /// Whether debouncing is asked for and the kernel leaves it to us (libgpiod 1.6).
    var needsDebouncer: Bool { debounce > .zero && !kedge_gpio_debounces() }
}

extension Edges {
    /// Whether an edge to this level is asked for.
    func include(_ active: Bool) -> Bool {
        switch self {
        case .none: false
        case .rising: active
        case .falling: !active
        case .both: true
        }
    }
}
