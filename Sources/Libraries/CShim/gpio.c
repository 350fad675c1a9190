#define _GNU_SOURCE
#include "gpio_shim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gpiod.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char our_name[] = "kedge";

// Edges taken by one read.
enum { batch = 16 };

#ifdef GPIOD_LINE_BULK_MAX_LINES  // Only libgpiod 1 has it.
struct kedge_gpio_line {
    struct gpiod_chip *chip;
    struct gpiod_line *line;
    bool edges;
};
#else
struct kedge_gpio_line {
    struct gpiod_line_request *request;
    struct gpiod_edge_event_buffer *buffer;  // NULL without edges
    unsigned int offset;
};
#endif

// What differs between the two libraries; each has a section below.

static bool chip_has_label(struct gpiod_chip *chip, const char *label);
/// What the kernel calls the chip, such as gpiochip0, through whatever link it was opened. Returns 0, or -1 with errno.
static int chip_name(struct gpiod_chip *chip, char *name);
/// The offset of the line, or -1 with errno.
static int find_line(struct gpiod_chip *chip, const char *name);
/// Who holds the line, if anybody. Returns 0, or -1 with errno.
static int look(struct gpiod_chip *chip, unsigned int offset, bool *used, char *consumer);
/// Tells about the chip and each of its lines. Returns 0, or -1 with errno.
static int survey(struct gpiod_chip *chip, void (*tell_chip)(void *context, const char *label),
                  void (*tell_line)(void *context, const struct kedge_gpio_found *line), void *context);
/// Fills `line`, which takes over the chip if this succeeds. Returns 0, or -1 with errno.
static int request(struct gpiod_chip *chip, unsigned int offset, const struct kedge_gpio_settings *settings,
                   struct kedge_gpio_line *line);

static int is_chip(const struct dirent *entry) {
    // Links are second names of chips that are listed anyway.
    return strncmp(entry->d_name, "gpiochip", 8) == 0 && entry->d_type != DT_LNK;
}

/// The first chip, by number, that has `label` and a line `name`; NULL asks for none of them.
/// `looked` tells whether there was a chip to look at.
static struct gpiod_chip *search(const char *label, const char *name, bool *looked) {
    struct dirent **entries;
    int count = scandir("/dev", &entries, is_chip, versionsort);
    if (count < 0) return NULL;
    struct gpiod_chip *found = NULL;
    int failure = ENOENT;
    // Who asks for nothing gets the first or none: line 17 of the next chip is another line.
    int last = label == NULL && name == NULL ? 1 : count;
    for (int i = 0; i < count; i++) {
        if (found == NULL && i < last) {
            char path[sizeof "/dev/" + NAME_MAX];
            snprintf(path, sizeof path, "/dev/%s", entries[i]->d_name);
            struct gpiod_chip *chip = gpiod_chip_open(path);
            if (chip == NULL) {
                // It may have been the one: what kept us from looking is the better explanation.
                failure = errno;
            } else if ((label == NULL || chip_has_label(chip, label)) && (name == NULL || find_line(chip, name) >= 0)) {
                found = chip;
            } else {
                *looked = true;
                gpiod_chip_close(chip);
            }
        }
        free(entries[i]);
    }
    free(entries);
    if (found == NULL) errno = failure;
    return found;
}

/// Opens a chip by path, name or label.
static struct gpiod_chip *open_chip(const char *chip) {
    if (chip[0] == '/') return gpiod_chip_open(chip);
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "/dev/%s", chip) < (int)sizeof path) {
        struct gpiod_chip *opened = gpiod_chip_open(path);
        if (opened != NULL || errno != ENOENT) return opened;
    }
    bool looked = false;
    return search(chip, NULL, &looked);
}

/// Closes a chip and leaves errno as it is.
static void close_chip(struct gpiod_chip *chip) {
    int failure = errno;
    gpiod_chip_close(chip);
    errno = failure;
}

