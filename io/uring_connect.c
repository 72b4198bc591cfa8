/*
 * Connecting to an address.
 *
 * The happy path: a socket is made by a plain system call, which does not block; the kernel
 * connects it, and the completion hands the descriptor to the taker.  Until then it belongs to the
 * operation.  Attempts in progress are linked through their slots, so that one can be found by its
 * user: they are few.
 *
 *     address ──► socket ──► in the kernel ──► connected: the taker's
 *        │           │             └─────────► failed or canceled: closed, a negative errno
 *        └───────────┴───────────────────────► nothing was open, or is any more: a negative errno
 *
 * Failure modes:
 *   - the address is none, or no socket is to be had: the completion is made here, at once.
 *   - the attempt fails, or is canceled: the descriptor is closed before the completion is
 *     delivered.  A cancellation that comes too late finds nothing, and the handle is delivered.
 *   - nothing listens at a port of this host that is also one for outgoing connections: the kernel
 *     may give the socket that very port, and it then reaches itself.  Nobody is there who would
 *     answer, and the port is taken from whoever comes to listen: it counts as refused.
 */

#include "io/uring.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "io/address.h"

/* A socket that can be given to the kernel, or the negative of an errno. */
static int socket_open(const struct io *io, int family) {
    int descriptor = socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
    if (descriptor < 0)
        return -errno;
    int one = 1;
    int number = 0;
    if ((uint32_t)descriptor >= io->descriptors_max)
        number = EMFILE; /* the limit on descriptors was raised after the start */
    else if (setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0)
        number = errno;
    if (number == 0)
        return descriptor;
    close(descriptor);
    return -number;
}

/* The address in the form that the kernel takes; its length. */
static socklen_t address_write(struct uring_operation *operation,
                               const struct io_address *address) {
    if (address->is_v6) {
        operation->address.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
                                                      .sin6_port = htons(address->port_number)};
        memcpy(&operation->address.v6.sin6_addr, address->bytes, 16);
        return sizeof(operation->address.v6);
    }
    operation->address.v4 =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(address->port_number)};
    memcpy(&operation->address.v4.sin_addr, address->bytes, 4);
    return sizeof(operation->address.v4);
}

void io_connect_start(struct io_port *port, const char *address, uint64_t user) {
    struct io_address where = {.is_v6 = false};
    int descriptor = -EINVAL;
    if (io_address_read(address, &where))
        descriptor = socket_open(port->io, where.is_v6 ? AF_INET6 : AF_INET);
    struct uring_operation *operation =
        uring_start(port, IO_CONNECT, descriptor < 0 ? 0 : descriptor, user);
    if (descriptor < 0) {
        /* Final and made by the door itself: the mailbox has room for it. */
        uring_deliver(port, operation, descriptor, 0, 0);
        return;
    }
    operation->next_free = port->first_connect;
    port->first_connect = (uint32_t)(operation - port->operations);
    socklen_t length = address_write(operation, &where);
    struct io_uring_sqe *entry = uring_entry(port->io);
    io_uring_prep_connect(entry, descriptor, &operation->address.any, length);
    uring_entry_name(entry, port, operation);
}

void io_connect_stop(struct io_port *port, uint64_t user) {
    uint32_t slot = port->first_connect;
    while (slot != UINT32_MAX && port->operations[slot].user != user)
        slot = port->operations[slot].next_free;
    if (slot == UINT32_MAX)
        return; /* its completion is in the mailbox already */
    ASSERT(port->operations[slot].kind == IO_CONNECT);
    uring_cancel(port, slot);
}

/* Takes the attempt out of the list of those in progress. */
static void attempt_unlink(struct io_port *port, const struct uring_operation *operation) {
    uint32_t slot = (uint32_t)(operation - port->operations);
    uint32_t *link = &port->first_connect;
    while (*link != slot) {
        ASSERT(*link < port->operations_max);
        link = &port->operations[*link].next_free;
    }
    *link = operation->next_free;
}

/* Whether the other end of the connection is the socket itself. */
static bool reached_itself(int descriptor) {
    struct sockaddr_storage own = {0};
    struct sockaddr_storage other = {0};
    socklen_t own_length = sizeof(own);
    socklen_t other_length = sizeof(other);
    return getsockname(descriptor, (struct sockaddr *)&own, &own_length) == 0 &&
           getpeername(descriptor, (struct sockaddr *)&other, &other_length) == 0 &&
           own_length == other_length && memcmp(&own, &other, own_length) == 0;
}

void uring_connect_completed(struct io_port *port, struct uring_operation *operation,
                             int32_t result) {
    ASSERT(operation->kind == IO_CONNECT && result <= 0);
    int32_t descriptor = operation->handle;
    attempt_unlink(port, operation);
    if (result == 0 && reached_itself(descriptor))
        result = -ECONNREFUSED;
    if (result == 0) {
        *uring_descriptor(port->io, descriptor) = (struct uring_descriptor){0};
        result = descriptor;
    } else {
        close(descriptor);
    }
    uring_deliver(port, operation, result, 0, 0);
}
