# shellcheck shell=sh
# What the checks use inside of the machine: simulated chips and devices, and the agent. Read before each script of the host.

sim=/sys/kernel/config/gpio-sim

# make_chip LABEL COUNT [OFFSET=NAME ...]: a chip with simulated lines, not there yet.
make_chip() {
    label=$1 bank=$sim/$1/bank0
    mkdir -p "$bank"
    echo "$2" >"$bank/num_lines"
    echo "$label" >"$bank/label"
    shift 2
    for word in "$@"; do
        mkdir -p "$bank/line${word%%=*}"
        echo "${word#*=}" >"$bank/line${word%%=*}/name"
    done
}

# plug LABEL, unplug LABEL: the chip comes, and goes. chip_name LABEL: such as gpiochip1.
plug() {
    echo 1 >"$sim/$1/live"
    ln -sfn "/sys/devices/platform/$(cat "$sim/$1/dev_name")/$(chip_name "$1")" "/tmp/$1"
}
chip_name() { cat "$sim/$1/bank0/chip_name"; }
unplug() { echo 0 >"$sim/$1/live"; }

# pull LABEL OFFSET LEVEL: what drives an input. level LABEL OFFSET: what an output drives.
pull() { if [ "$3" = 1 ]; then echo pull-up; else echo pull-down; fi >"/tmp/$1/sim_gpio$2/pull"; }
level() { cat "/tmp/$1/sim_gpio$2/value"; }
# drive LABEL OFFSET TIMES LEVEL:MICROSECONDS...
drive() { file=/tmp/$1/sim_gpio$2/pull; shift 2; bench drive "$file" "$@"; }

# until_true COMMAND...: tries for 20 s.
until_true() {
    limit=$(($(date +%s) + 20))
    until "$@"; do
        [ "$(date +%s)" -le $limit ] || { echo "not within 20 s: $*"; return 1; }
        sleep 0.1
    done
}
says() { grep -q -- "$1" /tmp/agent.log; }
# is_safe_again ACTUATOR COUNT: so often by now.
is_safe_again() { [ "$(grep -c "actuator $1: at the safe value .* again" /tmp/agent.log)" = "$2" ]; }
is_level() { [ "$(level "$1" "$2")" = "$3" ]; }

# hold LABEL OFFSET CONSUMER [LEVEL ...]: somebody else holds the line, until let_go.
hold() {
    chip=/dev/$(chip_name "$1")
    shift
    : >/tmp/held
    bench hold "$chip" "$@" >/tmp/held 2>&1 &
    echo $! >/tmp/holder
    until_true grep -q held /tmp/held
}
let_go() { kill "$(cat /tmp/holder)"; }

# agent [SIGNAL]: signals the agent.
agent() { kill "-${1:-TERM}" "$(cat /tmp/agent)"; }

# bus NAME: the number of the I2C bus whose adapter's name begins so.
bus() { grep -l "^$1" /sys/bus/i2c/devices/i2c-*/name | sed 's:.*/i2c-\([0-9]*\)/name:\1:'; }

# claim BUS ADDRESS: a driver of the kernel takes the device, until give_back BUS ADDRESS.
claim() { echo "dummy $2" >"/sys/bus/i2c/devices/i2c-$1/new_device"; }
give_back() { echo "$2" >"/sys/bus/i2c/devices/i2c-$1/delete_device"; }

# climate ID: what the registers of a BME280 (ID 60) or BMP280 (58) hold: a register and the bytes from there on. The
# trimming values and the readings are the example of the BMP280's data sheet (BST-BMP280-DS001, section 3.12): 25.08 Cel,
# 1006.53 hPa. The humidity's are of a typical BME280.
climate() {
    cat <<END
88 70 6b 43 67 18 fc 7d 8e 43 d6 d0 0b 27 0b 8c 00 f9 ff 8c 3c f8 c6 70 17
a1 4b
d0 $1
e1 72 01 00 13 29 03 1e
f7 65 5a c0 7e ed 00 6d 60
END
}

# fill BUS ADDRESS ID: the registers of a device.
# shellcheck disable=SC2086  # a line is words
fill() { climate "$3" | while read -r line; do bench poke "$1" "$2" $line || exit 1; done; }

# fault ADDRESS ERRNO, stretch ADDRESS MS, hang ADDRESS MS: see i2c-bench.c.
fault() { echo "$2" >"/sys/kernel/debug/i2c-bench/$1/fault"; }
stretch() { echo "$2" >"/sys/kernel/debug/i2c-bench/$1/stretch"; }
hang() { echo "$2" >"/sys/kernel/debug/i2c-bench/$1/hang"; }

# trace on|off|show LABEL OFFSET: what the kernel did to its lines, in its own words: "set 1", "out". trace writes ADDRESS: what
# was written to a device of an I2C bus, such as 14-00; the address has three digits.
base() { sed -n "/ $1[,:]/s/^gpiochip[0-9]*: GPIOs \([0-9]*\)-.*/\1/p" /sys/kernel/debug/gpio; }
trace() {
    case $1 in
    on) echo >/sys/kernel/tracing/trace; watch_events 1; echo 1 >/sys/kernel/tracing/tracing_on ;;
    off) watch_events 0 ;;
    show) sed -n "s/.*gpio_[a-z]*: $(($(base "$2") + $3)) \(.*\)/\1/p" /sys/kernel/tracing/trace ;;
    writes) sed -n "s/.*i2c_write: .* a=$2 .*\[\(.*\)\]$/\1/p" /sys/kernel/tracing/trace ;;
    esac
}
watch_events() { for event in gpio i2c/i2c_write; do echo "$1" >"/sys/kernel/tracing/events/$event/enable"; done; }
