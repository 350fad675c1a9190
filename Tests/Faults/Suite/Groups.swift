/// A consumer group with one member at a time: whoever joins takes the place of the one before, whose session would
/// otherwise have to run out after each kill. Who has lost its place is told so at its next request, as by a real broker.
final class ConsumerGroup {
    private(set) var generation: Int32 = 0
    private(set) var member = ""
    private var assignment: [UInt8] = []

    /// - Parameter known: the member's own idea of its name; empty for a new one.
    /// - Returns: its name, or `nil` if it has lost its place and is to come again without one.
    func join(_ known: String) -> String? {
        if !known.isEmpty && known != member { return nil }
        generation += 1
        if known.isEmpty { member = "member-\(generation)" }
        assignment = []
        return member
    }

    /// The only member leads, and tells what it is to read.
    func synchronise(_ name: String, _ generation: Int32, _ assignments: [(member: String, bytes: [UInt8])])
        -> (code: Code, bytes: [UInt8])
    {
        let code = check(name, generation)
        if code != .none { return (code, []) }
        if let own = assignments.first(where: { $0.member == name }) { assignment = own.bytes }
        return (.none, assignment)
    }

    func check(_ name: String, _ generation: Int32) -> Code {
        if name != member { return .unknownMember }
        return generation == self.generation ? .none : .illegalGeneration
    }

    func leave(_ name: String) -> Code {
        if name != member { return .unknownMember }
        member = ""
        return .none
    }
}

extension Requests {
    func joinGroup(_ reader: inout WireReader, _ writer: inout WireWriter, _ denial: Code?) throws {
        let group = broker.group(try reader.string())
        _ = try reader.integer(Int32.self)
        let known = try reader.string()
        _ = try reader.string()
        let protocols = try reader.array { (reader) throws(WireReader.Torn) in
            (name: try reader.string(), metadata: try reader.bytes())
        }
        guard let choice = protocols?.first else { throw Unknown() }
        let member = denial == nil ? group.join(known) : nil
        writer.write((denial ?? (member == nil ? .unknownMember : .none)).rawValue)
        writer.write(group.generation)
        writer.write(choice.name)
        writer.write(member ?? "")
        writer.write(member ?? "")
        writer.write(array: member.map { [$0] } ?? []) {
            $0.write($1)
            $0.write(choice.metadata)
        }
    }

    func syncGroup(_ reader: inout WireReader, _ writer: inout WireWriter, _ denial: Code?) throws {
        let group = broker.group(try reader.string())
        let generation = try reader.integer(Int32.self)
        let member = try reader.string()
        let assignments = try reader.array { (reader) throws(WireReader.Torn) in
            (member: try reader.string(), bytes: try reader.bytes())
        }
        let result = denial.map { (code: $0, bytes: []) } ?? group.synchronise(member, generation, assignments ?? [])
        writer.write(result.code.rawValue)
        writer.write(result.bytes)
    }

    func heartbeat(_ reader: inout WireReader, _ writer: inout WireWriter, _ denial: Code?) throws {
        let group = broker.group(try reader.string())
        let generation = try reader.integer(Int32.self)
        let member = try reader.string()
        writer.write((denial ?? group.check(member, generation)).rawValue)
    }

    func leaveGroup(_ reader: inout WireReader, _ writer: inout WireWriter, _ denial: Code?) throws {
        let group = broker.group(try reader.string())
        let member = try reader.string()
        writer.write((denial ?? group.leave(member)).rawValue)
    }

    func offsetCommit(_ reader: inout WireReader, _ writer: inout WireWriter, _ denial: Code?) throws {
        let name = try reader.string()
        let generation = try reader.integer(Int32.self)
        let member = try reader.string()
        _ = try reader.integer(Int64.self)
        // Without a generation it is no member's, but an administrator's.
        let code = denial ?? (generation < 0 ? .none : broker.group(name).check(member, generation))
        try eachPartition(&reader, &writer) { reader, writer, place in
            let value = Broker.GroupOffset(offset: try reader.integer(Int64.self), metadata: try reader.string())
            if code == .none { broker.commit(value, of: Broker.OffsetKey(group: name, place: place)) }
            writer.write(code.rawValue)
        }
    }
}