static void keep_name(char *room, const char *name) {
    snprintf(room, KEDGE_GPIO_CONSUMER, "%s", name != NULL ? name : "");
}

/// Opens the chip and finds the line on it. Returns NULL with errno.
static struct gpiod_chip *locate(const char *chip, const char *name, unsigned int *offset, int *step, char *consumer) {
    *step = KEDGE_GPIO_STEP_CHIP;
    consumer[0] = '\0';

    bool looked = false;
    struct gpiod_chip *opened = chip != NULL ? open_chip(chip) : search(NULL, name, &looked);
    if (opened == NULL) {
        if (looked) *step = KEDGE_GPIO_STEP_LINE;
        return NULL;
    }
    *step = KEDGE_GPIO_STEP_LINE;
    if (name != NULL) {
        int found = find_line(opened, name);
        if (found < 0) {
            close_chip(opened);
            return NULL;
        }
        *offset = (unsigned int)found;
    }
    return opened;
}

int kedge_gpio_request(const char *chip, const char *name, unsigned int offset, const struct kedge_gpio_settings *settings,
                       struct kedge_gpio_line **line, int *step, char *consumer) {
    *line = NULL;
    struct gpiod_chip *opened = locate(chip, name, &offset, step, consumer);
    if (opened == NULL) return -1;
    struct kedge_gpio_line *made = calloc(1, sizeof *made);
    bool used;
    if (made != NULL && look(opened, offset, &used, consumer) == 0) {
        *step = KEDGE_GPIO_STEP_REQUEST;
        if (request(opened, offset, settings, made) == 0) {
            *line = made;
            return 0;
        }
    }
    free(made);
    close_chip(opened);
    return -1;
}

int kedge_gpio_inspect(const char *chip, const char *name, unsigned int *offset, char *place, bool *used, int *step,
                       char *consumer) {
    *used = false;
    struct gpiod_chip *opened = locate(chip, name, offset, step, consumer);
    if (opened == NULL) return -1;
    int result = look(opened, *offset, used, consumer);
    if (result == 0) result = chip_name(opened, place);
    close_chip(opened);
    return result;
}

int kedge_gpio_survey(const char *path, void (*chip)(void *context, const char *label),
                      void (*line)(void *context, const struct kedge_gpio_found *line), void *context) {
    struct gpiod_chip *opened = gpiod_chip_open(path);
    if (opened == NULL) return -1;
    int result = survey(opened, chip, line, context);
    close_chip(opened);
    return result;
}

static int do_not_block(int descriptor) {
    int flags = fcntl(descriptor, F_GETFL);
    return flags < 0 ? -1 : fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
}

#ifdef GPIOD_LINE_BULK_MAX_LINES

// libgpiod 1.6: the kernel's first interface. No debouncing, no sequence numbers; it drops the newest edges when its FIFO of 16 is full.

bool kedge_gpio_debounces(void) { return false; }

static bool chip_has_label(struct gpiod_chip *chip, const char *label) {
    return strcmp(gpiod_chip_label(chip), label) == 0;
}

static int chip_name(struct gpiod_chip *chip, char *name) {
    keep_name(name, gpiod_chip_name(chip));
    return 0;
}

static int find_line(struct gpiod_chip *chip, const char *name) {
    struct gpiod_line *line = gpiod_chip_find_line(chip, name);
    return line != NULL ? (int)gpiod_line_offset(line) : -1;
}

static int look(struct gpiod_chip *chip, unsigned int offset, bool *used, char *consumer) {
    if (offset >= gpiod_chip_num_lines(chip)) {
        errno = ENOENT;
        return -1;
    }
    struct gpiod_line *line = gpiod_chip_get_line(chip, offset);
    if (line == NULL) return -1;
    *used = gpiod_line_is_used(line);
    keep_name(consumer, gpiod_line_consumer(line));
    return 0;
}

