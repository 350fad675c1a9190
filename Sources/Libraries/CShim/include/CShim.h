// The C that Swift cannot write for itself: macros, variadic calls, errno, argv.
// It is also the one door to the C library: Embedded Swift has no Glibc module, so every stage that needs
// a system call imports CShim in both modes.
#ifndef KEDGE_CSHIM_H
#define KEDGE_CSHIM_H

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "gpio_shim.h"
#include "kafka_bind.h"

/// errno of the calling thread (a macro in C, so Swift cannot name it).
int kedge_errno(void);

/// open(2) without its variadic mode; new files get mode 0644. Returns the descriptor or -1.
int kedge_open(const char *path, int flags);

/// Locks an open file for this process alone (flock(2)), without waiting. Returns 0 or -1; EAGAIN is another's lock.
int kedge_lock(int descriptor);

/// Makes a file for writing that must not be there yet (EEXIST), with exactly that mode. Returns the descriptor or -1.
int kedge_create(const char *path, uint32_t mode);

/// Blocks `count` signals in this thread (and those it starts) and returns a signalfd for them, or -1.
int kedge_signalfd(const int *signals, size_t count);

/// Writes the text of `code` (strerror) into `buffer`, always terminated.
void kedge_strerror(int code, char *buffer, size_t capacity);

/// Starts a detached thread named `name` with a stack of `stack` bytes. Returns 0 or an errno.
int kedge_thread_start(const char *name, size_t stack, void (*entry)(void *), void *argument);

/// Writes all of `bytes` to `descriptor`; stops at the first error. Returns 0 or -1.
int kedge_write_all(int descriptor, const void *bytes, size_t count);

/// The errno of the last kedge_write_all to standard output that failed; 0 when none did.
int kedge_output_error(void);

/// The process's argument at `index` (0 is its name), or NULL past the last.
/// Embedded Swift has no CommandLine.
const char *kedge_argument(int index);

/// Calls `entry` with the name of each entry of a directory, sorted as numbers count ("i2c-2" before "i2c-10"), without those
/// that begin with a dot. Returns 0, or -1 with errno.
int kedge_list(const char *path, void (*entry)(void *context, const char *name), void *context);

/// Who may write to `path`: puts the name of its group, or the group's number, into `group`.
/// Returns 1 when members of the group may, 0 when they may not, or -1 with errno.
int kedge_group_access(const char *path, char *group, size_t capacity);

/// Whether `text` is an IPv4 address with its four numbers, or an IPv6 address (inet_pton(3)).
bool kedge_is_ipv4(const char *text);
bool kedge_is_ipv6(const char *text);

/// Sends `message` to the service manager's socket named by NOTIFY_SOCKET, as sd_notify(3) defines the protocol.
/// Returns 1 when it was sent, 0 when there is no such socket, -1 with errno when sending failed.
int kedge_notify(const char *message);

/// Lets writing to a pipe without a reader fail with EPIPE instead of ending the process.
void kedge_ignore_broken_pipes(void);

/// Ends the process with a line on standard error and the status 70 when it is not called again for `seconds`; 0 ends
/// that.
void kedge_exit_after(unsigned seconds);
/// Whether the kernel holds its wall clock for synchronised (adjtimex(2): no STA_UNSYNC); false also where it does not tell.
bool kedge_clock_is_synchronised(void);

/// A timerfd(2) that becomes readable when the wall clock is set, not blocking. Returns the descriptor or -1.
int kedge_step_timer(void);

/// Reads a step timer empty and arms it again. Returns whether the clock has been set.
bool kedge_step_timer_read(int descriptor);

/// getrusage(2) of this process. Returns 0.
int kedge_resource_usage(struct rusage *usage);

#endif
