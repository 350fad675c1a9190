// librdkafka's mock cluster binds its listeners to port 0 of the loopback address and has no setting for it. A
// development broker that is on another port after each start, or that no other machine can reach, is of little use.
//
// So this program defines bind(). The dynamic linker looks a symbol up in the executable first, and the static linker
// exports a symbol of the executable that a shared library refers to: librdkafka's calls arrive here. All calls but
// those of a thread that is just creating a mock cluster go to the kernel as they are.
#define _GNU_SOURCE
#include "include/kafka_bind.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/// Of the thread: the mock cluster binds in the thread that makes it,
/// and no other thread's sockets may be touched.
static _Thread_local struct {
    bool active;
    struct in_addr address;
    uint16_t port;
    unsigned redirected;
} next;

static int kernel_bind(int socket, const struct sockaddr *address, socklen_t size) {
    return (int)syscall(SYS_bind, socket, address, size);
}

__attribute__((visibility("default"), used)) int bind(int socket, const struct sockaddr *address, socklen_t size) {
    struct sockaddr_in wanted;
    if (!next.active || address == NULL || size < sizeof wanted || address->sa_family != AF_INET)
        return kernel_bind(socket, address, size);
    memcpy(&wanted, address, sizeof wanted);
    if (wanted.sin_port != 0 || wanted.sin_addr.s_addr != htonl(INADDR_LOOPBACK))
        return kernel_bind(socket, address, size);
    // Without it a restart would fail for a minute, on the connections of before in TIME_WAIT.
    int on = 1;
    (void)setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    wanted.sin_addr = next.address;
    wanted.sin_port = htons(next.port);
    if (next.port != 0) next.port++;
    next.redirected++;
    return kernel_bind(socket, (const struct sockaddr *)&wanted, sizeof wanted);
}

bool kedge_bind_next(const char *address, uint16_t port) {
    next.redirected = 0;
    next.port = port;
    next.active = inet_pton(AF_INET, address, &next.address) == 1;
    return next.active;
}

unsigned kedge_bind_default(void) {
    next.active = false;
    return next.redirected;
}

int kedge_bind_probe(const char *address, uint16_t port) {
    struct sockaddr_in wanted = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, address, &wanted.sin_addr) != 1) {
        errno = EINVAL;
        return -1;
    }
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0) return -1;
    int on = 1;
    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    int result = kernel_bind(listener, (const struct sockaddr *)&wanted, sizeof wanted);
    if (result == 0) result = listen(listener, 1);
    int code = errno;
    close(listener);
    errno = code;
    return result;
}
