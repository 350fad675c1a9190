#define _GNU_SOURCE
#include "CShim.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

int kedge_errno(void) { return errno; }

int kedge_open(const char *path, int flags) { return open(path, flags | O_CLOEXEC, 0644); }

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

int kedge_write_all(int descriptor, const void *bytes, size_t count) {
    const char *next = bytes;
    while (count > 0) {
        ssize_t written = write(descriptor, next, count);
        if (written < 0) {
            if (errno == EINTR) continue;
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
