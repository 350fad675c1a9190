#!/usr/bin/env bash
# The part of deploy/push that runs on the Pi. push sends this text to `bash -s` there; it is not meant to be called by hand.
#
#     on-host.sh look | stage                                         what this host is; stage also makes a folder for scp
#     on-host.sh discard FOLDER                                       removes that folder
#     on-host.sh install FOLDER given|kept|example PACKAGE ...        as root: the deployment
#
# Everything is a function and the last line calls one, so that a text cut off by a broken connection does nothing at all.
set -euo pipefail

binary=/usr/bin/kedge
configuration=/etc/kedge/kedge.yaml
environment=/etc/kedge/environment
unit=/etc/systemd/system/kedge.service
rules=/etc/udev/rules.d/60-kedge.rules
os_release=/etc/os-release
systemd=/run/systemd/system

# Once begun, a deployment ends by itself: it must not stop half-way because nobody reads its messages any more.
say() { printf '%s\n' "$*" 2>/dev/null || true; }

# die WHAT REMEDY...
die() {
    say "error: $1"
    shift
    local remedy
    for remedy in "$@"; do say "       $remedy"; done
    exit 1
}

# One "kedge-host NAME VALUE" a line: a login shell may print a greeting of its own before.
describe_host() {
    local privileges=none folder=
    if (($(id -u) == 0)); then
        privileges=root
    elif command -v sudo >/dev/null; then
        if sudo -n true 2>/dev/null; then privileges=sudo; else privileges=password; fi
    fi
    [[ $1 == look ]] || folder=$(mktemp -d /tmp/kedge.XXXXXXXX)
    say "kedge-host machine $(uname -m)"
    say "kedge-host architecture $(dpkg --print-architecture 2>/dev/null || true)"
    say "kedge-host suite $(sed -n 's/^VERSION_CODENAME=//p' "$os_release" 2>/dev/null | tr -d '"')"
    say "kedge-host system $(sed -n 's/^PRETTY_NAME=//p' "$os_release" 2>/dev/null | tr -d '"')"
    say "kedge-host systemd $([[ -d $systemd ]] && echo yes || echo no)"
    say "kedge-host configuration $([[ -e $configuration ]] && echo yes || echo no)"
    say "kedge-host privileges $privileges"
    say "kedge-host folder $folder"
}

discard() {
    case $1 in
    /tmp/kedge.????????) rm -rf -- "$1" ;;
    *) die "$1 is no folder of a deployment" ;;
    esac
}

install_packages() {
    local package status missing=() log
    for package in "$@"; do
        status=$(dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null) || status=
        [[ $'\n'$status$'\n' == *$'\ninstalled\n'* ]] || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    say "packages: installing ${missing[*]}"
    log=$staged/apt.log
    export DEBIAN_FRONTEND=noninteractive
    # A board that was off for months has old lists: renew them when the first attempt fails.
    if ! apt-get -qq install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1 &&
        ! { apt-get -qq update >>"$log" 2>&1 && apt-get -qq install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1; }; then
        say "$(tail -n 15 "$log")"
        die "could not install ${missing[*]}" "Nothing else was changed. On the host: apt-get update && apt-get install ${missing[*]}"
    fi
}

make_accounts() {
    local group
    # gpio and i2c come with Raspberry Pi OS; Debian proper lacks them.
    for group in gpio i2c kedge; do
        getent group "$group" >/dev/null || { groupadd --system "$group"; say "group $group: made"; }
    done
    getent passwd kedge >/dev/null || {
        useradd --system --gid kedge --no-create-home --home-dir /var/lib/kedge --shell /usr/sbin/nologin kedge
        say "user kedge: made"
    }
}

# Runs a command as the service would run it: its user and groups, its environment file, its folder.
as_service() {
    systemd-run --quiet --wait --pipe --collect --property=User=kedge --property=Group=kedge \
        --property='SupplementaryGroups=gpio i2c' --property="EnvironmentFile=-$environment" \
        --property=StateDirectory=kedge --property=StateDirectoryMode=0750 --property=RuntimeMaxSec=60 -- "$@" 2>&1
}

