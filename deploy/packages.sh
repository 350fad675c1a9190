# shellcheck shell=bash
# The Debian packages that kedge needs, and how they are installed. Sourced by deploy/try, deploy/push and the tests; never run.

# To build on this machine: the libraries' headers (the same names in bookworm, trixie and Ubuntu 24.04), and what Swift's
# toolchain expects of the system: C start files and libraries (g++), a linker, git, and what SwiftPM itself loads.
# shellcheck disable=SC2034 # used by those who source this
build_packages=(
    librdkafka-dev libgpiod-dev libi2c-dev libyaml-dev libjansson-dev libsqlite3-dev libssl-dev
    g++ binutils git ca-certificates libxml2 libcurl4 libncurses6 tzdata
)

# For Tests/VirtualMachine: the emulator, what builds the kernel modules and the initramfs of its arm64 machine, and what reads JSON.
# shellcheck disable=SC2034 # used by those who source this
machine_packages=(qemu-system-arm jq cpio kmod make binutils xz-utils zstd debian-archive-keyring)
case $(dpkg --print-architecture 2>/dev/null) in
arm64) machine_packages+=(gcc libc6-dev) ;;
*) machine_packages+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross) ;;
esac

# runtime_packages SUITE: what the binary for that suite links against. libgpiod has another ABI per suite; libssl was
# renamed in trixie's change to a 64-bit time_t.
runtime_packages() {
    case $1 in
    bookworm) echo librdkafka1 libgpiod2 libi2c0 libyaml-0-2 libjansson4 libsqlite3-0 libssl3 ;;
    trixie) echo librdkafka1 libgpiod3 libi2c0 libyaml-0-2 libjansson4 libsqlite3-0 libssl3t64 ;;
    *) return 1 ;;
    esac
}

# missing_packages PACKAGE...: those that are not installed, one a line. A package that another one provides is not missing:
# libcurl4 has been libcurl4t64 since the change to a 64-bit time_t.
missing_packages() {
    dpkg-query -W -f '${db:Status-Status} ${Package}, ${Provides}\n' | awk -v wanted="$*" '
        $1 == "installed" {
            sub(/^installed /, "")
            gsub(/\([^)]*\)|,/, " ")
            for (i = 1; i <= NF; i++) present[$i] = 1
        }
        END {
            count = split(wanted, names, " ")
            for (i = 1; i <= count; i++) if (!(names[i] in present)) print names[i]
        }'
}

# install_packages PACKAGE...: installs the missing ones with apt-get; silent when nothing is missing.
# Returns 1 after having said what to do, if that is not possible.
install_packages() {
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        printf '%s\n' 'error: this is no Debian or Ubuntu: there is no apt-get' \
            "       Install what corresponds to: $*" >&2
        return 1
    fi
    local missing root=() log
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]})) || return 0
    if ((EUID != 0)); then
        if ! command -v sudo >/dev/null; then
            printf '%s\n' "error: missing packages: ${missing[*]}" \
                '       There is no sudo here. As root, then again:' \
                "       apt-get update && apt-get install ${missing[*]}" >&2
            return 1
        fi
        root=(sudo)
    fi
    printf 'Installing %s\n' "${missing[*]}" >&2
    log=$(mktemp)
    local apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq)
    # The lists are renewed only when they turn out to be missing or out of date: on many machines that takes longer than the rest.
    if ! "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >"$log" 2>&1 &&
        ! { "${apt[@]}" update </dev/null >>"$log" 2>&1 &&
            "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >>"$log" 2>&1; }; then
        tail -n 20 "$log" >&2
        printf '%s\n' "error: could not install: ${missing[*]}" \
            "       Try: ${root[*]:+sudo }apt-get update && ${root[*]:+sudo }apt-get install ${missing[*]}" \
            '       On Ubuntu they lie in the component "universe".' >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}
