import CShim
import Foundation
import Platform
import TestSupport
import Testing

@Suite struct EventLoopTests {
    @Test func timersAndDescriptorsAreServedInOneLoop() throws {
        let loop = try EventLoop()
        let event = try Descriptor.event()
        var seen: [String] = []
        try loop.watch(event.number) {
            event.drain()
            seen.append("descriptor")
        }
        loop.after(.milliseconds(5)) {
            seen.append("timer")
            event.signal()
        }
        #expect(try loop.wait { seen.count == 2 })
        #expect(seen == ["timer", "descriptor"])
    }

    @Test func aTimerNeverRunsEarly() throws {
        let loop = try EventLoop()
        var late: Interval?
        let due = loop.time.now + .microseconds(12_300)
        loop.at(due) { late = loop.time.now - due }
        #expect(try loop.wait { late != nil })
        #expect(try #require(late) >= .zero)
    }

    @Test func anUnwatchedDescriptorIsSilentEvenWithinTheSameRound() throws {
        let loop = try EventLoop()
        let first = try Descriptor.event()
        let second = try Descriptor.event()
        var seen = 0
        // Whichever comes first ends the other's watch: exactly one may run.
        try loop.watch(first.number) {
            first.drain()
            seen += 1
            loop.unwatch(second.number)
        }
        try loop.watch(second.number) {
            second.drain()
            seen += 1
            loop.unwatch(first.number)
        }
        first.signal()
        second.signal()
        try loop.turn(atMost: .milliseconds(100))
        try loop.turn(atMost: .milliseconds(10))
        #expect(seen == 1)
    }

    @Test func aDescriptorThatCannotBeWatchedIsAnErrorWithItsErrno() throws {
        let loop = try EventLoop()
        #expect(throws: SystemError(call: "epoll_ctl", code: EBADF)) { try loop.watch(9_999) {} }
    }
}

@Suite struct WorkerTests {
    @Test func jobsRunInOrderAwayFromTheLoopAndCompleteOnIt() throws {
        let loop = try EventLoop()
        let worker = try Worker(name: "test", loop: loop)
        let loopThread = pthread_self()
        var jobs: [Int] = []
        var completions: [Int] = []
        var onLoop = true
        var away = true
        for number in 0..<100 {
            worker.perform {
                away = away && pthread_equal(pthread_self(), loopThread) == 0
                jobs.append(number)
            } completion: {
                onLoop = onLoop && pthread_equal(pthread_self(), loopThread) != 0
                completions.append(number)
            }
        }
        #expect(worker.pending == 100)
        #expect(try loop.wait { completions.count == 100 })
        #expect(jobs == Array(0..<100))
        #expect(completions == Array(0..<100))
        #expect(away && onLoop)
        #expect(worker.pending == 0)
    }

    /// A hung bus must hold up nothing but itself.
    @Test func aJobThatHangsDelaysNeitherTheLoopNorAnotherWorker() throws {
        let loop = try EventLoop()
        let gate = DispatchSemaphore(value: 0)
        let hung = try Worker(name: "hung", loop: loop)
        let healthy = try Worker(name: "healthy", loop: loop)
        var hungDone = false
        var healthyDone = false
        var timer = false
        hung.perform {
            gate.wait()
        } completion: {
            hungDone = true
        }
        healthy.perform {
        } completion: {
            healthyDone = true
        }
        loop.after(.milliseconds(1)) { timer = true }
        #expect(try loop.wait { healthyDone && timer })
        #expect(!hungDone)
        gate.signal()
        #expect(try loop.wait { hungDone })
    }

    @Test func aWorkerWhoseJobHangsCanBeAbandoned() throws {
        let loop = try EventLoop()
        let gate = DispatchSemaphore(value: 0)
        let begun = DispatchSemaphore(value: 0)
        let left = DispatchSemaphore(value: 0)
        var worker: Worker? = try Worker(name: "abandoned", loop: loop)
        worker?.perform {
            begun.signal()
            gate.wait()
            left.signal()
        } completion: {
        }
        begun.wait()
        worker = nil
        gate.signal()
        #expect(left.wait(timeout: .now() + 20) == .success)
    }
}

@Suite struct SystemErrorTests {
    @Test func namesTheCallThePathAndTheReason() {
        let error = #expect(throws: SystemError.self) { try readFile("/absent/file") }
        #expect(error?.description == "open /absent/file: No such file or directory (errno 2)")
    }

    @Test func readsAFileUpToItsLimit() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("kedge-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data((0..<10_000).map { UInt8($0 % 251) }).write(to: URL(fileURLWithPath: path))
        #expect(try readFile(path).count == 10_000)
        #expect(try readFile(path, limit: 5_000) == (0..<5_000).map { UInt8($0 % 251) })
    }

    @Test func aCallThatWouldBlockIsNoError() throws {
        let event = try Descriptor.event()
        var count: UInt64 = 0
        #expect(try systemCallUnlessBlocking("read") { read(event.number, &count, 8) } == nil)
        event.signal()
        #expect(try systemCallUnlessBlocking("read") { read(event.number, &count, 8) } == 8)
    }
}