# put FROM TO MODE GROUP: atomically, and with the old file kept as TO.previous. Does nothing if the two are the same.
put() {
    local from=$1 to=$2 mode=$3 group=$4
    if [[ -e $to ]] && cmp -s "$from" "$to"; then return; fi
    install -m "$mode" -o root -g "$group" "$from" "$to.new"
    # Otherwise a power cut can leave the new name with no content.
    sync "$to.new"
    if [[ -e $to ]]; then
        ln -f "$to" "$to.previous"
        replaced+=("$to")
        say "$to: updated; the old one is $to.previous"
    else
        added+=("$to")
        say "$to: installed"
    fi
    mv -f "$to.new" "$to"
}

changed() {
    local file
    for file in "${replaced[@]}" "${added[@]}"; do [[ $file != "$1" ]] || return 0; done
    return 1
}

property() { systemctl show --property="$1" --value kedge.service; }

# Active, and the same process for three seconds: a service that reports ready and dies is not started.
wait_until_active() {
    local second state pid seen='' steady=0
    for ((second = 0; second < 20; second++)); do
        state=$(property ActiveState) pid=$(property MainPID)
        if [[ $state == failed ]]; then return 1; fi
        if [[ $state != active ]]; then
            seen='' steady=0
        elif [[ $pid != "$seen" ]]; then
            seen=$pid steady=0
        else
            steady=$((steady + 1))
            if ((steady == 3)); then return 0; fi
        fi
        sleep 1
    done
    return 1
}

start() {
    systemctl reset-failed kedge.service 2>/dev/null || true
    systemctl start --no-block kedge.service
    wait_until_active
}

show_service() {
    say ""
    say "$(systemctl --no-pager --lines=0 status kedge.service 2>&1 || true)"
    say ""
    say "$(journalctl --no-pager --unit=kedge.service --lines=15 --output=short-iso 2>&1 || true)"
}

