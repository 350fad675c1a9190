import CRdkafka
import Platform
import Records

/// Whether a client has its brokers, as far as its events tell, and what has been said about it.
///
/// librdkafka reports each failed attempt, but no success, and that all brokers are down only when it finds them down
/// in the same instant. So a link is up with any acknowledgement, message or commit, and the statistics decide when
/// there is none: they also tell for how long nothing has been heard, which is all there is to see of a connection that
/// died silently, until socket.timeout.ms (60 s). Each kind of error is said once until then.
final class Link {
    /// `nil` until the first answer or the first failure of all brokers.
    private(set) var isUp: Bool?
    private var hasBeenUp = false
    var onChange: ((Bool) -> Void)?
    /// Such as "kafka producer".
    let place: String

    private let loop: any Loop
    private let log: Log
    /// Since when the brokers have been away, `nil` while they are not: since they were last heard when they fell
    /// silent, otherwise since that was noticed.
    private(set) var downSince: Instant?
    /// How long connected brokers may be silent. `nil` for ever: nobody has asked them anything.
    var patience: Interval?
    private var said: [Int32] = []
    /// Whether a failed handshake has been put down to the clock.
    private var hasBlamedClock = false
    /// The last failure of one broker: why there is none when all are gone.
    private var cause = ""
    /// Statistics in a row that show no broker. One may fall into a moment between two connections.
    private var absences = 0

    init(name: StaticString, loop: any Loop, log: Log) {
        place = "kafka \(name.text)"
        self.loop = loop
        self.log = log
    }

    func failed(_ error: KafkaError) {
        switch rd_kafka_resp_err_t(rawValue: error.code) {
        case RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__RESOLVE, RD_KAFKA_RESP_ERR__TIMED_OUT,
            RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
            // Of one broker; the others may do. When it is said, then as the cause.
            cause = error.reason
            log.debug("\(place): \(error.reason)")
        case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
            goDown(cause.isEmpty ? error.reason : cause)
        case RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
            sayOnce(error, remedy: "check sasl.username, sasl.password and sasl.mechanism", isError: true)
        case RD_KAFKA_RESP_ERR__SSL:
            if !loop.time.isSynchronised {
                blameClock(error)
                return
            }
            sayOnce(
                error, remedy: "check ssl.ca.location, the names in the broker's certificate, and this clock",
                isError: true)
        default: sayOnce(error, remedy: nil, isError: error.isFatal)
        }
    }

    /// What the statistics say.
    /// - Parameter silence: for how long nothing has come from any connected broker; `nil` when none is connected.
    func observed(silence: Interval?, isNeeded: Bool) {
        if let silence {
            if let patience, silence > patience {
                goDown(joined("no answer for ", decimal(silence.milliseconds), " ms"), since: loop.time.now - silence)
            } else {
                succeeded()
            }
        } else if isNeeded {
            absences += 1
            if absences >= 2 { goDown(cause.isEmpty ? "none is connected" : cause) }
        }
    }

    func succeeded() {
        absences = 0
        if isUp == true && said.isEmpty && !hasBlamedClock { return }
        said.removeAll(keepingCapacity: true)
        hasBlamedClock = false
        cause = ""
        if let downSince {
            let seconds = (loop.time.now - downSince).milliseconds / 1_000
            log.info("\(place): connected\(hasBeenUp ? " again" : "") after \(seconds) s")
        } else if isUp == nil {
            log.info("\(place): connected")
        }
        downSince = nil
        let changed = isUp != true
        isUp = true
        hasBeenUp = true
        if changed { onChange?(true) }
    }

    private func goDown(_ reason: String, since start: Instant? = nil) {
        guard downSince == nil else { return }
        downSince = start ?? loop.time.now
        log.warning("\(place): waiting for the broker: \(reason)")
        isUp = false
        onChange?(false)
    }

    /// Before NTP the machine may be years back, where no certificate is valid yet. OpenSSL's text only says that
    /// the certificate could not be verified. librdkafka goes on trying, and so the link comes up when the clock is right.
    private func blameClock(_ error: KafkaError) {
        if hasBlamedClock { return }
        hasBlamedClock = true
        log.warning(
            joined(
                error.description, "; the clock is not synchronised, and says ", calendarDate(loop.time.wallTime),
                ": if that is wrong, certificates are not valid yet, or no more. This is tried until it succeeds; "
                    + "see to NTP (timedatectl), or set the clock"))
    }

    /// Says an error, unless its kind has been said since the last success.
    private func sayOnce(_ error: KafkaError, remedy: StaticString?, isError: Bool) {
        guard !said.contains(error.code) else { return }
        said.append(error.code)
        let text = remedy.map { "\(error.description); \($0.text)" } ?? error.description
        if isError { log.error(text) } else { log.warning(text) }
    }
}
