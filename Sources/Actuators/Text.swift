import Records

// Interpolation costs some 300 bytes of code for each part, and `==` of strings the tables of Unicode; these cost a call.

@inline(never)
package func joined(_ parts: String...) -> String {
    var text = ""
    for part in parts { text += part }
    return text
}

@inline(never)
package func decimal(_ number: Int64) -> String { String(number) }

@inline(never)
package func decimal(_ number: Int) -> String { decimal(Int64(number)) }

@inline(never)
package func string(_ text: StaticString) -> String { text.withUTF8Buffer { String(decoding: $0, as: UTF8.self) } }

/// Whether the two are the same bytes: ids are compared so, without Unicode equivalence.
@inline(never)
package func sameBytes(_ left: String, _ right: String) -> Bool {
    left.utf8.count == right.utf8.count && left.utf8.elementsEqual(right.utf8)
}

/// Whether the two are the same value of the same kind.
@inline(never)
package func sameValue(_ left: Value, _ right: Value) -> Bool {
    switch (left, right) {
    case (.number(let left), .number(let right)): left == right
    case (.integer(let left), .integer(let right)): left == right
    case (.boolean(let left), .boolean(let right)): left == right
    case (.text(let left), .text(let right)): sameBytes(left, right)
    default: false
    }
}
