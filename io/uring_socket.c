/*
 * Sockets: the core's receive buffers, accept, receive, send, close.
 *
 * The happy path: one multishot receive stays armed for a connection's whole life.  The kernel
 * takes a buffer from the ring of provided buffers for each piece that arrives and names it in the
 * completion; the taker owns it until it puts it back, which is a store into shared memory.
 *
 * Failure modes:
 *   - no buffer is free: the receive ends with -ENOBUFS, and the caller arms it again when one has
 *     come home.  The bytes wait in the socket, and TCP stops the sender.
 *   - the kernel ends a multishot operation for reasons of its own (its completion ring is full):
 *     the last completion has no IO_MORE, whatever else it carries.
 *   - io_receive_stop races with the end of the receive: the cancellation finds nothing, and the
 *     final completion is the one that was on its way.
 *   - a completion names a buffer although no byte was received: the buffer goes straight back.
 */

#include "io/uring.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- receive buffers --------------------------------------------------------------------- */

static void buffer_offer(struct uring_buffers *buffers, uint32_t index, uint32_t position) {
    io_uring_buf_ring_add(buffers->ring, buffers->memory + (size_t)index * buffers->buffer_bytes,
                          buffers->buffer_bytes, (unsigned short)index,
                          io_uring_buf_ring_mask(buffers->count), (int)position);
}

static size_t buffer_ring_bytes(const struct uring_buffers *buffers) {
    return (size_t)buffers->count * sizeof(struct io_uring_buf);
}

/* Registers the group and offers its first buffers.  Returns 0 or a positive errno. */
static int group_attach(struct io *io, uint32_t group) {
    struct uring_buffers *buffers = &io->buffers[group];
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)buffers->ring,
        .ring_entries = buffers->count,
        .bgid = (uint16_t)group,
    };
    int result = io_uring_register_buf_ring(&io->ring, &registration, 0);
    if (result != 0)
        return -result;
    io_uring_buf_ring_init(buffers->ring);
    for (uint32_t i = 0; i < buffers->offered; i++)
        buffer_offer(buffers, i, i);
    io_uring_buf_ring_advance(buffers->ring, (int)buffers->offered);
    return 0;
}

int uring_buffers_attach(struct io *io) {
    for (uint32_t group = 0; group < IO_BUFFER_GROUPS; group++) {
        int number = io->buffers[group].ring != NULL ? group_attach(io, group) : 0;
        if (number != 0)
            return number;
    }
    return 0;
}

void uring_buffers_free(struct io *io) {
    for (uint32_t group = 0; group < IO_BUFFER_GROUPS; group++)
        if (io->buffers[group].ring != NULL)
            munmap(io->buffers[group].ring, buffer_ring_bytes(&io->buffers[group]));
}

int io_buffers_register(struct io *io, uint32_t group, uint8_t *memory, uint32_t buffer_bytes,
                        uint32_t count, uint32_t offered, struct error_text *error) {
    ASSERT(group < IO_BUFFER_GROUPS && io->buffers[group].ring == NULL);
    ASSERT(IS_POWER_OF_TWO(count) && count <= 32768 && offered <= count);
    ASSERT(buffer_bytes > 0 && memory != NULL);

    struct uring_buffers *buffers = &io->buffers[group];
    *buffers = (struct uring_buffers){
        .memory = memory, .buffer_bytes = buffer_bytes, .count = count, .offered = offered};
    void *ring = mmap(NULL, buffer_ring_bytes(buffers), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ring == MAP_FAILED) {
        error_text_set(error, "no memory for a ring of %u receive buffers", count);
        return WEIR_ENOMEM;
    }
    buffers->ring = ring;
    int number = group_attach(io, group);
    if (number == 0)
        return 0;

    munmap(ring, buffer_ring_bytes(buffers));
    *buffers = (struct uring_buffers){0};
    error_text_set(error, "the kernel refused a ring of %u receive buffers: %s%s", count,
                   strerror(number),
                   number == ENOMEM ? "; raise the limit of locked memory ('ulimit -l')" : "");
    return number == ENOMEM ? WEIR_ENOMEM : WEIR_EUNSUPPORTED;
}

void io_buffer_return(struct io *io, uint32_t group, uint32_t index) {
    ASSERT_HOT(group < IO_BUFFER_GROUPS);
    struct uring_buffers *buffers = &io->buffers[group];
    ASSERT_HOT(index < buffers->count); /* 0 in a group that is not registered */
    buffer_offer(buffers, index, 0);
    io_uring_buf_ring_advance(buffers->ring, 1);
}

/* ---- accept and receive ------------------------------------------------------------------ */

/* Notes the operation as the one that a stop of this handle means. */
static void armed_set(struct io_port *port, const struct uring_operation *operation) {
    struct uring_descriptor *descriptor = uring_descriptor(port->io, operation->handle);
    ASSERT(descriptor->armed_slot == 0);
    descriptor->armed_slot = (uint32_t)(operation - port->operations) + 1;
    descriptor->armed_port = (uint8_t)port->index;
}

static void armed_clear(struct io_port *port, const struct uring_operation *operation) {
    struct uring_descriptor *descriptor = uring_descriptor(port->io, operation->handle);
    ASSERT_HOT(descriptor->armed_slot == (uint32_t)(operation - port->operations) + 1);
    descriptor->armed_slot = 0;
}

