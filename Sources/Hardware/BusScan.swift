import CShim
import Platform

/// Which addresses of a bus answer. Asked as carefully as i2cdetect(8) does: no data is sent, and nothing is read where a
/// bare address is enough.
///
/// A bus whose lines are held low times out at each address: after three in a row the scan gives up.
public struct BusScan {
    public enum State: Equatable, Sendable {
        case answers
        /// A driver of the kernel has the device; which, where it is known.
        case held(by: String?)

        public static func == (left: State, right: State) -> Bool {
            switch (left, right) {
            case (.answers, .answers): return true
            case (.held(let left), .held(let right)):
                guard let left, let right else { return left == nil && right == nil }
                return sameBytes(left, right)
            default: return false
            }
        }
    }

    /// An address at which there is something.
    public struct Device: Equatable, Sendable {
        public let address: UInt8
        public let state: State

        public init(address: UInt8, state: State) {
            self.address = address
            self.state = state
        }
    }

    public private(set) var devices: [Device] = []
    /// Why the scan ended before the last address: a bus that times out again and again, or cannot be asked at all.
    public private(set) var failure: I2CError?

    /// The addresses that are not reserved (UM10204, section 3.1.12).
    public static var addresses: ClosedRange<UInt8> { 0x08...0x77 }

    /// Whether every address seems to answer: SDA is low whoever is asked, which looks like an acknowledge.
    public private(set) var isHeldLow = false

    /// Asks each address.
    /// - Parameter holder: the driver that has an address; asked where the kernel refuses the transfer.
    public init(
        _ bus: any I2CBus, addresses: ClosedRange<UInt8> = Self.addresses, holder: (UInt8) -> String? = { _ in nil }
    ) {
        let functions = bus.functions
        guard functions.has(.quick) || functions.has(.readByte) || functions.has(.plain) else {
            failure = I2CError(bus: bus.name, address: addresses.lowerBound, register: nil, code: EOPNOTSUPP)
            return
        }
        var delays = 0
        for address in addresses {
            do throws(I2CError) {
                try Self.ask(bus, address, quick: functions.has(.quick))
                devices.append(Device(address: address, state: .answers))
                delays = 0
            } catch {
                if error.code == EBUSY {
                    devices.append(Device(address: address, state: .held(by: holder(address))))
                }
                delays = error.mayTakeLong ? delays + 1 : 0
                // At 0.2 s each, the rest would take half a minute and tell nothing.
                if delays == 3 {
                    failure = error
                    return
                }
            }
        }
        // No bus has room for so many (it is loaded with at most 400 pF).
        isHeldLow = devices.count > 100 && devices.allSatisfy { $0.state == .answers }
    }

    /// A bare address with the write bit, which no device takes for data; but where EEPROMs are, of which some take it for
    /// a write (24RF08), and chips that it would lock, one byte is read.
    private static func ask(_ bus: any I2CBus, _ address: UInt8, quick: Bool) throws(I2CError) {
        let isDelicate = (0x30...0x37).contains(address) || (0x50...0x5F).contains(address)
        if quick && !isDelicate {
            do throws(I2CError) { return try bus.quick(address) } catch {
                // Some controllers cannot send nothing but an address, whatever their functions say.
                if error.code != EOPNOTSUPP { throw error }
            }
        }
        _ = try bus.readByte(address)
    }
}

extension I2CError {
    fileprivate var mayTakeLong: Bool { code == ETIMEDOUT || code == EAGAIN }
}
