/*
 * Creating, adopting and closing a door on io_uring.
 *
 * The happy path: io_create makes a ring that is disabled.  The first thread that adopts it, or
 * polls it, or starts something on it enables it, and from then on the kernel refuses every other
 * thread (single issuer).  So a door can be made by the main thread, which can report what the host
 * refuses, and given to a core.
 *
 * Failure modes:
 *   - the host refuses io_uring (old kernel, sysctl, seccomp, limits): a sentence says which and
 *     what to do; there is no second data path behind this one.
 *   - a feature is unknown to the kernel, or not allowed by the caller: the ring is made without.
 *   - adopted after the creating thread has used it (it opened files, say): the kernel cannot
 *     change the owner of a ring, so the ring is made anew; nothing is pending by contract.
 */

#include "io/uring.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/decimal.h"

/* The content of a sysctl that holds one number; -1 if there is none. */
static int read_sysctl(const char *path) {
    char text[24] = {0};
    int64_t value = -1;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return -1;
    if (fgets(text, sizeof(text), file) != NULL)
        text[strcspn(text, "\n")] = '\0';
    fclose(file);
    return decimal_parse_i64(text, strlen(text), &value) == 0 ? (int)value : -1;
}

static int refused_permission(struct error_text *error) {
    switch (read_sysctl("/proc/sys/kernel/io_uring_disabled")) {
    case 2:
        error_text_set(error,
                       "io_uring is switched off on this host (kernel.io_uring_disabled is 2): "
                       "run 'sysctl kernel.io_uring_disabled=0' as root");
        break;
    case 1:
        error_text_set(
            error, "io_uring is kept for privileged processes (kernel.io_uring_disabled is 1): run "
                   "'sysctl kernel.io_uring_disabled=0' as root, or put this user's group into "
                   "kernel.io_uring_group");
        break;
    default:
        error_text_set(
            error, "io_uring is forbidden here, probably by a container's seccomp profile: allow "
                   "io_uring_setup, io_uring_enter and io_uring_register in it (docker: "
                   "--security-opt seccomp=unconfined)");
        break;
    }
    return WEIR_EUNSUPPORTED;
}

static int refused_memory(struct error_text *error) {
    struct rlimit limit = {0};
    getrlimit(RLIMIT_MEMLOCK, &limit);
    if (limit.rlim_cur == RLIM_INFINITY)
        error_text_set(error,
                       "the kernel has no memory for an io_uring: raise the memory limit of this "
                       "container or free memory");
    else
        error_text_set(
            error,
            "the kernel gave no memory for an io_uring; this process may lock %llu KiB: raise "
            "that ('ulimit -l unlimited', LimitMEMLOCK= of systemd), or the memory limit of "
            "its container",
            (unsigned long long)limit.rlim_cur / 1024);
    return WEIR_ENOMEM;
}

/* Turns the errno of a refused ring into a code and a sentence. */
static int refused(int number, struct error_text *error) {
    ASSERT(number > 0);
    switch (number) {
    case ENOSYS:
        error_text_set(error, "this kernel has no io_uring, or a container's seccomp profile hides "
                              "it: Linux 6.1 or newer, built with CONFIG_IO_URING, is needed, and "
                              "a profile that allows io_uring_setup, io_uring_enter and "
                              "io_uring_register");
        return WEIR_EUNSUPPORTED;
    case EINVAL:
        error_text_set(error, "this kernel's io_uring is too old: Linux 6.1 or newer is needed");
        return WEIR_EUNSUPPORTED;
    case EPERM:
    case EACCES: return refused_permission(error);
    case ENOMEM: return refused_memory(error);
    case EMFILE:
    case ENFILE:
        error_text_set(error, "no file descriptor is left for an io_uring: raise 'ulimit -n' "
                              "(LimitNOFILE= of systemd)");
        return WEIR_ELIMIT;
    default:
        error_text_set(error, "io_uring_setup failed: %s", strerror(number));
        return WEIR_EUNSUPPORTED;
    }
}