void io_accept_start(struct io_port *port, int32_t listener, uint64_t user) {
    struct uring_operation *operation = uring_start(port, IO_ACCEPT, listener, user);
    armed_set(port, operation);
    struct io_uring_sqe *entry = uring_entry(port->io);
    io_uring_prep_multishot_accept(entry, listener, NULL, NULL, SOCK_CLOEXEC);
    uring_entry_name(entry, port, operation);
}

void io_accept_stop(struct io_port *port, int32_t listener) {
    uring_cancel_armed(port->io, listener);
}

void io_receive_start(struct io_port *port, int32_t socket, uint32_t group, uint64_t user) {
    ASSERT(group == IO_BUFFERS_NONE ||
           (group < IO_BUFFER_GROUPS && port->io->buffers[group].ring != NULL));
    struct uring_operation *operation = uring_start(port, IO_RECEIVE, socket, user);
    operation->buffer_group = (uint8_t)group;
    armed_set(port, operation);
    struct io_uring_sqe *entry = uring_entry(port->io);
    if (group == IO_BUFFERS_NONE) {
        io_uring_prep_poll_add(entry, socket, POLLRDHUP); /* and, always, POLLHUP and POLLERR */
    } else {
        io_uring_prep_recv_multishot(entry, socket, NULL, 0, 0);
        io_uring_sqe_set_flags(entry, IOSQE_BUFFER_SELECT);
        entry->buf_group = (uint16_t)group;
    }
    uring_entry_name(entry, port, operation);
}

void io_receive_stop(struct io_port *port, int32_t socket, uint64_t user) {
    const struct uring_descriptor *descriptor = uring_descriptor(port->io, socket);
    if (descriptor->armed_slot != 0)
        ASSERT(port->operations[descriptor->armed_slot - 1].user == user);
    uring_cancel_armed(port->io, socket);
}

/* ---- send -------------------------------------------------------------------------------- */

void io_send(struct io_port *port, int32_t socket, const struct iovec *pieces, uint32_t count,
             enum io_send_mode mode, uint64_t user) {
    ASSERT_HOT(count >= 1 && count <= IO_SEND_PIECES_MAX);
    struct uring_operation *operation = uring_start(port, IO_SEND, socket, user);
    struct io_uring_sqe *entry = uring_entry(port->io);
    int flags = MSG_NOSIGNAL | (mode == IO_SEND_TRY ? MSG_DONTWAIT : 0);
    if (count == 1) {
        io_uring_prep_send(entry, socket, pieces[0].iov_base, pieces[0].iov_len, flags);
    } else {
        /* The kernel only reads the array; msghdr has no const. */
        operation->message =
            (struct msghdr){.msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = count};
        io_uring_prep_sendmsg(entry, socket, &operation->message, (unsigned)flags);
    }
    uring_entry_name(entry, port, operation);
}

/* ---- close ------------------------------------------------------------------------------- */

void io_socket_close(struct io *io, int32_t socket) {
    struct uring_descriptor *descriptor = uring_descriptor(io, socket);
    ASSERT(descriptor->armed_slot == 0);
    *descriptor = (struct uring_descriptor){0};
    struct io_uring_sqe *entry = uring_entry(io);
    io_uring_prep_close(entry, socket);
    io_uring_sqe_set_flags(entry, IOSQE_CQE_SKIP_SUCCESS);
    io_uring_sqe_set_data64(entry, uring_name(0, URING_PORT_INTERNAL, URING_CLOSE));
}

/* ---- completions ------------------------------------------------------------------------- */

static void accept_completed(struct io_port *port, struct uring_operation *operation,
                             int32_t result, uint8_t flags) {
    if (result >= 0 && (uint32_t)result >= port->io->descriptors_max) {
        close(result); /* the limit on descriptors was raised after the start */
        result = -EMFILE;
    }
    if (!(flags & IO_MORE))
        armed_clear(port, operation);
    if (result >= 0)
        *uring_descriptor(port->io, result) = (struct uring_descriptor){0};
    uring_deliver(port, operation, result, flags, 0);
}

static void receive_completed(struct io_port *port, struct uring_operation *operation,
                              int32_t result, uint8_t flags, uint32_t entry_flags) {
    uint32_t buffer = 0;
    if (operation->buffer_group == IO_BUFFERS_NONE && result > 0) /* the events of a poll */
        result = result & POLLERR ? -ECONNRESET : IO_RECEIVE_EOF;
    if (entry_flags & IORING_CQE_F_BUFFER) {
        buffer = entry_flags >> IORING_CQE_BUFFER_SHIFT;
        if (result > 0) {
            flags |= IO_HAS_BUFFER;
            port->io->received++;
        } else {
            io_buffer_return(port->io, operation->buffer_group, buffer);
        }
    }
    ASSERT_HOT(result <= 0 || (flags & IO_HAS_BUFFER));
    if (!(flags & IO_MORE))
        armed_clear(port, operation);
    uring_deliver(port, operation, result, flags, buffer);
}

void uring_socket_completed(struct io_port *port, struct uring_operation *operation, int32_t result,
                            uint32_t entry_flags) {
    uint8_t flags = entry_flags & IORING_CQE_F_MORE ? IO_MORE : 0;
    switch (operation->kind) {
    case IO_ACCEPT: accept_completed(port, operation, result, flags); break;
    case IO_CONNECT: uring_connect_completed(port, operation, result); break;
    case IO_RECEIVE: receive_completed(port, operation, result, flags, entry_flags); break;
    case IO_SEND: uring_deliver(port, operation, result, 0, 0); break;
    default: UNREACHABLE("not an operation of a socket");
    }
}
