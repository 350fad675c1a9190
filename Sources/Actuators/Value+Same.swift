import Platform
import Records

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
