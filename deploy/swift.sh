# shellcheck shell=bash
# The Swift toolchain that kedge needs, and how to get it. Sourced by deploy/try and Tests/run; never run.

say() { printf '%s\n' "$*" >&2; }

# at_least VERSION WANTED
at_least() { printf '%s\n' "$2" "$1" | sort -V -C; }

# explain_swift WRONG VERSION: what to do about Swift is printed, not done: which toolchain a machine gets is its owner's choice.
explain_swift() {
    local needed=$2 packaged
    say "error: $1; kedge needs Swift $needed or newer"
    packaged=$(apt-cache policy swiftlang 2>/dev/null | sed -n 's/^ *Candidate: *\([0-9][0-9.]*\).*/\1/p')
    if [[ -n $packaged ]] && at_least "$packaged" "$needed"; then
        say "       This system has it as a package: sudo apt-get install swiftlang"
        return
    fi
    cat >&2 <<'TEXT'
       Swift's own installer puts it into your home folder:

         curl -O https://download.swift.org/swiftly/linux/swiftly-$(uname -m).tar.gz
         tar zxf swiftly-$(uname -m).tar.gz
         ./swiftly init
         . "${SWIFTLY_HOME_DIR:-$HOME/.local/share/swiftly}/env.sh"

       Or unpack a toolchain of https://www.swift.org/install/linux and put its usr/bin into PATH.
TEXT
    if [[ -n $packaged ]]; then say "       (This system's own package swiftlang is $packaged: too old.)"; fi
}

# require_swift VERSION: ends the script unless Swift is that new. `swift_version` is what there is.
# shellcheck disable=SC2034 # read by those who source this
require_swift() {
    command -v swift >/dev/null || { explain_swift "Swift is missing" "$1"; exit 1; }
    swift_version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9][0-9.]*\).*/\1/p' | head -n 1)
    [[ -n $swift_version ]] || { explain_swift '"swift --version" does not work' "$1"; exit 1; }
    at_least "$swift_version" "$1" || { explain_swift "this is Swift $swift_version" "$1"; exit 1; }
}
