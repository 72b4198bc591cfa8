/*
 * The loop of a core: submit, reap, park; ports and their timers.
 *
 * The happy path of io_poll: what was started since the last call is handed to the kernel with one
 * system call, which also runs what the kernel has deferred; then finished completions are read
 * from the shared ring, and each goes to the mailbox of the port that its name says.
 *
 * When nothing was started the kernel says by a bit in shared memory (TASKRUN) whether it has
 * something deferred.  So a core that polls without work makes no system call.
 *
 * Timers live here and not in the kernel: one deadline a port, replaced often, read only against
 * a clock that costs 20 ns.  A park ends at the earliest of them.
 *
 * Failure modes:
 *   - a mailbox is full: reaping stops there, so that the order is kept, until its owner takes
 *     something.  The kernel's ring then fills, the kernel keeps what does not fit (NODROP), and
 *     ends armed receives, which is how the backpressure reaches the sockets.
 *   - the submission ring is full: it is submitted early.
 *   - the kernel has no memory for a request (EAGAIN), or was interrupted: it stays queued.  If
 *     that was within a chain, the process ends: what follows in it would no longer wait.
 */

#include "io/uring.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

/* ---- ports ------------------------------------------------------------------------------- */

int io_port_create(struct io *io, struct io_port **out, uint32_t operations_max) {
    ASSERT(operations_max > 0 && operations_max < URING_SLOTS_MAX);
    uint32_t index = 0;
    while (index < URING_PORTS_MAX && io->ports[index] != NULL)
        index++;
    ASSERT(index < URING_PORTS_MAX);

    struct io_port *port = calloc(1, sizeof(*port));
    if (port == NULL)
        return WEIR_ENOMEM;
    port->operations = calloc(operations_max, sizeof(*port->operations));
    if (port->operations == NULL)
        goto fail_port;
    if (io_mailbox_create(&port->mailbox, operations_max) != 0)
        goto fail_operations;
    for (uint32_t slot = 0; slot < operations_max; slot++)
        port->operations[slot].next_free = slot + 1 < operations_max ? slot + 1 : UINT32_MAX;
    port->first_connect = UINT32_MAX;
    port->io = io;
    port->operations_max = operations_max;
    port->index = index;
    io->ports[index] = port;
    if (io->ports_high <= index)
        io->ports_high = index + 1;
    *out = port;
    return 0;

fail_operations:
    free(port->operations);
fail_port:
    free(port);
    return WEIR_ENOMEM;
}

void io_port_destroy(struct io_port *port) {
    ASSERT(port->outstanding == 0);
    ASSERT(io_mailbox_count(&port->mailbox) == 0);
    port->io->ports[port->index] = NULL;
    io_mailbox_destroy(&port->mailbox);
    free(port->operations);
    free(port);
}

uint32_t io_take(struct io_port *port, struct io_completion *completions, uint32_t max) {
    return io_mailbox_take(&port->mailbox, completions, max, &port->outstanding);
}

uint32_t io_outstanding(const struct io_port *port) {
    return port->outstanding;
}

/* ---- operations -------------------------------------------------------------------------- */

struct uring_operation *uring_start(struct io_port *port, enum io_kind kind, int32_t handle,
                                    uint64_t user) {
    ASSERT_HOT(port->outstanding < port->operations_max);
    ASSERT_HOT(handle >= 0);
    uint32_t slot = port->first_free;
    ASSERT_HOT(slot != UINT32_MAX); /* busy slots are fewer than outstanding operations */
    struct uring_operation *operation = &port->operations[slot];
    ASSERT_HOT(!operation->busy);
    port->first_free = operation->next_free;
    port->outstanding++;
    operation->user = user;
    operation->handle = handle;
    operation->kind = (uint8_t)kind;
    operation->busy = true;
    port->io->files_outstanding += kind > IO_SEND;
    return operation;
}

void uring_entry_name(struct io_uring_sqe *entry, const struct io_port *port,
                      const struct uring_operation *operation) {
    uint32_t slot = (uint32_t)(operation - port->operations);
    io_uring_sqe_set_data64(entry, uring_name(operation->generation, port->index, slot));
}