static int survey(struct gpiod_chip *chip, void (*tell_chip)(void *context, const char *label),
                  void (*tell_line)(void *context, const struct kedge_gpio_found *line), void *context) {
    tell_chip(context, gpiod_chip_label(chip));
    for (unsigned int offset = 0; offset < gpiod_chip_num_lines(chip); offset++) {
        struct gpiod_line *line = gpiod_chip_get_line(chip, offset);
        if (line == NULL) return -1;
        const char *consumer = gpiod_line_consumer(line);
        struct kedge_gpio_found found = {
            .offset = offset,
            .name = gpiod_line_name(line),
            .consumer = !gpiod_line_is_used(line) ? NULL : consumer != NULL ? consumer : "unknown",
            .output = gpiod_line_direction(line) == GPIOD_LINE_DIRECTION_OUTPUT,
        };
        tell_line(context, &found);
    }
    return 0;
}

static int request(struct gpiod_chip *chip, unsigned int offset, const struct kedge_gpio_settings *settings,
                   struct kedge_gpio_line *line) {
    line->chip = chip;
    line->line = gpiod_chip_get_line(chip, offset);
    if (line->line == NULL) return -1;

    static const int biases[] = {0, GPIOD_LINE_REQUEST_FLAG_BIAS_DISABLE, GPIOD_LINE_REQUEST_FLAG_BIAS_PULL_UP,
                                 GPIOD_LINE_REQUEST_FLAG_BIAS_PULL_DOWN};
    static const int inputs[] = {GPIOD_LINE_REQUEST_DIRECTION_INPUT, GPIOD_LINE_REQUEST_EVENT_RISING_EDGE,
                                 GPIOD_LINE_REQUEST_EVENT_FALLING_EDGE, GPIOD_LINE_REQUEST_EVENT_BOTH_EDGES};
    struct gpiod_line_request_config config = {
        .consumer = our_name,
        .request_type = settings->output ? GPIOD_LINE_REQUEST_DIRECTION_OUTPUT : inputs[settings->edges & 3],
        .flags = biases[settings->bias & 3] | (settings->active_low ? GPIOD_LINE_REQUEST_FLAG_ACTIVE_LOW : 0) |
                 (settings->output && settings->open_drain ? GPIOD_LINE_REQUEST_FLAG_OPEN_DRAIN : 0),
    };
    if (gpiod_line_request(line->line, &config, settings->active) != 0) return -1;
    line->edges = !settings->output && settings->edges != KEDGE_GPIO_EDGES_NONE;
    if (line->edges && do_not_block(gpiod_line_event_get_fd(line->line)) < 0) {
        int failure = errno;
        gpiod_line_release(line->line);
        errno = failure;
        return -1;
    }
    return 0;
}

void kedge_gpio_release(struct kedge_gpio_line *line) {
    gpiod_chip_close(line->chip);  // Releases its lines.
    free(line);
}

int kedge_gpio_read(struct kedge_gpio_line *line) { return gpiod_line_get_value(line->line); }

int kedge_gpio_write(struct kedge_gpio_line *line, bool active) { return gpiod_line_set_value(line->line, active); }

int kedge_gpio_descriptor(struct kedge_gpio_line *line) {
    return line->edges ? gpiod_line_event_get_fd(line->line) : -1;
}

int kedge_gpio_take(struct kedge_gpio_line *line, struct kedge_gpio_event *events, size_t capacity) {
    struct gpiod_line_event taken[batch];
    int count = gpiod_line_event_read_multiple(line->line, taken, capacity < batch ? (unsigned int)capacity : batch);
    for (int i = 0; i < count; i++) {
        events[i] = (struct kedge_gpio_event){
            .active = taken[i].event_type == GPIOD_LINE_EVENT_RISING_EDGE,
            .sequence = 0,
            .timestamp = (uint64_t)taken[i].ts.tv_sec * 1000000000u + (uint64_t)taken[i].ts.tv_nsec,
        };
    }
    return count;
}

