import FaultChecker
import Testing

@Suite struct PromiseTests {
    private let modes = Mode.Durability.allCases.flatMap { durability in
        Mode.Delivery.allCases.map { Mode(durability, $0) }
    }
    private let attacks: [Attack] = [[], .kill, .outage, [.kill, .outage], [.outage, .stopInOutage]]

    private func broken(
        _ mode: Mode, _ attack: Attack, lost: Int = 0, holes: Int = 0, duplicates: Int = 0, disorders: Int = 0,
        sent: Int = 1_000, tail: Int = 0
    ) -> Int {
        var account = Ledger.Account()
        (account.sent, account.lost, account.holes) = (sent, lost, holes)
        (account.duplicates, account.disorders) = (duplicates, disorders)
        return Promise(mode, under: attack, linger: 100, spill: 300).broken(by: account, tail: tail).count
    }

    @Test func theWholeIsAcceptedEverywhere() {
        for mode in modes { for attack in attacks { #expect(broken(mode, attack) == 0) } }
    }

    @Test func disorderHolesAndSilenceAreAcceptedNowhere() {
        for mode in modes {
            for attack in attacks {
                #expect(broken(mode, attack, disorders: 1) == 1)
                #expect(broken(mode, attack, lost: 1, holes: 1) == 1)
                #expect(broken(mode, attack, sent: 0) == 1)
            }
        }
    }

    @Test func duplicatesAreAcceptedUnlessExactlyOnce() {
        for mode in modes {
            for attack in attacks {
                #expect(broken(mode, attack, duplicates: 1) == (mode.delivery == .exactlyOnce ? 1 : 0))
            }
        }
    }

    @Test func alwaysLosesNothing() {
        for attack in attacks {
            for delivery in Mode.Delivery.allCases {
                #expect(broken(Mode(.always, delivery), attack, lost: 1) == 1)
                #expect(broken(Mode(.always, delivery), attack, tail: 1_600) == 0)
                #expect(broken(Mode(.always, delivery), attack, tail: 1_601) == 1)
            }
        }
    }

    @Test func spillLosesOnlyTheLastMomentsBeforeAKill() {
        let mode = Mode(.spill, .atLeastOnce)
        #expect(broken(mode, [], lost: 1) == 1)
        #expect(broken(mode, .outage, lost: 1) == 1)
        #expect(broken(mode, [.outage, .stopInOutage], lost: 1) == 1)
        #expect(broken(mode, .kill, lost: 30, tail: 200) == 0)
        #expect(broken(mode, .kill, lost: 30, tail: 1_700) == 1)
        #expect(broken(mode, [.kill, .outage], lost: 30, tail: 1_700) == 0)
        #expect(broken(mode, [.kill, .outage], lost: 30, tail: 2_000) == 1)
    }

    @Test func memoryLosesWhatItCouldNotSend() {
        let mode = Mode(.memory, .atLeastOnce)
        #expect(broken(mode, .outage, lost: 1) == 1)
        #expect(broken(mode, .kill, lost: 30, tail: 1_700) == 1)
        #expect(broken(mode, [.kill, .outage], lost: 30, tail: 60_000) == 0)
        #expect(broken(mode, [.outage, .stopInOutage], lost: 30) == 0)
    }
}