/* The operations that this door starts; all are in Linux 6.0, and the last one came with it, as
 * multishot receive did, which cannot be probed by itself. */
static const uint8_t OPERATIONS_NEEDED[] = {
    IORING_OP_ACCEPT,   IORING_OP_RECV,         IORING_OP_SEND,     IORING_OP_SENDMSG,
    IORING_OP_OPENAT,   IORING_OP_READ,         IORING_OP_WRITE,    IORING_OP_WRITEV,
    IORING_OP_FSYNC,    IORING_OP_FALLOCATE,    IORING_OP_RENAMEAT, IORING_OP_UNLINKAT,
    IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL, IORING_OP_CONNECT,  IORING_OP_SEND_ZC,
};

/* IORING_FEAT_MIN_TIMEOUT, newer than the headers of the floor. */
enum { URING_FEAT_MIN_TIMEOUT = 1 << 15 };

static bool operations_supported(struct io_uring *ring) {
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    if (probe == NULL)
        return false;
    bool supported =
        (ring->features & IORING_FEAT_EXT_ARG) && (ring->features & IORING_FEAT_NODROP);
    for (size_t i = 0; i < ARRAY_COUNT(OPERATIONS_NEEDED); i++)
        supported = supported && io_uring_opcode_supported(probe, OPERATIONS_NEEDED[i]);
    io_uring_free_probe(probe);
    return supported;
}

/* Makes the ring with the newest allowed features that the kernel takes.  0 or a positive errno. */
static int ring_create(struct io *io) {
    /* Each attempt gives up the newest thing that is left. */
    static const uint32_t ATTEMPTS[] = {
        IO_FEATURE_SINGLE_ISSUER | IO_FEATURE_DEFER_TASKRUN,
        IO_FEATURE_SINGLE_ISSUER,
        0,
    };
    const uint32_t both = IO_FEATURE_SINGLE_ISSUER | IO_FEATURE_DEFER_TASKRUN;
    int result = -EINVAL;
    for (size_t i = 0; i < ARRAY_COUNT(ATTEMPTS) && result == -EINVAL; i++) {
        if ((ATTEMPTS[i] & ~io->options.features_allowed) != 0)
            continue;
        struct io_uring_params parameters = {
            .flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE |
                     IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
            .cq_entries = io->options.completions_max,
        };
        if (ATTEMPTS[i] & IO_FEATURE_SINGLE_ISSUER)
            parameters.flags |= IORING_SETUP_SINGLE_ISSUER;
        if (ATTEMPTS[i] & IO_FEATURE_DEFER_TASKRUN)
            parameters.flags |= IORING_SETUP_DEFER_TASKRUN;
        result = io_uring_queue_init_params(io->options.submissions_max, &io->ring, &parameters);
        if (result == 0)
            io->features = (io->features & ~both) | ATTEMPTS[i];
        if (result == 0 && (io->ring.features & URING_FEAT_MIN_TIMEOUT))
            io->features |= io->options.features_allowed & IO_FEATURE_GATHER;
    }
    return -result;
}

/* A policy may let io_uring_setup pass and stop the other two calls, which would end the process
 * later and without a sentence.  Asked about no ring at all: what gets through has another reason
 * to fail.  0 or a positive errno. */
static int calls_stopped(void) {
    const int results[] = {
        syscall(__NR_io_uring_enter, -1, 0, 0, 0, NULL, 0) < 0 ? errno : 0,
        syscall(__NR_io_uring_register, -1, IORING_REGISTER_PROBE, NULL, 0) < 0 ? errno : 0,
    };
    for (size_t i = 0; i < ARRAY_COUNT(results); i++) {
        ASSERT(results[i] != 0);
        if (results[i] == EPERM || results[i] == EACCES || results[i] == ENOSYS)
            return results[i];
    }
    return 0;
}

