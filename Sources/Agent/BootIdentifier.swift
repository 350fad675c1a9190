import CShim

/// The middle part of record ids: 48 random bits in hexadecimal, drawn at each start, so that no clock and no file is
/// needed for an id never to be used again.
func bootIdentifier() -> String {
    var bits: UInt64 = 0
    // Cannot fail: glibc's getentropy blocks until the kernel has entropy, and ends the process where it never will.
    arc4random_buf(&bits, 6)
    let digits = String(bits & 0xFFFF_FFFF_FFFF, radix: 16)
    return String(repeating: "0", count: 12 - digits.utf8.count) + digits
}
