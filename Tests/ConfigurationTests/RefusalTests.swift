import Platform
import Testing

@testable import Configuration

/// What is refused, in which words, and what is told only once.
@Suite struct RefusalTests {
    @Test func aPathOrANameIsNotEmpty() {
        let source = Source("a: ''\nb: x\nc: 5\nd: ['', y]\n")
        let (value, lines) = source.read { top in
            [top.nonEmpty("a"), top.requiredNonEmpty("a"), top.nonEmpty("b"), top.nonEmpty("c"), top.nonEmpty("e")]
                + (top.fields("d")?.map { $0.nonEmpty() } ?? [])
        }
        #expect(value == [nil, nil, "x", "5", nil, nil, "y"])
        #expect(
            lines == [
                "kedge.yaml:1:4: a is \"\", expected text that is not empty",
                "kedge.yaml:4:5: d[0] is \"\", expected text that is not empty",
            ])
        #expect(
            Source("x: 1\n").read { $0.requiredNonEmpty("a") }.lines
                == ["kedge.yaml:1:1: a is missing, expected text"])
    }

    /// People have addresses in hexadecimal, whatever they forget to write.
    @Test(
        arguments: [
            ("0x76", 0x76, ""), ("119", 0x77, ""),
            ("76", nil, "is \"76\", expected an address from 0x76 to 0x77; did you mean 0x76?"),
            ("12", nil, "is \"12\", expected an address from 0x76 to 0x77"),
            ("0x78", nil, "is \"0x78\", expected an address from 0x76 to 0x77"),
            ("256", nil, "is \"256\", expected an address from 0x76 to 0x77"),
            ("-1", nil, "is \"-1\", expected an address from 0x76 to 0x77"),
            ("'0x76'", nil, "is \"0x76\" in quotes, expected an address from 0x76 to 0x77 without quotes"),
        ] as [(String, UInt8?, String)])
    func addresses(written: String, expected: UInt8?, problem: String) {
        let (value, lines) = Source("a: \(written)\n").read { $0.address("a", in: 0x76...0x77) }
        #expect(value == .some(expected))
        #expect(lines == (problem.isEmpty ? [] : ["kedge.yaml:1:4: a \(problem)"]))
    }

    @Test func whatMustBePositiveIsMoreThanZero() {
        let any = Double.leastNormalMagnitude...Double.greatestFiniteMagnitude
        #expect(
            Source("a: -1\n").read { $0.number("a", in: any) }.lines
                == ["kedge.yaml:1:4: a is \"-1\", expected a number of more than 0"])
        #expect(
            Source("a: 0\n").read { $0.number("a", in: Double.leastNormalMagnitude...5) }.lines
                == ["kedge.yaml:1:4: a is \"0\", expected a number of more than 0 and at most 5"])
    }

    @Test func whatIsRefusedIsNeverSuggested() {
        let lines = Source("htt: 1\nhttp: { a: 1 }\nmqtt: ~\n").read { top in
            _ = top.string("node")
            top.refuseLater(["http", "mqtt"])
            top.finish()
        }.lines
        #expect(
            lines == [
                "kedge.yaml:1:1: htt is no known key, expected node",
                "kedge.yaml:2:7: http is not in this version: leave it out",
            ])
    }

    @Test func aRehearsalIsSilentAndTeachesItsKeys() {
        let lines = Source("a: x\nb: 1\nc: 1\n").read { top in
            let rehearsal = top.rehearsal()
            _ = rehearsal.integer("a", in: 0...1)
            _ = rehearsal.requiredInteger("z", in: 0...1)
            top.learn(from: rehearsal)
            _ = top.string("b")
            top.finish()
        }.lines
        #expect(lines == ["kedge.yaml:3:1: c is no known key"])
    }

    /// What is no mapping has no keys: that they are missing follows from it.
    @Test func whatIsNoMappingIsOneMistake() {
        for text in ["a: [1]\n", "a: just text\n", "a: ${env:ABSENT}\n"] {
            let lines = Source(text).read { top in
                let reader = top.field("a")?.reader()
                _ = reader?.requiredString("x")
                _ = reader?.requiredChoice("y", ["z"])
                reader?.finish()
                return reader?.isBroken
            }.lines
            #expect(lines.count == 1, "\(lines)")
        }
    }

    @Test func aSubstitutionThatFailed() {
        let (value, _) = Source("a: ${env:ABSENT}\nb: [1, '${env:ABSENT}']\nc: 1\n").read { top in
            [top.isBroken, top.isRefused("a"), top.isRefused("b"), top.isRefused("c"), top.isRefused("d")]
        }
        #expect(value == [true, true, true, false, false])
        #expect(Source("c: 1\n").read { $0.isBroken }.value == false)
    }
}
