import Foundation

/// The broker on the network, and what goes wrong with it.
///
/// Two ports: agents come by the exposed one, where all faults are, consumers by the quiet one. One thread per
/// connection; one request at a time gets to the broker.
final class Service: @unchecked Sendable {
    enum Weather {
        case fair
        /// Nobody listens, and all connections are cut. What the broker has is kept.
        case down
        /// Connections are taken, and nothing happens on them: a stopped process, or a link that died silently.
        case stalled
        /// Requests are carried out, and their answers lost.
        case deaf
    }

    let exposedPort: UInt16
    let quietPort: UInt16

    /// Guards everything below, and the broker.
    private let lock = NSCondition()
    private let broker: Broker
    private var weather = Weather.fair
    private var latency = 0.0
    private var injections: [Request: [Injection]] = [:]
    private var connections: [Int32: UInt16] = [:]
    private var listener: Int32 = -1
    /// Counts what changes what consumers see.
    private var changes = 0
    private var requests: [Request: Int] = [:]

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    init(partitions: Int32, sabotage: Broker.Sabotage? = nil) throws {
        broker = Broker(partitions: partitions) { wallTime() }
        broker.sabotage = sabotage
        // One connection to an agent ends while it is written to.
        signal(SIGPIPE, SIG_IGN)
        let exposed = try Self.listen(0)
        let quiet = try Self.listen(0)
        exposedPort = exposed.port
        quietPort = quiet.port
        listener = exposed.descriptor
        serve(exposed.descriptor, exposedPort)
        serve(quiet.descriptor, quietPort)
    }

    // MARK: Faults

    func set(_ weather: Weather) {
        lock.lock()
        defer { lock.unlock() }
        if weather == self.weather { return }
        if self.weather == .down, let again = try? Self.listen(exposedPort) {
            listener = again.descriptor
            serve(again.descriptor, exposedPort)
        }
        self.weather = weather
        if weather == .down {
            shutdown(listener, Int32(SHUT_RDWR))
            close(listener)
            cutConnections()
        }
        lock.broadcast()
    }

    /// Ends the connections of agents; they may come again at once.
    func cut() { locked { cutConnections() } }

    private func cutConnections() {
        for (descriptor, port) in connections where port == exposedPort { shutdown(descriptor, Int32(SHUT_RDWR)) }
    }

    /// How long each answer to an agent takes, in seconds.
    func set(latency: Double) { locked { self.latency = latency } }

    /// The next requests of that kind from agents are answered so.
    func inject(_ request: Request, _ injection: Injection) {
        locked { injections[request, default: []].append(injection) }
    }
    func endInjections() { locked { injections = [:] } }
    func fence() {
        locked {
            broker.fence()
            changes += 1
        }
    }
    func forgetProducers() { locked { broker.forgetProducers() } }

    // MARK: What is there

    /// The end of what consumers with `read_committed` get of each partition.
    func ends(of topic: String) -> [Int64] { locked { broker.partitions(of: topic).map { $0.visibleEnd } } }
    /// Records and markers that lie in a topic.
    func count(in topic: String) -> Int { locked { broker.partitions(of: topic).reduce(0) { $0 + Int($1.end) } } }
    /// How many requests of each kind came, by both ports.
    var tally: [Request: Int] { locked { requests } }

    private func locked<T>(_ body: () -> T) -> T {
        lock.lock()
        defer { lock.unlock() }
        return body()
    }

    // MARK: Connections