#else

// libgpiod 2: the kernel's second interface (5.10). It debounces, numbers the edges, and drops the oldest when its FIFO is full.

// Room for a burst while the loop is busy; the default is 16.
enum { kernel_fifo = 64 };

bool kedge_gpio_debounces(void) { return true; }

static bool chip_has_label(struct gpiod_chip *chip, const char *label) {
    struct gpiod_chip_info *info = gpiod_chip_get_info(chip);
    if (info == NULL) return false;
    bool same = strcmp(gpiod_chip_info_get_label(info), label) == 0;
    gpiod_chip_info_free(info);
    return same;
}

static int chip_name(struct gpiod_chip *chip, char *name) {
    struct gpiod_chip_info *info = gpiod_chip_get_info(chip);
    if (info == NULL) return -1;
    keep_name(name, gpiod_chip_info_get_name(info));
    gpiod_chip_info_free(info);
    return 0;
}

static int find_line(struct gpiod_chip *chip, const char *name) {
    return gpiod_chip_get_line_offset_from_name(chip, name);
}

static int configure(struct gpiod_line_settings *line, const struct kedge_gpio_settings *settings) {
    static const enum gpiod_line_bias biases[] = {GPIOD_LINE_BIAS_AS_IS, GPIOD_LINE_BIAS_DISABLED, GPIOD_LINE_BIAS_PULL_UP,
                                                  GPIOD_LINE_BIAS_PULL_DOWN};
    static const enum gpiod_line_edge edges[] = {GPIOD_LINE_EDGE_NONE, GPIOD_LINE_EDGE_RISING, GPIOD_LINE_EDGE_FALLING,
                                                 GPIOD_LINE_EDGE_BOTH};
    gpiod_line_settings_set_active_low(line, settings->active_low);
    if (gpiod_line_settings_set_bias(line, biases[settings->bias & 3]) != 0) return -1;
    if (settings->output) {
        if (gpiod_line_settings_set_direction(line, GPIOD_LINE_DIRECTION_OUTPUT) != 0) return -1;
        if (settings->open_drain && gpiod_line_settings_set_drive(line, GPIOD_LINE_DRIVE_OPEN_DRAIN) != 0) return -1;
        return gpiod_line_settings_set_output_value(line, settings->active ? GPIOD_LINE_VALUE_ACTIVE : GPIOD_LINE_VALUE_INACTIVE);
    }
    if (gpiod_line_settings_set_direction(line, GPIOD_LINE_DIRECTION_INPUT) != 0) return -1;
    gpiod_line_settings_set_debounce_period_us(line, settings->debounce);
    if (gpiod_line_settings_set_event_clock(line, GPIOD_LINE_CLOCK_MONOTONIC) != 0) return -1;
    return gpiod_line_settings_set_edge_detection(line, edges[settings->edges & 3]);
}

static int look(struct gpiod_chip *chip, unsigned int offset, bool *used, char *consumer) {
    struct gpiod_line_info *info = gpiod_chip_get_line_info(chip, offset);
    if (info == NULL) {
        if (errno == EINVAL) errno = ENOENT;  // The offset is past the chip's last line.
        return -1;
    }
    *used = gpiod_line_info_is_used(info);
    keep_name(consumer, gpiod_line_info_get_consumer(info));
    gpiod_line_info_free(info);
    return 0;
}

