import FaultChecker
import Testing

@Suite struct CommandLedgerTests {
    private let ledger = CommandLedger()

    @Test func whatIsKeptIsFoundKept() {
        ledger.send("a", value: 1)
        ledger.move(to: 1, at: 10)
        ledger.reply(to: "a", .init("done"))
        ledger.send("b", value: 2, expires: 5)
        ledger.reply(to: "b", .init("expired", "at 5"))
        // Killed between its action and its reply.
        ledger.send("c", value: 3)
        ledger.move(to: 3, at: 30)
        ledger.reply(to: "c", .init("failed", "unknown outcome: the node ended"))
        // Answered twice, with the same words.
        ledger.send("d", value: 4, expires: 60)
        ledger.move(to: 4, at: 61)
        ledger.reply(to: "d", .init("done"))
        ledger.reply(to: "d", .init("done"))
        ledger.reply(to: "d", .init("duplicate"))
        let account = ledger.account(slack: 5)
        #expect((account.sent, account.acted, account.unknown) == (4, 3, 1))
        #expect(account.breaches == [])
        #expect(ledger.details(slack: 5) == [])
    }

    @Test func nothingSentProvesNothing() {
        #expect(ledger.account(slack: 0).breaches == ["nothing was sent"])
    }

    @Test func anActionThatComesAgain() {
        ledger.send("a", value: 1)
        for time in [10, 900] { ledger.move(to: 1, at: Int64(time)) }
        ledger.reply(to: "a", .init("done"))
        #expect(ledger.account(slack: 0).breaches == ["1 carried out again"])
        #expect(ledger.details(slack: 0) == ["a: moved at [10, 900], expires 0, replies [\"done \"]"])
    }

    @Test func anActionThatIsTooLate() {
        ledger.send("a", value: 1, expires: 100)
        ledger.move(to: 1, at: 106)
        ledger.reply(to: "a", .init("done"))
        #expect(ledger.account(slack: 5).breaches == ["1 carried out after they had expired"])
        #expect(ledger.account(slack: 6).breaches == [])
    }

    @Test func aSenderWhoHearsNothing() {
        ledger.send("a", value: 1)
        ledger.send("b", value: 2)
        ledger.reply(to: "b", .init("rejected", "range"))
        #expect(ledger.account(slack: 0).breaches == ["1 without a reply"])
        #expect(ledger.unanswered == ["a"])
    }

    @Test(arguments: ["rejected", "expired", "preempted", "interlocked", "failed"])
    func anActionThatIsDenied(_ status: String) {
        ledger.send("a", value: 1)
        ledger.move(to: 1, at: 10)
        ledger.reply(to: "a", .init(status, "for some reason"))
        #expect(ledger.account(slack: 0).breaches == ["1 carried out and answered as if not"])
    }

    @Test func repliesThatContradictEachOther() {
        ledger.send("a", value: 1)
        ledger.reply(to: "a", .init("rejected"))
        ledger.reply(to: "a", .init("expired"))
        #expect(ledger.account(slack: 0).breaches == ["1 with replies that contradict each other"])
    }

    @Test func aDoneThatNobodySawIsCounted() {
        ledger.send("a", value: 1)
        ledger.reply(to: "a", .init("done"))
        #expect(ledger.account(slack: 0).unseen == 1)
        #expect(ledger.account(slack: 0).breaches == [])
    }

    @Test func whatIsNoCommandsIsNotTaken() {
        ledger.send("a", value: 1)
        #expect(!ledger.move(to: 0, at: 1))
        #expect(!ledger.reply(to: "b", .init("done")))
    }
}
