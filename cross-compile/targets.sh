# shellcheck shell=bash disable=SC2034
# What sdk, build and run share: the targets, where things lie, and the Debian mirror. Sourced, never run.

# Where this folder is, whatever the caller's working directory; and the package that is built.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
package=${KEDGE_PACKAGE_PATH:-$(dirname "$here")}
sdks=$here/.sdk
scratch=$here/.build
out=$here/out

suites=(bookworm trixie)
architectures=(armhf arm64 amd64)

say() { printf '%s\n' "$*" >&2; }

# fail WHAT REMEDY...: every error says what to do about it.
fail() {
    say "error: $1"
    shift
    local remedy
    for remedy in "$@"; do say "       $remedy"; done
    exit 1
}

# The comment at the top of a script is its help: one text, which cannot drift from the other.
show_help() { sed -n '2,/^[^#]/ { /^#/ s/^# \{0,1\}//p; }' "$1"; }

# choose WORD...: fills `targets` from suites, architectures, pairs of them (bookworm-armhf) and "all".
# A suite alone means all its architectures, an architecture alone both suites.
targets=()
choose() {
    local word suite architecture chosen_suites=() chosen_architectures=()
    targets=()
    for word in "$@"; do
        case $word in
        all) chosen_suites=("${suites[@]}") chosen_architectures=("${architectures[@]}") ;;
        bookworm | trixie) chosen_suites+=("$word") ;;
        armhf | arm64 | amd64) chosen_architectures+=("$word") ;;
        bookworm-armhf | bookworm-arm64 | bookworm-amd64 | trixie-armhf | trixie-arm64 | trixie-amd64) targets+=("$word") ;;
        *) say "error: \"$word\" is no target"
           say "       suites: ${suites[*]}; architectures: ${architectures[*]}; both, such as bookworm-armhf; or all"
           exit 64 ;;
        esac
    done
    if ((${#chosen_suites[@]} || ${#chosen_architectures[@]})); then
        ((${#chosen_suites[@]})) || chosen_suites=("${suites[@]}")
        ((${#chosen_architectures[@]})) || chosen_architectures=("${architectures[@]}")
        for suite in "${chosen_suites[@]}"; do
            for architecture in "${chosen_architectures[@]}"; do targets+=("$suite-$architecture"); done
        done
    fi
}

# Debian's multiarch name, which is where a sysroot keeps its libraries.
multiarch() {
    case $1 in
    armhf) echo arm-linux-gnueabihf ;;
    arm64) echo aarch64-linux-gnu ;;
    amd64) echo x86_64-linux-gnu ;;
    esac
}

sysroot() { echo "$sdks/kedge-$1.artifactbundle/sysroot"; }

# install_tools PACKAGE...: from the host's own archive; sudo asks the user where that is necessary.
install_tools() {
    command -v apt-get >/dev/null || fail "missing: $*" "This host has no apt-get: install them by its own means, then run this again."
    local as_root=()
    if ((EUID != 0)); then
        command -v sudo >/dev/null || fail "missing: $*" "As root: apt-get install $*"
        as_root=(sudo)
    fi
    say "Installing $*"
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y --no-install-recommends "$@" >&2 ||
        fail "could not install: $*" "Try: apt-get update && apt-get install $*"
}

# The mirror that this host itself uses. apt is asked, because it knows both formats of its sources and all its folders.
# Origin is empty until the host has run `apt-get update`; then the host's own suite is a good enough sign.
find_mirror() {
    if [[ -n ${KEDGE_DEBIAN_MIRROR:-} ]]; then
        echo "$KEDGE_DEBIAN_MIRROR"
        return
    fi
    local id codename mirror=
    id=$(. /etc/os-release 2>/dev/null; echo "${ID:-}")
    codename=$(. /etc/os-release 2>/dev/null; echo "${VERSION_CODENAME:-sid}")
    if [[ $id == debian ]] && command -v apt-get >/dev/null; then
        # shellcheck disable=SC2016  # apt's variables, not the shell's
        mirror=$(apt-get indextargets --format '$(ORIGIN)|$(RELEASE)|$(REPO_URI)' 'Created-By: Packages' 'Component: main' 2>/dev/null |
            awk -F'|' -v codename="$codename" '
                $3 ~ /^cdrom:/ || $2 ~ /-/ { next }
                $1 == "Debian" { print $3; exit }
                $1 == "" && $2 == codename && other == "" { other = $3 }
                END { if (other != "") print other }' | head -n 1)
    fi
    [[ -n $mirror ]] || fail "no Debian mirror is known: this host's apt configuration names none" \
        "Say which to use, for example one of https://www.debian.org/mirror/list:" \
        "KEDGE_DEBIAN_MIRROR=http://MIRROR/debian $0 $*"
    echo "${mirror%/}"
}

# Finds Swift's Embedded standard library (`embedded`) and its tools (`tools`; not through PATH, where swiftly has stand-ins).
find_swift() {
    command -v swift >/dev/null || fail "Swift is missing" \
        "Install Swift 6.3 or newer from https://www.swift.org/install and put its usr/bin into PATH."
    local resources
    resources=$(swiftc -print-target-info | sed -n 's/.*"runtimeResourcePath": "\(.*\)".*/\1/p')
    embedded=$resources/embedded
    tools=${resources%/lib/swift}/bin
    [[ -d $embedded/Swift.swiftmodule ]] || fail "this Swift has no Embedded standard library ($embedded)" \
        "$(swift --version 2>&1 | head -n 1)" \
        "The toolchains of https://www.swift.org/install have it from 6.3 on; a distribution's own package may not."
}