# Back to what ran before. Also where the script itself fails between the first change and the end.
# shellcheck disable=SC2317 # reached through the trap
roll_back() {
    local file
    at_risk=no
    show_service
    say ""
    if [[ $had_binary == no ]]; then
        systemctl disable --now kedge.service 2>/dev/null || true
        say "There is no previous version to go back to: the service is stopped and disabled, the files stay for a look at them."
        return
    fi
    if ((${#replaced[@]})); then
        systemctl stop kedge.service 2>/dev/null || true
        for file in "${replaced[@]}"; do mv -f "$file.previous" "$file"; done
        if changed "$unit"; then systemctl daemon-reload || true; fi
        if changed "$rules"; then udevadm control --reload || true; fi
        say "Rolled back to the previous version of: ${replaced[*]}"
    else
        say "No file was replaced, so there is nothing to roll back."
    fi
    if [[ $was_active == no ]]; then
        systemctl stop kedge.service 2>/dev/null || true
        say "The service was not running before, and is stopped."
    elif start; then
        say "What ran before runs again."
    else
        say "What ran before does not start either:"
        show_service
    fi
}

# shellcheck disable=SC2317 # reached through the trap
at_end() {
    local status=$?
    trap - EXIT
    set +e
    rm -f "$binary.new" "$configuration.new" "$unit.new" "$rules.new"
    # Only a failure comes here with this set.
    if [[ $at_risk == yes ]]; then roll_back; fi
    discard "$staged"
    exit "$status"
}

# check_new KIND: before anything is replaced, the new binary must run here and accept the configuration.
check_new() {
    local kind=$1 candidate=$configuration output status=0
    install -m 755 -o root -g root "$staged/kedge" "$binary.new"
    output=$(timeout 20 "$binary.new" --help 2>&1) || status=$?
    if ((status == 132)); then die "the new binary ends with an illegal instruction: this processor is older than ARMv7" "Nothing was changed."; fi
    if ((status != 0)); then
        say "$output"
        say "$(ldd "$binary.new" 2>&1 | grep 'not found' || true)"
        die "the new binary does not run here (status $status)" \
            "Nothing was changed. A library that is not found means a binary for another suite."
    fi

    install -d -m 750 -o root -g kedge "${configuration%/*}"
    if [[ $kind != kept ]]; then
        candidate=$configuration.new
        # Not for everybody: it may hold a password.
        install -m 640 -o root -g kedge "$staged/kedge.yaml" "$candidate"
    fi
    output=$(as_service "$binary.new" check "$candidate") || {
        status=$?
        say "$output"
        die "the configuration is refused (status $status)" \
            "Nothing was changed$([[ $was_active == no ]] || echo "; the service runs on as before"). Correct the file, then push again."
    }
}

install_all() {
    staged=$1
    local kind=$2 status=0 output
    shift 2
    replaced=() added=() at_risk=no had_binary=no was_active=no
    trap at_end EXIT
    trap '' HUP PIPE
    (($(id -u) == 0)) || die "root is needed"
    [[ ! -e $binary ]] || had_binary=yes
    if [[ $(property ActiveState) == active ]]; then was_active=yes; fi
    # A configuration that appeared since push looked is the user's.
    if [[ $kind == example && -e $configuration ]]; then kind=kept; fi
    if [[ $kind == kept && ! -e $configuration ]]; then kind=example; fi

    install_packages "$@"
    make_accounts
    check_new "$kind"

    at_risk=yes
    put "$staged/kedge" "$binary" 755 root
    put "$staged/kedge.service" "$unit" 644 root
    put "$staged/60-kedge.rules" "$rules" 644 root
    if [[ $kind != kept ]]; then put "$staged/kedge.yaml" "$configuration" 640 kedge; fi
    if changed "$rules"; then
        # For the devices that are there already, as well. What a host without udev does not grant, the check below tells.
        { udevadm control --reload && udevadm trigger --subsystem-match=gpio --subsystem-match=pwm --subsystem-match=i2c-dev; } ||
            say "udev does not run here: $rules takes effect when it does"
    fi
    if changed "$unit"; then systemctl daemon-reload; fi

    if [[ $kind != given && $was_active == no ]] && cmp -s "$configuration" "$staged/kedge.example.yaml"; then
        at_risk=no
        say ""
        say "The service is not started: $configuration is the example as yet."
        say "Edit it there (kafka: all: bootstrap.servers, and the sensors), then: sudo systemctl enable --now kedge"
        say "Or write it here: deploy/push HOST --config FILE"
        return
    fi
    if [[ $was_active == yes ]] && ((${#replaced[@]} + ${#added[@]} == 0)); then
        at_risk=no
        say "Nothing has changed and the service runs: it was left alone."
        show_service
        return
    fi

    # Stopped first: the running agent holds the GPIO lines, which the check would find busy.
    systemctl stop kedge.service 2>/dev/null || true
    output=$(as_service "$binary" check --hardware "$configuration") || status=$?
    say "$output"
    if ((status == 78)); then die "the configuration is refused (status 78)"; fi
    if ((status != 0)); then
        # The agent takes up a device whenever it begins to answer; a loose wire must not keep the others from working.
        say "warning: not every device answers (status $status). The service is started all the same and goes on trying."
    fi
    systemctl enable --quiet kedge.service
    start || die "the service did not become active within 20 s, or did not stay so for 3 s"
    at_risk=no
    show_service
    say ""
    say "kedge runs."
}

main() {
    case ${1:-} in
    -h | --help) sed -n '2,/^[^#]/ { /^#/ s/^# \{0,1\}//p; }' "$0" ;;
    look | stage) describe_host "$1" ;;
    discard) discard "$2" ;;
    install) shift; install_all "$@" ;;
    *) say "error: for deploy/push only"; exit 64 ;;
    esac
}

main "$@" </dev/null
exit
