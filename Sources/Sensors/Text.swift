// Interpolation costs some 300 bytes of code for each part; these cost a call.

@inline(never)
func joined(_ parts: String...) -> String {
    var text = ""
    for part in parts { text += part }
    return text
}

@inline(never)
func decimal(_ number: Int64) -> String { String(number) }

@inline(never)
func decimal(_ number: UInt64) -> String { String(number) }

@inline(never)
func decimal(_ number: Int) -> String { decimal(Int64(number)) }
