#define _GNU_SOURCE
#include "CShim.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <grp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <sys/un.h>

int kedge_errno(void) { return errno; }

int kedge_open(const char *path, int flags) { return open(path, flags | O_CLOEXEC, 0644); }

int kedge_lock(int descriptor) { return flock(descriptor, LOCK_EX | LOCK_NB); }

int kedge_create(const char *path, uint32_t mode) {
    int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode);
    // The umask takes from the mode of a new file, not from this.
    if (descriptor >= 0) (void)fchmod(descriptor, (mode_t)mode);
    return descriptor;
}

int kedge_signalfd(const int *signals, size_t count) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < count; i++) sigaddset(&set, signals[i]);
    int failed = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (failed != 0) {
        errno = failed;
        return -1;
    }
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

void kedge_strerror(int code, char *buffer, size_t capacity) {
    if (capacity == 0) return;
    buffer[0] = '\0';
    // The GNU variant returns the text, which may or may not lie in `buffer`.
    const char *text = strerror_r(code, buffer, capacity);
    if (text != buffer) {
        strncpy(buffer, text, capacity - 1);
        buffer[capacity - 1] = '\0';
    }
}

/// What Embedded Swift's `Double(String)` calls; ordinary Swift brings its own.
__attribute__((weak)) const char *_swift_stdlib_strtod_clocale(const char *text, double *result) {
    char *end;
    *result = strtod(text, &end);
    return end;
}

struct start {
    void (*entry)(void *);
    void *argument;
};

static void *run_thread(void *argument) {
    struct start start = *(struct start *)argument;
    free(argument);
    start.entry(start.argument);
    return NULL;
}

bool kedge_is_ipv4(const char *text) {
    struct in_addr address;
    return inet_pton(AF_INET, text, &address) == 1;
}

bool kedge_is_ipv6(const char *text) {
    struct in6_addr address;
    return inet_pton(AF_INET6, text, &address) == 1;
}

int kedge_thread_start(const char *name, size_t stack, void (*entry)(void *), void *argument) {
    struct start *start = malloc(sizeof *start);
    if (start == NULL) return ENOMEM;
    *start = (struct start){entry, argument};
    pthread_attr_t attributes;
    int failed = pthread_attr_init(&attributes);
    if (failed == 0) {
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        // Too small a stack for this machine is no reason to fail: the default then serves.
        (void)pthread_attr_setstacksize(&attributes, stack);
        // A signal for the process must find the loop's thread: in any other one it would end the process at once.
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &before);
        pthread_t thread;
        failed = pthread_create(&thread, &attributes, run_thread, start);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attributes);
        if (failed == 0) {
            char shortened[16];
            strncpy(shortened, name, sizeof shortened - 1);
            shortened[sizeof shortened - 1] = '\0';
            (void)pthread_setname_np(thread, shortened);
        }
    }
    if (failed != 0) free(start);
    return failed;
}

static int output_error;

int kedge_output_error(void) { return output_error; }

int kedge_write_all(int descriptor, const void *bytes, size_t count) {
    const char *next = bytes;
    while (count > 0) {
        ssize_t written = write(descriptor, next, count);
        if (written < 0) {
            if (errno == EINTR) continue;
            if (descriptor == STDOUT_FILENO) output_error = errno;
            return -1;
        }
        next += written;
        count -= (size_t)written;
    }
    return 0;
}

static int argument_count;
static char **arguments;

// glibc hands argc and argv to constructors too, so main can stay Swift's.
__attribute__((constructor)) static void keep_arguments(int count, char **values) {
    argument_count = count;
    arguments = values;
}

const char *kedge_argument(int index) {
    return index >= 0 && index < argument_count ? arguments[index] : NULL;
}

// One datagram. libsystemd would do the same, but costs a megabyte of memory and three libraries more;
// the protocol is stable and documented for exactly this.
int kedge_notify(const char *message) {
    const char *path = getenv("NOTIFY_SOCKET");
    if (path == NULL || path[0] == '\0') return 0;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || length >= sizeof address.sun_path) {
        errno = EINVAL;
        return -1;
    }
    memcpy(address.sun_path, path, length);
    if (path[0] == '@') address.sun_path[0] = '\0';  // an abstract socket
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -1;
    ssize_t sent = sendto(descriptor, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    int failure = errno;
    close(descriptor);
    errno = failure;
    return sent < 0 ? -1 : 1;
}

void kedge_ignore_broken_pipes(void) { signal(SIGPIPE, SIG_IGN); }

int kedge_resource_usage(struct rusage *usage) { return getrusage(RUSAGE_SELF, usage); }

static int is_shown(const struct dirent *entry) { return entry->d_name[0] != '.'; }

int kedge_list(const char *path, void (*entry)(void *context, const char *name), void *context) {
    struct dirent **entries;
    int count = scandir(path, &entries, is_shown, versionsort);
    if (count < 0) return -1;
    for (int i = 0; i < count; i++) {
        entry(context, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

int kedge_group_access(const char *path, char *group, size_t capacity) {
    struct stat status;
    if (stat(path, &status) < 0) return -1;
    char buffer[1024];
    struct group entry;
    struct group *found = NULL;
    if (getgrgid_r(status.st_gid, &entry, buffer, sizeof buffer, &found) == 0 && found != NULL) {
        snprintf(group, capacity, "%s", found->gr_name);
    } else {
        snprintf(group, capacity, "%u", (unsigned int)status.st_gid);
    }
    return (status.st_mode & 0020) != 0;
}

// Only what signal-safety(7) permits.
static void stalled(int number) {
    static const char text[] = "<3>the event loop stands still: ending, so that a start brings the safe values\n";
    size_t skipped = getenv("JOURNAL_STREAM") == NULL ? 3 : 0;
    ssize_t written = write(STDERR_FILENO, text + skipped, sizeof text - 1 - skipped);
    (void)written;
    (void)number;
    _exit(70);
}

void kedge_exit_after(unsigned seconds) {
    static bool is_set;
    if (!is_set) {
        struct sigaction action = {.sa_handler = stalled};
        sigaction(SIGALRM, &action, NULL);
        is_set = true;
    }
    alarm(seconds);
}

bool kedge_clock_is_synchronised(void) {
    // No modes: it only reads, which needs no privilege.
    struct timex state = {0};
    return adjtimex(&state) >= 0 && (state.status & STA_UNSYNC) == 0;
}

/// Far away, and still within a 32-bit time_t: what matters is that a step of the clock cancels the timer.
static int arm_step_timer(int descriptor) {
    struct itimerspec far = {.it_value.tv_sec = INT32_MAX};
    return timerfd_settime(descriptor, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL);
}

int kedge_step_timer(void) {
    int descriptor = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (descriptor >= 0 && arm_step_timer(descriptor) != 0) {
        int failure = errno;
        close(descriptor);
        errno = failure;
        return -1;
    }
    return descriptor;
}

bool kedge_step_timer_read(int descriptor) {
    uint64_t expirations;
    ssize_t size = read(descriptor, &expirations, sizeof expirations);
    if (size < 0 && errno == EAGAIN) return false;
    bool is_step = size < 0 && errno == ECANCELED;
    // After 2038 it would expire at once and without end: then steps go unnoticed.
    if (is_step) (void)arm_step_timer(descriptor);
    return is_step;
}
