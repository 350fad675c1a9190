import CShim

/// A call into the kernel that failed: which call, on what, and why.
public struct SystemError: Error, Equatable, Sendable {
    /// The call's name, such as `open`.
    public let call: StaticString
    /// The errno that it left, such as `ENOENT` (2).
    public let code: Int32
    /// What it was done to: a path, a bus, a signal; may be empty.
    public let subject: String

    public init(call: StaticString, code: Int32, subject: String = "") {
        self.call = call
        self.code = code
        self.subject = subject
    }

    public static func == (left: SystemError, right: SystemError) -> Bool {
        left.code == right.code && sameBytes(left.subject, right.subject)
    }

    /// The kernel's words for `code`, such as "No such file or directory".
    public var reason: String { errorText(code) }

    /// Such as "open /dev/i2c-1: No such file or directory (errno 2)".
    public var description: String {
        let name = String(call)
        return subject.isEmpty
            ? "\(name): \(reason) (errno \(code))" : "\(name) \(subject): \(reason) (errno \(code))"
    }
}

/// The C library's text for an errno.
public func errorText(_ code: Int32) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
        guard let start = buffer.baseAddress else { return "" }
        kedge_strerror(code, start, buffer.count)
        return String(cString: start)
    }
}

/// Makes a system call. This is the one place where errno is read.
///
/// A call interrupted by a signal (`EINTR`) is made again; the result is the call's own, never negative.
/// - Throws: `SystemError` with the errno when the call returned a negative number.
@discardableResult
public func systemCall<Result: FixedWidthInteger & SignedInteger>(
    _ name: StaticString, on subject: @autoclosure () -> String = "", _ body: () -> Result
) throws(SystemError) -> Result {
    while true {
        let result = body()
        if result >= 0 { return result }
        let code = kedge_errno()
        if code != EINTR { throw SystemError(call: name, code: code, subject: subject()) }
    }
}

/// As `systemCall`, but for descriptors that do not block: `nil` when the call would have to wait.
public func systemCallUnlessBlocking<Result: FixedWidthInteger & SignedInteger>(
    _ name: StaticString, on subject: @autoclosure () -> String = "", _ body: () -> Result
) throws(SystemError) -> Result? {
    do throws(SystemError) {
        return try systemCall(name, on: subject(), body)
    } catch {
        if error.code == EAGAIN || error.code == EWOULDBLOCK { return nil }
        throw error
    }
}
