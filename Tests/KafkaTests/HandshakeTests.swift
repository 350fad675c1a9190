import Platform
import TestSupport
import Testing

@testable import Kafka

/// What is said of a handshake that fails.
@Suite struct HandshakeTests {
    /// As librdkafka words it; OpenSSL's reason (a certificate that is not valid yet) is not in it.
    private let failure = KafkaError(
        code: -181, place: "kafka producer", reason: "SSL handshake failed: certificate verify failed")

    @Test func beforeSynchronisationItIsPutDownToTheClock() throws {
        let loop = ManualLoop(wallTime: WallTime(nanoseconds: 1_456_790_399_000_000_000))
        let recorder = LogRecorder()
        let link = Link(name: "producer", loop: loop, log: recorder.log)
        loop.setSynchronised(false)
        for _ in 0..<5 { link.failed(failure) }
        #expect(recorder.lines.count == 1)
        let line = try #require(recorder.lines.first)
        #expect(line.hasPrefix("warning: kafka producer: SSL handshake failed: certificate verify failed"))
        #expect(line.contains("the clock is not synchronised, and says 2016-02-29"))
        #expect(line.contains("timedatectl"))
        // When the clock is known it is something else.
        loop.setSynchronised(true)
        for _ in 0..<5 { link.failed(failure) }
        #expect(recorder.lines.count == 2)
        #expect(recorder.lines[1].hasPrefix("error: ") && recorder.lines[1].contains("ssl.ca.location"))
        // After a success it would be news again.
        link.succeeded()
        loop.setSynchronised(false)
        link.failed(failure)
        #expect(recorder.lines.filter { $0.contains("says 2016-02-29") }.count == 2)
    }
}
