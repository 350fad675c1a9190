import Platform

/// A reply as somebody else sent it, as far as a sender of commands must understand it.
public struct ReceivedReply: Equatable, Sendable {
    /// Of the command that is answered.
    public let id: String
    /// Who answers; empty when the reply does not say.
    public let node: String
    public let isDone: Bool

    /// - Returns: `nil` when the bytes are no reply.
    public init?(_ bytes: UnsafeRawBufferPointer) {
        do throws(JSONError) {
            let document = try JSONDocument(bytes)
            guard let id = Self.text(document["id"]), let status = Self.text(document["status"]) else { return nil }
            self.id = id
            node = Self.text(document["node"]) ?? ""
            isDone = status.isEqual(to: "done")
        } catch {
            return nil
        }
    }

    private static func text(_ element: JSONElement?) -> String? {
        if let element, case .string(let text) = element.kind { return text }
        return nil
    }
}
