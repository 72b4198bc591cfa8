#ifndef WEIR_BENCH_LOAD_TARGETS_H
#define WEIR_BENCH_LOAD_TARGETS_H

/*
 * Where the servers of one cluster listen: those that the operator named, those that CLUSTER SLOTS
 * lists, and those that a -MOVED names. One of them leads; which one changes.
 *
 * A table is copied into each worker and then owned by it. Nothing allocates.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

enum {
    LOAD_TARGETS_MAX = 16, /* as many as a cluster has members */
    LOAD_TARGET_HOST_BYTES = 256,
    LOAD_TARGET_PORT_BYTES = 6,
    LOAD_TARGET_NONE = LOAD_TARGETS_MAX, /* no place in the table */
};

/* Where a server listens, as connect(2) wants it. */
struct load_address {
    struct sockaddr_storage socket;
    socklen_t socket_bytes;
};

/* One server. */
struct load_target {
    char host[LOAD_TARGET_HOST_BYTES];
    char port[LOAD_TARGET_PORT_BYTES];
    struct load_address address;
};

/* All that are known. Zeroed, it is empty. */
struct load_targets {
    uint32_t count;
    uint32_t preferred; /* where the next connection goes: who leads, as far as is known */
    bool sharded;       /* different servers have different keys: nobody follows */
    struct load_target items[LOAD_TARGETS_MAX];
};

/*
 * Splits "HOST:PORT", also "[::1]:PORT". Errors: WEIR_EINVAL when it is not of this form, the host
 * is too long or the port not from 1 to 65535.
 */
int load_target_parse(const char *text, size_t length_bytes, char host[LOAD_TARGET_HOST_BYTES],
                      char port[LOAD_TARGET_PORT_BYTES]);

/*
 * The place of a server in the table, which is extended if it is not there. Blocks if the host is a
 * name. LOAD_TARGET_NONE when it has no address or the table is full.
 */
uint32_t load_targets_add(struct load_targets *targets, const char *host, const char *port);

/*
 * The place of the server that an error reply "MOVED slot host:port" names, a numeric address;
 * LOAD_TARGET_NONE for any other text. Does not block.
 */
uint32_t load_targets_moved(struct load_targets *targets, const char *text, size_t length_bytes);

/*
 * Adds the servers that a reply to CLUSTER SLOTS lists, and prefers the first of them, which leads.
 * Only if one range has all slots: otherwise different servers have different keys, and a
 * connection cannot follow. Anything else changes nothing.
 */
void load_targets_slots(struct load_targets *targets, const char *reply, size_t length_bytes);

/* Whether there is another server to go to. */
static inline bool load_targets_follow(const struct load_targets *targets) {
    return targets->count > 1 && !targets->sharded;
}

/* The connection to `failed` was lost or led nowhere: prefers the next one, unless another one than
 * that is preferred already. Returns the one to try. */
uint32_t load_targets_next(struct load_targets *targets, uint32_t failed);

#endif
