// Fixed addresses for librdkafka's mock cluster; see kafka_bind.c.
#ifndef KEDGE_KAFKA_BIND_H
#define KEDGE_KAFKA_BIND_H

#include <stdbool.h>
#include <stdint.h>

/// From now on, until `kedge_bind_default`, each bind() of this thread to port 0 of the loopback address goes to
/// `address` (dotted IPv4) instead, and to `port`, `port + 1`, and so on; with `port` 0 to any that is free. Returns false
/// when `address` is none.
bool kedge_bind_next(const char *address, uint16_t port);

/// Ends kedge_bind_next. Returns how many bind() calls it has redirected.
unsigned kedge_bind_default(void);

/// Whether a listener can be bound to `address` and `port` now. Returns 0 or -1 (errno; EINVAL for no IPv4 address).
int kedge_bind_probe(const char *address, uint16_t port);

#endif
