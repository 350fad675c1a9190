import Dispatch
import Platform
import TestSupport
import Testing

@Suite struct WorkerOrderTests {
    @Test func urgentJobsGoFirstAndWithdrawnOnesNotAtAll() throws {
        let loop = try EventLoop()
        let worker = try Worker(name: "test", loop: loop)
        let (begun, release) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        var ran: [Int] = []
        var completed: [Int] = []
        func add(_ job: Int, isUrgent: Bool = false) -> UInt64 {
            worker.perform({ ran.append(job) }, isUrgent: isUrgent, completion: { completed.append(job) })
        }
        let first = worker.perform(
            {
                begun.signal()
                release.wait()
            }, isUrgent: false, completion: { completed.append(0) })
        begun.wait()
        _ = add(1)
        let second = add(2)
        _ = add(3, isUrgent: true)
        #expect(worker.withdraw(second))
        #expect(!worker.withdraw(second))
        // It has begun.
        #expect(!worker.withdraw(first))
        #expect(worker.pending == 3)
        release.signal()
        #expect(try loop.wait(for: .seconds(20)) { worker.pending == 0 })
        #expect(ran == [3, 1])
        #expect(completed == [0, 3, 1])
    }
}
