// What the checks need inside of the machine and a shell cannot do well. Linked statically, so that it shares nothing with
// the binary under test.
//
//   bench drive PULL TIMES LEVEL:MICROSECONDS...   sets a simulated line's pull to each level and waits, so many times over;
//                                                  prints for each change: level, the time (ns since 1970) before, and after
//   bench hold CHIP OFFSET CONSUMER [LEVEL...]     holds a line until killed: as an input, or as an output that is
//                                                  requested with the first level and then set to the others
//   bench poke BUS ADDRESS REGISTER BYTE...        writes registers of a device on /dev/i2c-BUS, byte after byte; numbers in hex
//   bench peek BUS ADDRESS REGISTER...             prints what registers of such a device hold, in hex
//   bench forward PORT ADDRESS                     connects 127.0.0.1:PORT to ADDRESS:PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what) {
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int drive(int count, char **words) {
    int file = open(words[0], O_WRONLY);
    if (file < 0) fail(words[0]);
    int times = atoi(words[1]), steps = count - 2;
    struct { int level; long long before, after; } *log = calloc((size_t)times * (size_t)steps, sizeof *log), *entry = log;
    if (log == NULL) fail("calloc");
    // Absolute, so that the rate holds whatever a change takes.
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (int i = 0; i < times * steps; i++, entry++) {
        const char *step = words[2 + i % steps];
        entry->level = step[0] == '1';
        entry->before = now();
        if (pwrite(file, entry->level ? "pull-up" : "pull-down", entry->level ? 7 : 9, 0) < 0) fail(words[0]);
        entry->after = now();
        next.tv_nsec += atol(step + 2) * 1000;
        next.tv_sec += next.tv_nsec / 1000000000;
        next.tv_nsec %= 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
    for (int i = 0; i < times * steps; i++) printf("%d %lld %lld\n", log[i].level, log[i].before, log[i].after);
    return 0;
}

static _Noreturn void hold(int count, char **words) {
    int chip = open(words[0], O_RDONLY);
    if (chip < 0) fail(words[0]);
    struct gpio_v2_line_request request = {.num_lines = 1, .offsets = {(unsigned int)atoi(words[1])}};
    snprintf(request.consumer, sizeof request.consumer, "%s", words[2]);
    request.config.flags = count > 3 ? GPIO_V2_LINE_FLAG_OUTPUT : GPIO_V2_LINE_FLAG_INPUT;
    if (count > 3) {
        request.config.num_attrs = 1;
        request.config.attrs[0].mask = 1;
        request.config.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES;
        request.config.attrs[0].attr.values = words[3][0] == '1';
    }
    if (ioctl(chip, GPIO_V2_GET_LINE_IOCTL, &request) < 0) fail("request");
    for (int i = 4; i < count; i++) {
        struct gpio_v2_line_values values = {.bits = words[i][0] == '1', .mask = 1};
        if (ioctl(request.fd, GPIO_V2_LINE_SET_VALUES_IOCTL, &values) < 0) fail("set");
    }
    puts("held");
    fflush(stdout);
    for (;;) pause();
}

static int open_device(const char *number, const char *address) {
    char path[32];
    snprintf(path, sizeof path, "/dev/i2c-%s", number);
    int bus = open(path, O_RDWR);
    // Also one that a driver or the agent has.
    if (bus < 0 || ioctl(bus, I2C_SLAVE_FORCE, strtoul(address, NULL, 16)) < 0) fail(path);
    return bus;
}

static int peek(int count, char **words) {
    int bus = open_device(words[0], words[1]);
    for (int i = 2; i < count; i++) {
        union i2c_smbus_data data;
        struct i2c_smbus_ioctl_data call = {
            .read_write = I2C_SMBUS_READ, .command = (unsigned char)strtoul(words[i], NULL, 16),
            .size = I2C_SMBUS_BYTE_DATA, .data = &data};
        if (ioctl(bus, I2C_SMBUS, &call) < 0) fail("read");
        printf("%s%02x", i > 2 ? " " : "", data.byte);
    }
    putchar('\n');
    return 0;
}

static int poke(int count, char **words) {
    int bus = open_device(words[0], words[1]);
    unsigned char at = (unsigned char)strtoul(words[2], NULL, 16);
    for (int i = 3; i < count; i++) {
        union i2c_smbus_data data = {.byte = (unsigned char)strtoul(words[i], NULL, 16)};
        struct i2c_smbus_ioctl_data call = {
            .read_write = I2C_SMBUS_WRITE, .command = at++, .size = I2C_SMBUS_BYTE_DATA, .data = &data};
        if (ioctl(bus, I2C_SMBUS, &call) < 0) fail("write");
    }
    return 0;
}

static void carry(int from, int to) {
    char bytes[16384];
    struct pollfd waits[2] = {{.fd = from, .events = POLLIN}, {.fd = to, .events = POLLIN}};
    while (poll(waits, 2, -1) > 0) {
        for (int i = 0; i < 2; i++) {
            if (waits[i].revents == 0) continue;
            ssize_t count = read(waits[i].fd, bytes, sizeof bytes);
            if (count <= 0) return;
            for (ssize_t sent = 0, part; sent < count; sent += part)
                if ((part = write(waits[1 - i].fd, bytes + sent, (size_t)(count - sent))) <= 0) return;
        }
    }
}

static _Noreturn void forward(char **words) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(words[0]))}, there = here;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    inet_pton(AF_INET, words[1], &there.sin_addr);
    int door = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(door, (struct sockaddr *)&here, sizeof here) < 0 || listen(door, 16) < 0) fail("listen");
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int client = accept(door, NULL, NULL);
        if (client >= 0 && fork() == 0) {
            int server = socket(AF_INET, SOCK_STREAM, 0);
            if (connect(server, (struct sockaddr *)&there, sizeof there) == 0) carry(client, server);
            exit(0);
        }
        close(client);
    }
}

int main(int count, char **words) {
    if (count >= 5 && strcmp(words[1], "drive") == 0) return drive(count - 2, words + 2);
    if (count >= 5 && strcmp(words[1], "hold") == 0) hold(count - 2, words + 2);
    if (count >= 6 && strcmp(words[1], "poke") == 0) return poke(count - 2, words + 2);
    if (count >= 5 && strcmp(words[1], "peek") == 0) return peek(count - 2, words + 2);
    if (count == 4 && strcmp(words[1], "forward") == 0) forward(words + 2);
    fputs("bench drive|hold|poke|peek|forward: see bench.c\n", stderr);
    return 64;
}
