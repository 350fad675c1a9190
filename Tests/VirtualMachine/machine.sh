# shellcheck shell=bash disable=SC2154  # variables are run's
# Makes what all targets' machines share, once, in $machine: Debian's arm64 kernel, the modules that it lacks, and an initramfs with
# busybox. Sourced by run, after cross-compile/targets.sh; never run.

# Where kernels are looked for, in this order: those with the kernel of today's Pis first.
kernel_suites=(bookworm-security trixie bookworm)

# apt, with lists and state of its own and nothing of the host's but its proxies.
private_apt() { local tool=$1; shift; APT_CONFIG=$machine/apt/apt.conf "$tool" "$@"; }

# security_mirror: what the host's own apt configuration has, or what lies beside the mirror by convention.
security_mirror() {
    local found=
    if [[ -z ${KEDGE_DEBIAN_MIRROR:-} ]]; then
        # shellcheck disable=SC2016  # apt's variables, not the shell's
        found=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 'Component: main' |
            awk '$1 ~ /-security$/ { print $2; exit }')
    fi
    found=${found%/}
    echo "${found:-$(find_mirror)-security}"
}

# prepare_apt SUITE: reads the lists of the archive that has SUITE. Returns 1 if it cannot be reached.
prepare_apt() {
    local suite=$1 keyring mirror lines
    mirror=$(find_mirror)
    keyring=$(find /usr/share/keyrings -name 'debian-archive-keyring.[gp]*' | head -n 1)
    lines="deb [signed-by=$keyring] $mirror ${suite%-security} main"
    [[ $suite != *-security ]] || lines+=$'\n'"deb [signed-by=$keyring] $(security_mirror) $suite main"
    rm -rf "$machine/apt"
    mkdir -p "$machine/apt/state/lists/partial" "$machine/apt/cache/archives/partial"
    touch "$machine/apt/status"
    echo "$lines" >"$machine/apt/sources.list"
    {
        apt-config dump | grep -iE '^Acquire::(https?|ftp)::(.*::)?Proxy(-Auto-Detect)? "..*"' || true
        cat <<CONFIG
Dir::State "$machine/apt/state";
Dir::State::status "$machine/apt/status";
Dir::Cache "$machine/apt/cache";
Dir::Etc::SourceList "$machine/apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
APT::Architecture "$host";
APT::Architectures { "$host"; "arm64"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
CONFIG
    } >"$machine/apt/apt.conf"
    private_apt apt-get -qq -o APT::Update::Error-Mode=any update
}

# fetch_packages SUITE: downloads and unpacks the newest kernel of the suite into $machine/unpacked, and sets `release`,
# such as 6.12.1+deb12-arm64. Returns 1 if the suite has none that can be used here.
fetch_packages() {
    local suite=$1 version series name build_tools
    prepare_apt "$suite" || { say "machine: no package lists of $suite"; return 1; }
    release=$(private_apt apt-cache pkgnames linux-image-6. | sed -n 's/^linux-image-\(6\.[0-9.]*[0-9+a-z-]*-arm64\)$/\1/p' |
        grep -vE -- '-(rt|cloud)-' | sort -V | tail -n 1)
    [[ -n $release ]] || { say "machine: $suite has no kernel 6.x"; return 1; }
    version=${release%-arm64}
    series=$(grep -oE '^6\.[0-9]+' <<<"$release")
    build_tools=$(private_apt apt-cache depends "linux-headers-$release:arm64" | grep -oE 'linux-kbuild-[0-9.]*[0-9][0-9a-z.+-]*' | head -n 1)
    rm -rf "$machine/unpacked" "$machine/packages"
    mkdir -p "$machine/packages" "$machine/unpacked"
    say "machine: fetching Debian's kernel $release ($suite) and its source; once"
    (cd "$machine/packages" && private_apt apt-get -qq download "linux-image-$release:arm64" "linux-headers-$release:arm64" \
        "linux-headers-$version-common" "$build_tools:$host" "libc6:$host" "linux-source-$series" busybox-static:arm64) ||
        { say "machine: the packages of kernel $release could not be fetched from $suite"; return 1; }
    for name in linux-image-"$release" linux-headers-"$release" "linux-headers-$version-common" "$build_tools" busybox-static; do
        dpkg-deb -x "$machine/packages/${name}"_*.deb "$machine/unpacked"
    done
    dpkg-deb -x "$machine/packages/libc6"_*.deb "$machine/unpacked/libc"
    own_libc
    # A few files of a large archive.
    dpkg-deb --fsys-tarfile "$machine/packages/linux-source-${series}"_*.deb |
        tar -xO "./usr/src/linux-source-$series.tar.xz" |
        tar -xJ -C "$machine/unpacked" --strip-components=1 "linux-source-$series"/{drivers/gpio/gpio-sim.c,drivers/gpio/gpiolib.h,kernel/irq/irq_sim.c,drivers/i2c/i2c-stub.c}
}

# own_libc: where the kernel's build tools are of a younger suite than this host, they run with the C library of their suite.
own_libc() {
    local loader tool
    loader=$(find "$machine/unpacked/libc" -name 'ld-linux*.so.*' | head -n 1)
    for tool in "$machine"/unpacked/usr/lib/linux-kbuild-*/scripts/{basic/fixdep,mod/modpost,mod/modpost.real-*}; do
        [[ -x $tool && $("$tool" </dev/null 2>&1 || true) == *GLIBC_* ]] || continue
        mv "$tool" "$tool.program"
        printf '%s\n' '#!/bin/sh' "exec $loader --library-path $(dirname "$(find "$machine/unpacked/libc" -name libc.so.6)") $tool.program \"\$@\"" >"$tool"
        chmod +x "$tool"
    done
}

# build_modules: gpio-sim and i2c-stub, which Debian's arm64 kernel leaves out, and our own adapter. Returns 1 if they do not
# build.
build_modules() {
    local modules=$machine/modules headers=$machine/unpacked/usr/src/linux-headers-$release
    rm -rf "$modules"
    mkdir -p "$modules"
    cp "$machine/unpacked"/{drivers/gpio/gpio-sim.c,drivers/gpio/gpiolib.h,kernel/irq/irq_sim.c,drivers/i2c/i2c-stub.c} "$tests/i2c-bench.c" "$modules"
    # irq_to_desc is not exported to modules; this does the same.
    sed -i 's/handle_simple_irq(irq_to_desc(\([a-z]*\)))/generic_handle_irq_safe(\1)/' "$modules/irq_sim.c"
    printf '%s\n' 'obj-m := gpio-bench.o i2c-stub.o i2c-bench.o' 'gpio-bench-y := gpio-sim.o irq_sim.o' >"$modules/Kbuild"
    # Unpacked, not installed: the package's Makefile names the place where it expects to be installed.
    sed -i "s:^include .*/usr/src/:include /usr/src/:; s:^include /usr/src/:include $machine/unpacked/usr/src/:" "$headers/Makefile"
    # Without what needs other tools (type information), and an option that compilers before GCC 14 do not have.
    make -s -C "$headers" M="$modules" ARCH=arm64 CROSS_COMPILE="$cross" CC="${cross}gcc" CONFIG_DEBUG_INFO_BTF_MODULES= \
        CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT= modules >"$machine/modules.log" 2>&1 || {
        tail -n 10 "$machine/modules.log" >&2
        say "machine: the modules for kernel $release do not build here; see $machine/modules.log"
        return 1
    }
}

# build_initramfs: busybox, bench, and the modules in the order in which they are loaded.
build_initramfs() {
    local root=$machine/root modules=$machine/unpacked/usr/lib/modules/$release name
    [[ -d $modules ]] || modules=$machine/unpacked/lib/modules/$release
    rm -rf "$root"
    mkdir -p "$root"/{bin,dev,proc,sys,tmp,modules}
    cp "$machine/unpacked/bin/busybox" "$root/bin/" 2>/dev/null || cp "$machine/unpacked/usr/bin/busybox" "$root/bin/"
    cp "$tests"/{init,guest.sh} "$root/"
    "${cross}gcc" -static -O2 -Wall -Wextra -Werror -o "$root/bin/bench" "$tests/bench.c"

    mkdir -p "$modules/updates"
    cp "$machine/modules"/*.ko "$modules/updates/"
    PATH=$PATH:/sbin:/usr/sbin depmod -b "${modules%%/lib/modules/*}" "$release"
    for name in virtio_pci virtio_console virtio_net i2c-dev gpio-bench i2c-bench i2c-stub; do
        # "builtin" instead of a file where the kernel has it.
        PATH=$PATH:/sbin:/usr/sbin modprobe -d "${modules%%/lib/modules/*}" -S "$release" --show-depends "$name"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$machine/load.order"
    : >"$root/modules/order"
    while IFS= read -r file; do
        name=$(basename "$file")
        case $name in
        *.xz) xz -dc "$file" >"$root/modules/${name%.xz}" ;;
        *.zst) zstd -qdc "$file" >"$root/modules/${name%.zst}" ;;
        *) cp "$file" "$root/modules/$name" ;;
        esac
        # i2c-stub is loaded with its devices' addresses by the checks.
        [[ $name == i2c-stub.ko* ]] || echo "${name%%.ko*}.ko" >>"$root/modules/order"
    done <"$machine/load.order"
    "${cross}strip" --strip-debug "$root/modules"/*.ko
    archive "$root" "$machine/base.cpio"
    cp "$machine"/unpacked/boot/vmlinuz-"$release" "$machine/kernel"
}

# archive FOLDER FILE: a cpio archive as the kernel unpacks it.
archive() { (cd "$1" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$2.partial" && mv "$2.partial" "$2"; }

# make_machine: kernel and initramfs, unless they are there already.
make_machine() {
    local stamp suite suites=("${kernel_suites[@]}") done_in=
    [[ -z ${KEDGE_KERNEL_SUITE:-} ]] || suites=("$KEDGE_KERNEL_SUITE")
    # What is older than what it is made of is made again; the packages are kept until then.
    stamp=$(cat "$tests"/{machine.sh,init,guest.sh,bench.c,i2c-bench.c} <(echo "${KEDGE_KERNEL_SUITE:-}") | sha256sum | cut -c 1-16)
    [[ $(cat "$machine/stamp" 2>/dev/null) != "$stamp" ]] || return 0
    mkdir -p "$machine"
    host=$(dpkg --print-architecture)
    cross=aarch64-linux-gnu-
    release=$(cat "$machine/unpacked.release" 2>/dev/null || true)
    if [[ -z $release || $(cat "$machine/unpacked.asked") != "${KEDGE_KERNEL_SUITE:-}" ]]; then
        rm -f "$machine/unpacked.release"
        for suite in "${suites[@]}"; do
            if fetch_packages "$suite" && build_modules; then done_in=$suite; break; fi
        done
        [[ -n $done_in ]] || fail "no kernel for the virtual machine: none of ${suites[*]} could be used" \
            "Is the mirror reachable ($(find_mirror))? Another one: KEDGE_DEBIAN_MIRROR=http://MIRROR/debian $0"
        echo "${KEDGE_KERNEL_SUITE:-}" >"$machine/unpacked.asked"
        echo "$release" >"$machine/unpacked.release"
        rm -rf "$machine/packages"
    else
        build_modules || fail "the modules do not build" "From the beginning: rm -rf $machine"
    fi
    build_initramfs
    echo "$stamp" >"$machine/stamp"
    say "machine: ready with kernel $release"
}

# add_target TARGET FILE: an initramfs with the target's kedge as /bin/kedge, and the libraries that it is linked with from the target's suite.
add_target() {
    local target=$1 root=$folder/root libraries seen=' ' name queue=() file
    libraries=$(sysroot "$target")/usr/lib/$(multiarch "${target#*-}")
    rm -rf "$root"
    mkdir -p "$root/bin" "$root/lib"
    cp "$out/kedge-$target" "$root/bin/kedge"
    queue=("$root/bin/kedge")
    while ((${#queue[@]})); do
        file=${queue[0]}
        queue=("${queue[@]:1}")
        while IFS= read -r name; do
            [[ $seen != *" $name "* ]] || continue
            seen+="$name "
            file=$libraries/$name
            [[ -e $file ]] || file=$(sysroot "$target")/lib/$(multiarch "${target#*-}")/$name
            [[ -e $file ]] || fail "$target: no $name in the sysroot" "Renew it: cross-compile/sdk --again $target"
            cp -L "$file" "$root/lib/$name"
            queue+=("$root/lib/$name")
        done < <(readelf -d "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
    done
    archive "$root" "$2"
}
