#ifndef WEIR_IO_URING_H
#define WEIR_IO_URING_H

/*
 * What the files of the io_uring door share.  Internal: others include io/io.h.
 *
 *   uring_create.c   the ring: probing, creating, adopting, closing; sentences for refusals
 *   uring_loop.c     submitting, reaping, parking, waking; ports, timers
 *   uring_socket.c   receive buffers, accept, receive, send
 *   uring_connect.c  connecting
 *   uring_file.c     file and directory operations
 *   host.c           what is a plain system call: time, entropy, addresses, directories
 *
 * Life of an operation
 *
 *   free ──start──► queued ──submit──► in the kernel ──completion──► mailbox ──take──► (gone)
 *    ▲                                    │    ▲                        │
 *    │                                    └────┘ short write, EINTR:    │ slot freed on delivery
 *    └───────────────────────────────────── started again ◄─────────────┘ of the last completion
 *
 * A slot is named in the kernel by {generation, port, slot}; the generation changes each time the
 * slot is freed, so a completion that arrives for an earlier use of it is recognised and dropped.
 *
 * A handle is a file descriptor.  A socket may be received on at one core's door and sent on at
 * another's: the descriptor is the process's.  What a door knows about a descriptor (its armed
 * receive, a file's alignment) is the door's own, in a table indexed by descriptor.
 */

#include <liburing.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#include "io/io.h"
#include "io/mailbox.h"

enum {
    URING_PORTS_MAX = 127,           /* ports of one door: shards of one core */
    URING_PORT_SYNC = 128,           /* added to a port: the sync linked behind a write of its */
    URING_SLOTS_MAX = 1 << 24,       /* operations of one port: bits in the name of a slot */
    URING_DESCRIPTORS_MAX = 1 << 20, /* the table's length, if the process may open as many */
    URING_PORT_INTERNAL = 255,       /* "port" of what the door starts for itself */
};

_Static_assert(URING_PORTS_MAX <= URING_PORT_SYNC &&
                   URING_PORT_SYNC + URING_PORTS_MAX <= URING_PORT_INTERNAL,
               "a port, the sync of a port and the internal port have numbers of their own");

/* The slot number of internal operations says which. */
enum uring_internal {
    URING_WAKE = 1,   /* the multishot poll on the wake descriptor */
    URING_CANCEL = 2, /* a cancellation; what it cancels answers for itself */
    URING_CLOSE = 3,  /* a close: it says nothing, unless it fails */
};

/* A read or write of a file, and how far it has come. */
struct uring_transfer {
    const struct iovec *pieces;
    struct iovec single; /* the piece of a read; pieces points here then */
    uint64_t offset_bytes;
    uint32_t count;
    uint32_t length_bytes;
    uint32_t done_bytes;
    bool sync;
    bool sync_linked; /* by a request of its own, linked behind the write */
};

struct uring_operation {
    uint64_t user;
    uint32_t generation;
    uint32_t next_free; /* slot, also of the next attempt to connect; UINT32_MAX ends the list */
    int32_t handle;     /* socket, file, or the directory of a name */
    uint8_t kind;       /* enum io_kind */
    bool busy;
    uint8_t buffer_group; /* of a receive */
    union {
        struct msghdr message; /* IO_SEND of several pieces */
        union {
            struct sockaddr any;
            struct sockaddr_in v4;
            struct sockaddr_in6 v6;
        } address;                      /* IO_CONNECT */
        struct uring_transfer transfer; /* IO_FILE_READ, IO_FILE_WRITE */
        uint64_t length_bytes;          /* IO_FILE_ALLOCATE */
        uint32_t open_flags;            /* IO_FILE_OPEN: enum io_open_flags */
        struct {
            const char *from;
            const char *to;
        } names; /* IO_FILE_RENAME, IO_FILE_REMOVE (from) */
    };
};

struct io_port {
    struct io *io;
    struct io_mailbox mailbox;
    struct uring_operation *operations;
    uint32_t operations_max;
    uint32_t first_free;    /* slot; UINT32_MAX: none */
    uint32_t first_connect; /* slot of an attempt in progress; UINT32_MAX: none */
    uint32_t outstanding;   /* started and not finally taken */
    uint32_t index;         /* in io->ports */
    uint64_t timer_deadline_ns;
    uint64_t timer_user;
    bool timer_set;
};