static int survey(struct gpiod_chip *chip, void (*tell_chip)(void *context, const char *label),
                  void (*tell_line)(void *context, const struct kedge_gpio_found *line), void *context) {
    struct gpiod_chip_info *about = gpiod_chip_get_info(chip);
    if (about == NULL) return -1;
    size_t count = gpiod_chip_info_get_num_lines(about);
    tell_chip(context, gpiod_chip_info_get_label(about));
    gpiod_chip_info_free(about);
    for (unsigned int offset = 0; offset < count; offset++) {
        struct gpiod_line_info *info = gpiod_chip_get_line_info(chip, offset);
        if (info == NULL) return -1;
        const char *consumer = gpiod_line_info_get_consumer(info);
        struct kedge_gpio_found found = {
            .offset = offset,
            .name = gpiod_line_info_get_name(info),
            .consumer = !gpiod_line_info_is_used(info) ? NULL : consumer != NULL ? consumer : "unknown",
            .output = gpiod_line_info_get_direction(info) == GPIOD_LINE_DIRECTION_OUTPUT,
        };
        tell_line(context, &found);
        gpiod_line_info_free(info);
    }
    return 0;
}

static int request(struct gpiod_chip *chip, unsigned int offset, const struct kedge_gpio_settings *settings,
                   struct kedge_gpio_line *line) {
    bool edges = !settings->output && settings->edges != KEDGE_GPIO_EDGES_NONE;
    struct gpiod_line_settings *of_line = gpiod_line_settings_new();
    struct gpiod_line_config *lines = gpiod_line_config_new();
    struct gpiod_request_config *config = gpiod_request_config_new();
    line->offset = offset;
    if (edges) line->buffer = gpiod_edge_event_buffer_new(batch);
    if (of_line != NULL && lines != NULL && config != NULL && (!edges || line->buffer != NULL) &&
        configure(of_line, settings) == 0 && gpiod_line_config_add_line_settings(lines, &offset, 1, of_line) == 0) {
        gpiod_request_config_set_consumer(config, our_name);
        if (edges) gpiod_request_config_set_event_buffer_size(config, kernel_fifo);
        line->request = gpiod_chip_request_lines(chip, config, lines);
    }
    if (line->request != NULL && edges && do_not_block(gpiod_line_request_get_fd(line->request)) < 0) {
        int failure = errno;
        gpiod_line_request_release(line->request);
        line->request = NULL;
        errno = failure;
    }

    int failure = errno;
    gpiod_request_config_free(config);
    gpiod_line_config_free(lines);
    gpiod_line_settings_free(of_line);
    if (line->request == NULL) {
        gpiod_edge_event_buffer_free(line->buffer);
        errno = failure;
        return -1;
    }
    // The request stands by itself.
    gpiod_chip_close(chip);
    return 0;
}

void kedge_gpio_release(struct kedge_gpio_line *line) {
    gpiod_line_request_release(line->request);
    gpiod_edge_event_buffer_free(line->buffer);
    free(line);
}

int kedge_gpio_read(struct kedge_gpio_line *line) { return gpiod_line_request_get_value(line->request, line->offset); }

int kedge_gpio_write(struct kedge_gpio_line *line, bool active) {
    return gpiod_line_request_set_value(line->request, line->offset, active ? GPIOD_LINE_VALUE_ACTIVE : GPIOD_LINE_VALUE_INACTIVE);
}

int kedge_gpio_descriptor(struct kedge_gpio_line *line) {
    return line->buffer != NULL ? gpiod_line_request_get_fd(line->request) : -1;
}

int kedge_gpio_take(struct kedge_gpio_line *line, struct kedge_gpio_event *events, size_t capacity) {
    int count = gpiod_line_request_read_edge_events(line->request, line->buffer, capacity < batch ? capacity : batch);
    for (int i = 0; i < count; i++) {
        struct gpiod_edge_event *taken = gpiod_edge_event_buffer_get_event(line->buffer, (unsigned long)i);
        events[i] = (struct kedge_gpio_event){
            .active = gpiod_edge_event_get_event_type(taken) == GPIOD_EDGE_EVENT_RISING_EDGE,
            .sequence = (uint32_t)gpiod_edge_event_get_line_seqno(taken),
            .timestamp = gpiod_edge_event_get_timestamp_ns(taken),
        };
    }
    return count;
}

#endif
