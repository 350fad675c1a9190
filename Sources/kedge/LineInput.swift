import CShim
import Platform

/// The lines of standard input, taken as long as there is room for what becomes of them.
final class LineInput {
    /// The longest line, in bytes.
    static var longestLine: Int { 65_536 }

    /// Nothing more comes.
    private(set) var hasEnded = false

    private let loop: any Loop
    private let hasRoom: () -> Bool
    private let take: (_ line: [UInt8], _ number: Int) -> Void
    private let onEnd: () -> Void
    private var bytes: [UInt8] = []
    private var number = 0
    private var isWatched = false
    /// Files are always ready, so no loop can watch them.
    private var isFile = false

    /// - Parameters:
    ///   - hasRoom: whether `take` may be called.
    ///   - take: gets a line, without its end.
    ///   - onEnd: called when there are no more.
    init(
        loop: any Loop, hasRoom: @escaping () -> Bool, take: @escaping ([UInt8], Int) -> Void,
        onEnd: @escaping () -> Void
    ) {
        self.loop = loop
        self.hasRoom = hasRoom
        self.take = take
        self.onEnd = onEnd
    }

    deinit { pause() }

    /// Takes lines; call it again when there is room.
    func go() {
        hand()
        while !hasEnded, hasRoom(), isFile || !watch() { readSome() }
    }

    private func readSome() {
        read()
        hand()
        if hasEnded || !hasRoom() { pause() }
        if isEmpty { onEnd() }
    }

    private func pause() {
        if isWatched { loop.unwatch(0) }
        isWatched = false
    }

    /// Whether the loop tells when there is something to read.
    private func watch() -> Bool {
        if isWatched { return true }
        do throws(SystemError) {
            try loop.watch(0) { [unowned(unsafe) self] in
                readSome()
            }
            isWatched = true
        } catch {
            isFile = true
        }
        return isWatched
    }

    private func read() {
        let start = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: 4_096))
        let count = bytes.withUnsafeMutableBytes { CShim.read(0, $0.baseAddress.map { $0 + start }, 4_096) }
        bytes.removeLast(4_096 - max(0, count))
        if count <= 0 { hasEnded = true }
    }

    /// Hands over the whole lines that are there.
    private func hand() {
        while hasRoom() {
            let end = bytes.firstIndex(of: 10)
            // The last line need not end, and one without an end is not waited for.
            guard end != nil || (hasEnded && !bytes.isEmpty) || bytes.count > Self.longestLine else { return }
            let line = Array(bytes[..<(end ?? bytes.count)])
            bytes.removeFirst(min(bytes.count, line.count + 1))
            number += 1
            take(line, number)
        }
    }

    /// Whether lines are left.
    var isEmpty: Bool { hasEnded && bytes.isEmpty }
}