void uring_deliver(struct io_port *port, struct uring_operation *operation, int32_t result,
                   uint8_t flags, uint32_t buffer) {
    ASSERT_HOT(operation->busy);
    io_mailbox_put(&port->mailbox, (struct io_completion){.user = operation->user,
                                                          .result = result,
                                                          .buffer = buffer,
                                                          .kind = operation->kind,
                                                          .flags = flags});
    port->io->posted++;
    if (flags & IO_MORE)
        return;
    operation->busy = false;
    port->io->files_outstanding -= operation->kind > IO_SEND;
    operation->generation++;
    operation->next_free = port->first_free;
    port->first_free = (uint32_t)(operation - port->operations);
}

struct uring_descriptor *uring_descriptor(struct io *io, int32_t handle) {
    ASSERT_HOT(handle >= 0 && (uint32_t)handle < io->descriptors_max);
    return &io->descriptors[handle];
}

void uring_cancel(const struct io_port *port, uint32_t slot) {
    ASSERT(slot < port->operations_max && port->operations[slot].busy);
    struct io_uring_sqe *entry = uring_entry(port->io);
    io_uring_prep_cancel64(entry, uring_name(port->operations[slot].generation, port->index, slot),
                           0);
    io_uring_sqe_set_flags(entry, IOSQE_CQE_SKIP_SUCCESS);
    io_uring_sqe_set_data64(entry, uring_name(0, URING_PORT_INTERNAL, URING_CANCEL));
}

void uring_cancel_armed(struct io *io, int32_t handle) {
    const struct uring_descriptor *descriptor = uring_descriptor(io, handle);
    if (descriptor->armed_slot == 0)
        return; /* its final completion is in the mailbox already */
    uint32_t slot = descriptor->armed_slot - 1;
    const struct io_port *port = io->ports[descriptor->armed_port];
    ASSERT(port != NULL && port->operations[slot].busy);
    ASSERT(port->operations[slot].handle == handle);
    uring_cancel(port, slot);
}

/* ---- submitting and reaping -------------------------------------------------------------- */

bool uring_chain_cut(const struct io *io) {
    const struct io_uring_sq *sq = &io->ring.sq;
    unsigned head = IO_URING_READ_ONCE(*sq->khead);
    return head != sq->sqe_tail && (sq->sqes[(head - 1) & sq->ring_mask].flags & IOSQE_IO_LINK);
}

/* What a call that submits has answered.  EBUSY: the completion ring is full, and is emptied. */
static void submit_judge(const struct io *io, int result) {
    ASSERT(result >= 0 || result == -ETIME || result == -EAGAIN || result == -EBUSY ||
           result == -EINTR);
    ASSERT(!uring_chain_cut(io)); /* a sync would run ahead of its write and be believed */
}

struct io_uring_sqe *uring_entry(struct io *io) {
    if (!io->enabled)
        uring_enable(io);
    struct io_uring_sqe *entry = io_uring_get_sqe(&io->ring);
    while (entry == NULL) {
        /* Full.  A submission always makes room, unless the kernel has no memory at all. */
        submit_judge(io, io_uring_submit(&io->ring));
        entry = io_uring_get_sqe(&io->ring);
    }
    return entry;
}

void uring_entries_together(struct io *io, uint32_t count) {
    if (!io->enabled)
        uring_enable(io);
    while (io_uring_sq_space_left(&io->ring) < count) {
        submit_judge(io, io_uring_submit(&io->ring));
    }
}

void uring_wake_arm(struct io *io) {
    /* Edge by edge: every write to the descriptor gives one completion; it is never read. */
    struct io_uring_sqe *entry = uring_entry(io);
    io_uring_prep_poll_multishot(entry, io->wake_descriptor, POLLIN);
    io_uring_sqe_set_data64(entry, uring_name(0, URING_PORT_INTERNAL, URING_WAKE));
}

static void internal_completed(struct io *io, const struct io_uring_cqe *completion) {
    uint32_t which = (uint32_t)(completion->user_data & (URING_SLOTS_MAX - 1));
    if (which == URING_CANCEL)
        return; /* it came too late: the operation's own completion is on its way */
    if (which == URING_CLOSE)
        return; /* the descriptor is gone whatever close says */
    ASSERT(which == URING_WAKE);
    io->woken = true;
    if (completion->flags & IORING_CQE_F_MORE)
        return;
    uring_wake_arm(io);
}