/* A table for every descriptor that this process may open. */
static int descriptors_create(struct io *io) {
    struct rlimit limit = {.rlim_cur = 1024};
    getrlimit(RLIMIT_NOFILE, &limit);
    /* The hard limit: the soft one may be raised later. */
    io->descriptors_max = URING_DESCRIPTORS_MAX;
    if (limit.rlim_max < URING_DESCRIPTORS_MAX)
        io->descriptors_max = (uint32_t)limit.rlim_max;
    /* Pages of a large calloc take memory when they are first touched. */
    io->descriptors = calloc(io->descriptors_max, sizeof(*io->descriptors));
    return io->descriptors == NULL ? WEIR_ENOMEM : 0;
}

int io_create(struct io **out, const struct io_options *options, struct error_text *error) {
    ASSERT(IS_POWER_OF_TWO(options->submissions_max));
    ASSERT(options->submissions_max >= 64 && options->submissions_max <= 32768);
    ASSERT(IS_POWER_OF_TWO(options->completions_max));
    ASSERT(options->completions_max >= options->submissions_max);

    struct io *io = calloc(1, sizeof(*io));
    if (io == NULL) {
        error_text_set(error, "no memory for an io door");
        return WEIR_ENOMEM;
    }
    io->options = *options;
    io->features = options->features_allowed & IO_FEATURE_DIRECT_WRITE;
    io->next_deadline_ns = UINT64_MAX;
    int status = descriptors_create(io);
    if (status != 0) {
        error_text_set(error, "no memory for a table of %u descriptors", io->descriptors_max);
        goto fail_io;
    }
    io->wake_descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (io->wake_descriptor < 0) {
        status = refused(errno, error);
        goto fail_descriptors;
    }
    int number = ring_create(io);
    if (number != 0) {
        status = refused(number, error);
        goto fail_wake;
    }
    number = calls_stopped();
    if (number != 0) {
        status = refused(number, error);
        goto fail_ring;
    }
    if (!operations_supported(&io->ring)) {
        status = refused(EINVAL, error);
        goto fail_ring;
    }
    *out = io;
    return 0;

fail_ring:
    io_uring_queue_exit(&io->ring);
fail_wake:
    close(io->wake_descriptor);
fail_descriptors:
    free(io->descriptors);
fail_io:
    free(io);
    return status;
}

void uring_enable(struct io *io) {
    ASSERT(!io->enabled);
    /* liburing 2.3 declares io_uring_enable_rings and forgets to export it. */
    long result =
        syscall(__NR_io_uring_register, io->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    ASSERT(result == 0);
    io->enabled = true;
    io->owner = pthread_self();
    uring_wake_arm(io);
}

void io_adopt(struct io *io) {
    for (uint32_t i = 0; i < io->ports_high; i++)
        ASSERT(io->ports[i] == NULL || io->ports[i]->outstanding == 0);
    if (io->enabled && pthread_equal(io->owner, pthread_self()))
        return;
    if (io->enabled) {
        /* A ring never changes its owner: make another, in the memory that the old one had. */
        io_uring_queue_exit(&io->ring);
        io->enabled = false;
        int number = ring_create(io);
        if (number == 0)
            number = uring_buffers_attach(io);
        if (number != 0)
            UNREACHABLE("the kernel refused a ring in place of one that it had just taken back");
    }
    uring_enable(io);
}

/* Closes the sockets whose close waits for a submission that is not to come any more. */
static void closes_carry_out(struct io *io) {
    const struct io_uring_sq *sq = &io->ring.sq;
    for (unsigned at = IO_URING_READ_ONCE(*sq->khead); at != sq->sqe_tail; at++) {
        const struct io_uring_sqe *entry = &sq->sqes[at & sq->ring_mask];
        if (entry->opcode == IORING_OP_CLOSE)
            close(entry->fd);
    }
}

void io_destroy(struct io *io) {
    for (uint32_t i = 0; i < io->ports_high; i++)
        ASSERT(io->ports[i] == NULL);
    closes_carry_out(io);
    io_uring_queue_exit(&io->ring);
    uring_buffers_free(io);
    close(io->wake_descriptor);
    free(io->descriptors);
    free(io);
}

uint32_t io_features(const struct io *io) {
    return io->features;
}