/* What this door knows about a descriptor. */
struct uring_descriptor {
    uint32_t armed_slot; /* slot + 1 of its armed accept or receive; 0: none */
    uint16_t alignment_bytes;
    uint8_t armed_port;
    bool direct; /* opened past the page cache */
};

/* A group of receive buffers, and the ring in which the kernel is offered them. */
struct uring_buffers {
    struct io_uring_buf_ring *ring; /* NULL: not registered */
    uint8_t *memory;
    uint32_t buffer_bytes;
    uint32_t count;
    uint32_t offered; /* of them at first, and again in a new ring */
};

struct io {
    struct io_uring ring;
    struct io_options options;
    uint32_t features; /* enum io_feature in use */
    bool enabled;      /* the owner's thread may submit */
    bool called;       /* the last io_poll was a system call */
    bool woken;        /* a wake was seen by io_poll: the next io_park returns at once */
    pthread_t owner;   /* valid if enabled */
    int wake_descriptor;
    uint32_t posted;            /* completions put into mailboxes since the last poll returned */
    uint32_t files_outstanding; /* operations of files, in the kernel or waiting to be taken over */
    uint32_t received;          /* receives with bytes since the last io_park_gathering */
    uint32_t gather_rest;       /* parks that are not to gather */
    uint64_t stale;             /* completions of earlier uses of a slot, dropped */
    uint64_t next_deadline_ns;  /* of all ports' timers; UINT64_MAX: none is set */
    struct io_port *ports[URING_PORTS_MAX];
    uint32_t ports_high; /* one more than the highest index in use */

    struct uring_descriptor *descriptors;
    uint32_t descriptors_max;

    struct uring_buffers buffers[IO_BUFFER_GROUPS];
};

/* What the kernel is given as user_data, and hands back with each completion. */
static inline uint64_t uring_name(uint32_t generation, uint32_t port, uint32_t slot) {
    return (uint64_t)generation << 32 | (uint64_t)port << 24 | slot;
}

/* ---- uring_create.c ---- */

/* Lets the calling thread submit; arms the wake descriptor.  Called before the first submission. */
void uring_enable(struct io *io);

/* Hands the buffers of every registered group to a new ring.  Returns 0 or a positive errno. */
int uring_buffers_attach(struct io *io);

/* Frees what registering took; the ring is gone. */
void uring_buffers_free(struct io *io);

/* ---- uring_loop.c ---- */

/* Arms the operation that io_wake completes. */
void uring_wake_arm(struct io *io);

/* A free entry of the submission ring; submits what is queued if there is none. */
struct io_uring_sqe *uring_entry(struct io *io);

/* Submits now if fewer than `count` entries are free: a chain is not cut in two. */
void uring_entries_together(struct io *io, uint32_t count);

/*
 * Whether the kernel took the first part of a chain and left the rest in the ring, as it does if it
 * has no memory for one more request.  Then the link is lost: the rest would be a chain of its own.
 */
bool uring_chain_cut(const struct io *io);

/* Takes a slot; asserts that the port has one left. */
struct uring_operation *uring_start(struct io_port *port, enum io_kind kind, int32_t handle,
                                    uint64_t user);

/* Names the entry after the operation, so that its completion finds it. */
void uring_entry_name(struct io_uring_sqe *entry, const struct io_port *port,
                      const struct uring_operation *operation);

/* Delivers a completion; without IO_MORE the slot is freed. */
void uring_deliver(struct io_port *port, struct uring_operation *operation, int32_t result,
                   uint8_t flags, uint32_t buffer);

/* Asks the kernel to cancel what this slot has started. */
void uring_cancel(const struct io_port *port, uint32_t slot);

/* Cancels the operation armed on a handle of this door; nothing if there is none. */
void uring_cancel_armed(struct io *io, int32_t handle);

/* The door's knowledge of a handle. */
struct uring_descriptor *uring_descriptor(struct io *io, int32_t handle);

/* ---- uring_socket.c, uring_connect.c, uring_file.c ---- */

/* A completion from the kernel for a busy slot, of a socket's operation; of a file's. */
void uring_socket_completed(struct io_port *port, struct uring_operation *operation, int32_t result,
                            uint32_t entry_flags);
void uring_connect_completed(struct io_port *port, struct uring_operation *operation,
                             int32_t result);
void uring_file_completed(struct io_port *port, struct uring_operation *operation, int32_t result,
                          bool of_sync);

#endif