/* Handles one completion; false if it has to stay because its mailbox is full. */
static bool reap_one(struct io *io, const struct io_uring_cqe *completion) {
    uint32_t index = (uint32_t)(completion->user_data >> 24) & 0xff;
    if (index == URING_PORT_INTERNAL) {
        internal_completed(io, completion);
        return true;
    }
    bool of_sync = (index & URING_PORT_SYNC) != 0;
    index &= URING_PORT_SYNC - 1;
    uint32_t slot = (uint32_t)(completion->user_data & (URING_SLOTS_MAX - 1));
    uint32_t generation = (uint32_t)(completion->user_data >> 32);
    struct io_port *port = index < URING_PORTS_MAX ? io->ports[index] : NULL;
    if (port == NULL || slot >= port->operations_max ||
        port->operations[slot].generation != generation || !port->operations[slot].busy) {
        io->stale++;
        return true;
    }
    if (io_mailbox_full(&port->mailbox))
        return false;
    struct uring_operation *operation = &port->operations[slot];
    if (operation->kind <= IO_SEND)
        uring_socket_completed(port, operation, completion->res, completion->flags);
    else
        uring_file_completed(port, operation, completion->res, of_sync);
    return true;
}

static void reap(struct io *io) {
    struct io_uring_cqe *completion;
    unsigned head;
    unsigned seen = 0;
    io_uring_for_each_cqe(&io->ring, head, completion) {
        if (!reap_one(io, completion))
            break;
        seen++;
    }
    io_uring_cq_advance(&io->ring, seen);
}

/* ---- timers ------------------------------------------------------------------------------ */

static void timers_find_next(struct io *io) {
    io->next_deadline_ns = UINT64_MAX;
    for (uint32_t i = 0; i < io->ports_high; i++) {
        const struct io_port *port = io->ports[i];
        if (port != NULL && port->timer_set && port->timer_deadline_ns < io->next_deadline_ns)
            io->next_deadline_ns = port->timer_deadline_ns;
    }
}

/* Ends the port's timer; the completion is local, so the mailbox has room for it. */
static void timer_complete(struct io_port *port, int32_t result) {
    ASSERT(port->timer_set);
    port->timer_set = false;
    io_mailbox_put(
        &port->mailbox,
        (struct io_completion){.user = port->timer_user, .result = result, .kind = IO_TIMER});
    port->io->posted++;
}

void io_timer_set(struct io_port *port, uint64_t deadline_ns, uint64_t user) {
    ASSERT(port->outstanding < port->operations_max);
    if (port->timer_set)
        timer_complete(port, -ECANCELED);
    port->outstanding++;
    port->timer_set = true;
    port->timer_deadline_ns = deadline_ns;
    port->timer_user = user;
    timers_find_next(port->io);
}

void io_timer_stop(struct io_port *port) {
    if (!port->timer_set)
        return;
    timer_complete(port, -ECANCELED);
    timers_find_next(port->io);
}

static void timers_fire(struct io *io) {
    if (io->next_deadline_ns == UINT64_MAX)
        return;
    uint64_t now_ns = clock_monotonic_ns();
    if (now_ns < io->next_deadline_ns)
        return;
    for (uint32_t i = 0; i < io->ports_high; i++) {
        struct io_port *port = io->ports[i];
        if (port != NULL && port->timer_set && port->timer_deadline_ns <= now_ns)
            timer_complete(port, 0);
    }
    timers_find_next(io);
}

/* ---- poll, park, wake -------------------------------------------------------------------- */

/* What was put into mailboxes since the last report. */
static uint32_t posted_report(struct io *io) {
    uint32_t posted = io->posted;
    io->posted = 0;
    return posted;
}

uint32_t io_poll(struct io *io) {
    if (!io->enabled)
        uring_enable(io);
    ASSERT_HOT(pthread_equal(io->owner, pthread_self()));
    int result = 0;
    io->called = true;
    if (io_uring_sq_ready(&io->ring) != 0)
        result = io_uring_submit_and_get_events(&io->ring);
    else if (IO_URING_READ_ONCE(*io->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW))
        result = io_uring_get_events(&io->ring);
    else
        io->called = false;
    submit_judge(io, result);
    timers_fire(io);
    reap(io);
    return posted_report(io);
}

bool io_called(const struct io *io) {
    return io->called;
}

