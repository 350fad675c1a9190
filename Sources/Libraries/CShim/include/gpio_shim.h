// GPIO through libgpiod, 1.6 (Debian bookworm) or 2.x (trixie). The two have no call in common but opening and closing a chip;
// gpio.c is the one place that knows both, and this is what they amount to for one line.
#ifndef KEDGE_GPIO_SHIM_H
#define KEDGE_GPIO_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/timerfd.h>

/// A requested line.
struct kedge_gpio_line;

enum {
    KEDGE_GPIO_BIAS_AS_IS,
    KEDGE_GPIO_BIAS_DISABLED,
    KEDGE_GPIO_BIAS_PULL_UP,
    KEDGE_GPIO_BIAS_PULL_DOWN,
};

enum {
    KEDGE_GPIO_EDGES_NONE,
    KEDGE_GPIO_EDGES_RISING,
    KEDGE_GPIO_EDGES_FALLING,
    KEDGE_GPIO_EDGES_BOTH,
};

/// Levels and edges are logical: after `active_low`, as both kernel interfaces count them.
struct kedge_gpio_settings {
    bool output;
    /// The level that an output has from the request on.
    bool active;
    bool active_low;
    /// An output that drives low only.
    bool open_drain;
    int bias;
    int edges;
    /// In microseconds; only where `kedge_gpio_debounces()`.
    uint32_t debounce;
};

struct kedge_gpio_event {
    /// The level after the edge.
    bool active;
    /// Counts this line's edges from 1, those that the kernel dropped included; 0 where it does not tell (1.6).
    uint32_t sequence;
    /// Nanoseconds of CLOCK_MONOTONIC (libgpiod 1.6 on kernels before 5.7: of CLOCK_REALTIME).
    uint64_t timestamp;
};

/// How far a request came before it failed.
enum { KEDGE_GPIO_STEP_CHIP, KEDGE_GPIO_STEP_LINE, KEDGE_GPIO_STEP_REQUEST };

/// The size of a consumer's or a chip's name, with its end.
enum { KEDGE_GPIO_CONSUMER = 32 };

/// Whether the kernel debounces; otherwise the caller must.
bool kedge_gpio_debounces(void);

/// Requests a line with "kedge" as consumer.
/// `chip` is a path, a name below /dev or a label; NULL takes the first chip, or with a line's name the first that has it.
/// The line is `name`, or with NULL `offset`. On failure `step` says where it was, and `consumer` (KEDGE_GPIO_CONSUMER bytes)
/// who holds the line, if anybody. Returns 0, or -1 with errno; at the step of the line ENOENT is no such line, and EINVAL a kernel without
/// the interface that the library speaks.
int kedge_gpio_request(const char *chip, const char *name, unsigned int offset, const struct kedge_gpio_settings *settings,
                       struct kedge_gpio_line **line, int *step, char *consumer);

/// Finds a line as `kedge_gpio_request` does, and looks at it without touching it: `place` (KEDGE_GPIO_CONSUMER bytes) is what
/// the kernel calls its chip, `*offset` its offset there, `used` tells whether somebody holds it, `consumer` who.
/// Returns 0, or -1 with errno.
int kedge_gpio_inspect(const char *chip, const char *name, unsigned int *offset, char *place, bool *used, int *step,
                       char *consumer);

/// A line as `kedge_gpio_survey` finds it; the texts live as long as the call, NULL stands for none.
struct kedge_gpio_found {
    unsigned int offset;
    const char *name;
    /// Who holds it; NULL while it is free.
    const char *consumer;
    bool output;
};

/// Looks at the chip at `path` without touching it: calls `chip` once with its label, then `line` for each of its lines.
/// Returns 0, or -1 with errno.
int kedge_gpio_survey(const char *path, void (*chip)(void *context, const char *label),
                      void (*line)(void *context, const struct kedge_gpio_found *line), void *context);

/// Releases the line and frees it.
void kedge_gpio_release(struct kedge_gpio_line *line);

/// 0 or 1, or -1 with errno.
int kedge_gpio_read(struct kedge_gpio_line *line);

/// 0, or -1 with errno.
int kedge_gpio_write(struct kedge_gpio_line *line, bool active);

/// Readable when an edge waits; -1 for a line without edges.
int kedge_gpio_descriptor(struct kedge_gpio_line *line);

/// Takes up to `capacity` edges, oldest first, without blocking. Returns their number, or -1 with errno (EAGAIN: none waits).
int kedge_gpio_take(struct kedge_gpio_line *line, struct kedge_gpio_event *events, size_t capacity);

#endif
