import Platform
import TestSupport
import Testing

@Suite struct TimerQueueTests {
    @Test func timersRunInOrderOfTheirInstantsAndOfTheirSetting() {
        let loop = ManualLoop()
        var order: [Int] = []
        loop.after(.seconds(2)) { order.append(3) }
        loop.after(.seconds(1)) { order.append(1) }
        loop.after(.seconds(1)) { order.append(2) }
        loop.advance(by: .seconds(3))
        #expect(order == [1, 2, 3])
    }
}
