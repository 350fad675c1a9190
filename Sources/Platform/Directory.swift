import CShim

/// The names in a directory, sorted as numbers count (`i2c-2` before `i2c-10`), without those that begin with a dot.
public func directoryEntries(_ path: String) throws(SystemError) -> [String] {
    let names = Names()
    try systemCall("scandir", on: path) {
        kedge_list(
            path,
            { context, name in
                guard let context, let name else { return }
                Unmanaged<Names>.fromOpaque(context).takeUnretainedValue().all.append(String(cString: name))
            }, Unmanaged.passUnretained(names).toOpaque())
    }
    return names.all
}

/// Whether `path` is a folder; `nil` where that cannot be seen.
public func isFolder(_ path: String) -> Bool? {
    let inside = path + "/."
    do throws(SystemError) {
        try systemCall("access", on: path) { inside.withCString { access($0, F_OK) } }
        return true
    } catch {
        return error.code == ENOENT || error.code == ENOTDIR ? false : nil
    }
}

/// What C hands its names to.
private final class Names {
    var all: [String] = []
}

/// Where a symbolic link points, as it is written; `nil` when `path` is none.
public func linkTarget(_ path: String) -> String? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1_024) { buffer -> String? in
        // One byte is left for the end, which readlink(2) does not write.
        guard let start = buffer.baseAddress else { return nil }
        let count = readlink(path, start, buffer.count - 1)
        if count <= 0 { return nil }
        start[count] = 0
        return String(cString: start)
    }
}

/// The first line of a small file, such as a sysfs attribute; `nil` when it cannot be read.
public func firstLine(_ path: String) -> String? {
    do throws(SystemError) {
        let bytes = try readFile(path, limit: 256)
        return String(decoding: bytes.prefix { $0 != 10 }, as: UTF8.self)
    } catch {
        return nil
    }
}

/// What gives the right to open a device: the group that has it, as the file itself tells.
/// - Parameter group: the group that usually has it, for a file that cannot be looked at.
public func permissionRemedy(_ path: String, group: StaticString) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer -> String in
        guard let start = buffer.baseAddress else { return "" }
        switch kedge_group_access(path, start, buffer.count) {
        case 0:
            return joined(
                "no group may use ", path, ": a udev rule (60-kedge.rules) must give it to the group ", string(group))
        case 1: return joined("the user must be in the group ", String(cString: start))
        default: return joined("the user must be in the group ", string(group))
        }
    }
}