    private static func listen(_ port: UInt16) throws -> (descriptor: Int32, port: UInt16) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        address.sin_port = port.bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) != 0 || Glibc.listen(descriptor, 64) != 0
                    ? -1 : getsockname(descriptor, $0, &size)
            }
        }
        guard result == 0 else {
            let code = errno
            close(descriptor)
            throw Failure(description: "cannot listen on 127.0.0.1:\(port): \(String(cString: strerror(code)))")
        }
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }

    private func serve(_ listener: Int32, _ port: UInt16) {
        Thread.detachNewThread { [self] in
            while true {
                let descriptor = accept(listener, nil, nil)
                if descriptor < 0 {
                    if errno == EINTR || errno == ECONNABORTED { continue }
                    return
                }
                // Children are not to hold the connection open.
                _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
                var on: Int32 = 1
                setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
                locked {
                    connections[descriptor] = port
                    if weather == .down && port == exposedPort { shutdown(descriptor, Int32(SHUT_RDWR)) }
                }
                Thread.detachNewThread { [self] in
                    talk(descriptor, port)
                    locked {
                        connections[descriptor] = nil
                        close(descriptor)
                    }
                }
            }
        }
    }

    /// Answers one connection's requests, one after the other, as brokers do.
    private func talk(_ descriptor: Int32, _ port: UInt16) {
        let isExposed = port == exposedPort
        let requests = Requests(broker: broker, port: port)
        var seenChanges = -1
        while let frame = Self.readFrame(descriptor) {
            guard frame.count >= 8 else { return }
            let request = Request(rawValue: Int16(frame[0]) << 8 | Int16(frame[1]))
            lock.lock()
            if isExposed, !wait(descriptor) {
                lock.unlock()
                return
            }
            if request == .fetch, seenChanges == changes {
                // Long polling, shortened.
                let end = Date(timeIntervalSinceNow: 0.1)
                while seenChanges == changes, lock.wait(until: end) {}
            }
            if let request { self.requests[request, default: 0] += 1 }
            var injection: Injection?
            if isExposed, let request, let first = injections[request]?.first {
                injection = first
                injections[request]?.removeFirst()
            }
            let answer: [UInt8]?
            do {
                answer = try requests.answer(frame, injection)
            } catch {
                answer = nil
                complain("request \(frame[1]) version \(frame[3]): \(error)")
            }
            switch request {
            case .produce, .endTransaction, .initProducer:
                changes += 1
                lock.broadcast()
            default: break
            }
            seenChanges = changes
            let isLost = isExposed && weather == .deaf
            let pause = isExposed ? latency : 0
            lock.unlock()
            guard let answer else { return }
            if isLost { continue }
            if pause > 0 { usleep(UInt32(pause * 1_000_000)) }
            guard Self.write(answer, to: descriptor) else { return }
        }
    }

    /// Waits until the broker is not stalled.
    /// - Returns: whether the request is still to be carried out: not when its sender has gone meanwhile. In
    ///   a network it would have been given up long before.
    private func wait(_ descriptor: Int32) -> Bool {
        var hasWaited = false
        while weather == .stalled {
            hasWaited = true
            lock.wait()
        }
        if weather == .down { return false }
        guard hasWaited else { return true }
        // Requests may lie behind this one: that there is more to read says nothing.
        let isGone = Int16(0x2000) | Int16(POLLHUP) | Int16(POLLERR)  // POLLRDHUP
        var state = pollfd(fd: descriptor, events: isGone, revents: 0)
        return poll(&state, 1, 0) == 0 || state.revents & isGone == 0
    }

    private static func readFrame(_ descriptor: Int32) -> [UInt8]? {
        guard let head = read(4, from: descriptor) else { return nil }
        let size = head.reduce(0) { $0 << 8 | Int($1) }
        guard size > 0, size < 100_000_000 else { return nil }
        return read(size, from: descriptor)
    }

    private static func read(_ count: Int, from descriptor: Int32) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let got = bytes.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress! + done, count - done, 0) }
            if got < 0 && errno == EINTR { continue }
            guard got > 0 else { return nil }
            done += got
        }
        return bytes
    }

    private static func write(_ answer: [UInt8], to descriptor: Int32) -> Bool {
        var writer = WireWriter()
        writer.write(answer)
        let bytes = writer.bytes
        var done = 0
        while done < bytes.count {
            let sent = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress! + done, bytes.count - done, 0) }
            if sent < 0 && errno == EINTR { continue }
            guard sent > 0 else { return false }
            done += sent
        }
        return true
    }
}

/// Milliseconds since 1970.
func wallTime() -> Int64 { Int64((Date().timeIntervalSince1970 * 1_000).rounded(.down)) }

/// To standard error.
func complain(_ text: String) { FileHandle.standardError.write(Data("fault-suite: \(text)\n".utf8)) }