/* What is left of timeout_ns and until the next timer; UINT64_MAX: for ever. */
static uint64_t park_limit_ns(const struct io *io, uint64_t timeout_ns) {
    if (io->next_deadline_ns == UINT64_MAX)
        return timeout_ns;
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t left_ns = io->next_deadline_ns > now_ns ? io->next_deadline_ns - now_ns : 0;
    return left_ns < timeout_ns ? left_ns : timeout_ns;
}

static struct __kernel_timespec timespec_of(uint64_t ns) {
    return (struct __kernel_timespec){.tv_sec = (long long)(ns / CLOCK_NS_PER_S),
                                      .tv_nsec = (long long)(ns % CLOCK_NS_PER_S)};
}

uint32_t io_park(struct io *io, uint64_t timeout_ns) {
    if (!io->enabled)
        uring_enable(io);
    ASSERT(pthread_equal(io->owner, pthread_self()));
    if (io->posted != 0 || io->woken || io_uring_cq_ready(&io->ring) != 0) {
        uint32_t posted = io_poll(io);
        if (posted != 0 || io->woken) {
            io->woken = false;
            return posted;
        }
    }
    /* What still waits for room in a mailbox does not end the wait: one more completion does. */
    unsigned ready = io_uring_cq_ready(&io->ring);
    timeout_ns = park_limit_ns(io, timeout_ns);
    struct __kernel_timespec timeout = timespec_of(timeout_ns);
    struct io_uring_cqe *completion;
    int result = io_uring_submit_and_wait_timeout(&io->ring, &completion, ready + 1,
                                                  timeout_ns == UINT64_MAX ? NULL : &timeout, NULL);
    submit_judge(io, result);
    timers_fire(io);
    reap(io);
    io->woken = false;
    return posted_report(io);
}

enum {
    GATHER_MAX = 64,        /* the most that one park waits for */
    GATHER_REST_PARKS = 64, /* parks without gathering after one that has waited for nothing */
};

/* How many receives to wait for: as many as came between the last two parks.  One client that waits
 * for its one reply is one, and not waited for. */
static uint32_t gather_count(struct io *io) {
    uint32_t count = io->received < GATHER_MAX ? io->received : GATHER_MAX;
    io->received = 0;
    if (io->gather_rest > 0) {
        io->gather_rest--;
        return 1;
    }
    bool idle = io->enabled && io->posted == 0 && !io->woken && io_uring_sq_ready(&io->ring) == 0 &&
                io_uring_cq_ready(&io->ring) == 0;
    bool allowed = (io->features & IO_FEATURE_GATHER) && io->files_outstanding == 0;
    return idle && allowed ? count : 1;
}

uint32_t io_park_gathering(struct io *io, uint64_t gather_ns) {
    uint32_t count = gather_count(io);
    uint64_t limit_ns = park_limit_ns(io, UINT64_MAX);
    if (count < 2 || limit_ns <= gather_ns)
        return io_park(io, UINT64_MAX);
    ASSERT(pthread_equal(io->owner, pthread_self()));
    struct __kernel_timespec timeout = timespec_of(limit_ns);
    /* `pad` is min_wait_usec since 6.12: until it is over `count` are waited for, then one. */
    struct io_uring_getevents_arg wait = {
        .pad = (uint32_t)(gather_ns / 1000),
        .ts = limit_ns == UINT64_MAX ? 0 : (uint64_t)(uintptr_t)&timeout,
    };
    int result = io_uring_enter2((unsigned)io->ring.ring_fd, 0, count,
                                 IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                                 (sigset_t *)(void *)&wait, sizeof(wait));
    ASSERT(result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN ||
           result == -EBUSY);
    timers_fire(io);
    reap(io);
    io->woken = false;
    if (io->received < 2)
        io->gather_rest = GATHER_REST_PARKS;
    return posted_report(io);
}

void io_wake(struct io *io) {
    uint64_t one = 1;
    ssize_t written = write(io->wake_descriptor, &one, sizeof(one));
    /* EAGAIN: 2^64 wakes that nobody read; the descriptor is readable, which is what is asked. */
    ASSERT(written == (ssize_t)sizeof(one) || errno == EAGAIN || errno == EINTR);
}

struct io_completion io_wait(struct io_port *port) {
    struct io_completion completion;
    while (io_take(port, &completion, 1) == 0) {
        ASSERT(port->outstanding > 0);
        io_park(port->io, UINT64_MAX);
    }
    return completion;
}
