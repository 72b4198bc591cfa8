/*
 * The io_uring door when the host or the kernel does not do as asked.
 *
 * A host that refuses: a forked child puts a filter on its own system calls, so that io_uring_setup
 * answers with a chosen errno; the sentence must say what to do.
 *
 * A kernel that does less than asked: entries that the door has queued are changed before they are
 * submitted, so that they move fewer bytes, or are something that answers -EAGAIN.  The completions
 * are the kernel's own, and the door cannot tell.
 */

#include "tests/io/door_fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/random.h"
#include "tests/death.h"
#include "tests/io/uring_hindered.h"

/* ---- a host that refuses ----------------------------------------------------------------- */

struct refusal {
    uint32_t call;
    int number; /* the errno of the call */
    int status; /* what io_create must return */
    const char *advice;
};

/* In a child: prints what io_create says, and ends with 0 if its code is the expected one. */
static void create_refused(void *context) {
    const struct refusal *refusal = context;
    if (!filter_call(refusal->call, SECCOMP_RET_ERRNO | (uint32_t)refusal->number))
        _exit(2);
    struct io_options options = {
        .submissions_max = 64, .completions_max = 64, .features_allowed = IO_FEATURES_ALL};
    struct error_text error = {0};
    struct io *io = NULL;
    int status = io_create(&io, &options, &error);
    fprintf(stderr, "%s", error.text);
    _exit(status == refusal->status && io == NULL ? 0 : 3);
}

static void a_refused_ring_is_a_sentence_that_says_what_to_do(void **state) {
    (void)state;
    static const struct refusal REFUSALS[] = {
        {__NR_io_uring_setup, ENOSYS, WEIR_EUNSUPPORTED, "Linux 6.1"},
        {__NR_io_uring_setup, EINVAL, WEIR_EUNSUPPORTED, "Linux 6.1"},
        {__NR_io_uring_setup, EPERM, WEIR_EUNSUPPORTED, "io_uring"},
        {__NR_io_uring_setup, ENOMEM, WEIR_ENOMEM, "memory"},
        {__NR_io_uring_setup, EMFILE, WEIR_ELIMIT, "ulimit -n"},
        {__NR_io_uring_setup, ENXIO, WEIR_EUNSUPPORTED, "io_uring_setup failed"},
        {__NR_io_uring_enter, EPERM, WEIR_EUNSUPPORTED, "io_uring_enter"},
        {__NR_io_uring_enter, ENOSYS, WEIR_EUNSUPPORTED, "io_uring_enter"},
        {__NR_io_uring_register, EPERM, WEIR_EUNSUPPORTED, "io_uring_register"},
        {__NR_io_uring_register, ENOSYS, WEIR_EUNSUPPORTED, "io_uring_register"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(REFUSALS); i++) {
        struct death death;
        death_run(create_refused, (void *)(uintptr_t)&REFUSALS[i], &death);
        assert_int_equal(death.signal_number, 0);
        assert_int_equal(death.exit_status, 0);
        assert_non_null(strstr(death.text, REFUSALS[i].advice));
    }
}

/* ---- system calls ------------------------------------------------------------------------ */

/* In a child that a system call ends: polls with, or without, something to submit. */
static void poll_without_calls(void *context) {
    const bool *starts = context;
    struct io_options options = {
        .submissions_max = 64, .completions_max = 64, .features_allowed = IO_FEATURES_ALL};
    struct io *io = NULL;
    struct io_port *port = NULL;
    if (io_create(&io, &options, NULL) != 0 || io_port_create(io, &port, 4) != 0)
        _exit(2);
    io_poll(io); /* submits what the door itself needs */
    if (!filter_call(__NR_io_uring_enter, SECCOMP_RET_KILL_PROCESS))
        _exit(2);
    if (*starts)
        io_directory_sync(port, 0, 0);
    for (int i = 0; i < 1000; i++)
        io_poll(io);
    _exit(0);
}

static void polling_without_work_makes_no_system_call(void **state) {
    (void)state;
    struct death death;
    bool starts = false;
    death_run(poll_without_calls, &starts, &death);
    assert_int_equal(death.signal_number, 0);
    assert_int_equal(death.exit_status, 0);
    starts = true; /* the filter does bite */
    death_run(poll_without_calls, &starts, &death);
    assert_int_not_equal(death.signal_number, 0);
}

/* ---- a kernel that does less ------------------------------------------------------------- */

/* Makes every queued transfer shorter, to a multiple of `unit`, but not empty. */
static int shorten(struct io *io, struct random *random, uint32_t unit) {
    struct io_uring_sqe *entries[64];
    uint32_t count = queued(io, entries);
    int shortened = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i]->opcode != IORING_OP_WRITE && entries[i]->opcode != IORING_OP_READ)
            continue;
        uint32_t units = entries[i]->len / unit;
        if (units < 2)
            continue;
        entries[i]->len = unit * (uint32_t)(1 + random_below(random, units - 1));
        shortened++;
    }
    return shortened;
}

static struct io_completion next_shortened(struct door_fixture *fixture, struct random *random,
                                           uint32_t unit, int *shortened) {
    struct io_completion completion;
    for (int pumps = 0; io_take(fixture->port, &completion, 1) == 0; pumps++) {
        assert_true(pumps < DOOR_PUMPS_MAX);
        *shortened += shorten(fixture->io, random, unit);
        io_park(fixture->io, 1000000);
    }
    return completion;
}

static void transfers_are_continued(struct door_fixture *fixture, const char *name, uint32_t flags,
                                    uint32_t unit_wanted) {
    enum { LENGTH = 32 * 4096 };
    char path[512];
    int32_t directory = door_directory(fixture, path, name);
    int32_t file = door_file_open(fixture, directory, "f", IO_OPEN_WRITE | IO_OPEN_CREATE | flags);
    assert_true(file >= 0);
    uint32_t unit = unit_wanted != 0 ? unit_wanted : io_file_alignment_bytes(fixture->io, file);
    uint8_t *bytes = aligned_alloc(4096, LENGTH);
    uint8_t *back = aligned_alloc(4096, LENGTH);
    assert_non_null(bytes);
    assert_non_null(back);
    for (size_t i = 0; i < LENGTH; i++)
        bytes[i] = door_pattern(i);
    memset(back, 0, LENGTH);
    struct random random;
    random_seed(&random, 99);
    int shortened = 0;

    struct iovec piece = {bytes, LENGTH};
    io_file_write(fixture->port, file, &piece, 1, 0, IO_SYNC, 1);
    assert_int_equal(next_shortened(fixture, &random, unit, &shortened).result, LENGTH);
    assert_true(shortened > 1);
    shortened = 0;
    io_file_read(fixture->port, file, back, LENGTH, 0, 2);
    assert_int_equal(next_shortened(fixture, &random, unit, &shortened).result, LENGTH);
    assert_true(shortened > 1);
    assert_memory_equal(back, bytes, LENGTH);
    io_close(fixture->io, file);
    io_close(fixture->io, directory);
    free(bytes);
    free(back);
}

static void short_transfers_are_continued(void **state) {
    transfers_are_continued(*state, "short-cached", 0, 7);
}

static void short_direct_transfers_are_continued(void **state) {
    transfers_are_continued(*state, "short-direct", IO_OPEN_DIRECT, 0);
}

static void short_writes_of_several_pieces_are_continued(void **state) {
    struct door_fixture *fixture = *state;
    enum { PIECES = 5, PIECE = 1000 };
    char path[512];
    int32_t directory = door_directory(fixture, path, "short-pieces");
    int32_t file = door_file_open(fixture, directory, "f", IO_OPEN_WRITE | IO_OPEN_CREATE);
    uint8_t bytes[PIECES * PIECE];
    uint8_t back[PIECES * PIECE];
    struct iovec pieces[PIECES];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = door_pattern(i);
    for (size_t i = 0; i < PIECES; i++)
        pieces[i] = (struct iovec){bytes + i * PIECE, PIECE};
    io_file_write(fixture->port, file, pieces, PIECES, 0, IO_NO_SYNC, 1);
    struct io_uring_sqe *entries[64];
    uint32_t count = queued(fixture->io, entries);
    assert_int_equal(entries[count - 1]->opcode, IORING_OP_WRITEV);
    entries[count - 1]->len = 2; /* pieces: the kernel writes 2000 bytes */
    struct random random;
    random_seed(&random, 4);
    int shortened = 0;
    assert_int_equal(next_shortened(fixture, &random, 1, &shortened).result, sizeof(bytes));
    assert_true(shortened > 1);
    io_file_read(fixture->port, file, back, sizeof(back), 0, 2);
    assert_int_equal(door_expect(fixture, IO_FILE_READ, 2).result, sizeof(back));
    assert_memory_equal(back, bytes, sizeof(back));
    io_close(fixture->io, file);
    io_close(fixture->io, directory);
}

static void a_transfer_that_would_block_is_started_again(void **state) {
    struct door_fixture *fixture = *state;
    char path[512];
    int32_t directory = door_directory(fixture, path, "again");
    int32_t file = door_file_open(fixture, directory, "f", IO_OPEN_WRITE | IO_OPEN_CREATE);
    struct iovec piece = {(void *)(uintptr_t) "again", 5};
    io_file_write(fixture->port, file, &piece, 1, 0, IO_SYNC, 1);

    /* In its place: a receive on a socket that has nothing, which answers -EAGAIN at once. */
    int sockets[2];
    uint8_t byte;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    struct io_uring_sqe *entries[64];
    uint32_t count = queued(fixture->io, entries);
    uint64_t name = entries[count - 1]->user_data;
    io_uring_prep_recv(entries[count - 1], sockets[0], &byte, 1, MSG_DONTWAIT);
    entries[count - 1]->user_data = name;

    assert_int_equal(door_expect(fixture, IO_FILE_WRITE, 1).result, 5);
    char back[5];
    io_file_read(fixture->port, file, back, 5, 0, 2);
    assert_int_equal(door_expect(fixture, IO_FILE_READ, 2).result, 5);
    assert_memory_equal(back, "again", 5);
    close(sockets[0]);
    close(sockets[1]);
    io_close(fixture->io, file);
    io_close(fixture->io, directory);
}

/* ---- a write and its sync, linked -------------------------------------------------------- */

enum { LINKED_BYTES = 32 * 4096 };

/* A file whose range was written before, and a pattern to write over it. */
struct linked {
    int32_t directory;
    int32_t file;
    uint8_t *bytes;
    struct iovec piece;
};

/* Writes over it, linked: which is done where writes are direct, as on every disk. */
static void linked_begin(struct linked *linked, struct door_fixture *fixture, const char *name) {
    char path[512];
    linked->directory = door_directory(fixture, path, name);
    linked->file = door_file_open(fixture, linked->directory, "f",
                                  IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_DIRECT);
    assert_true(linked->file >= 0);
    linked->bytes = aligned_alloc(4096, LINKED_BYTES);
    assert_non_null(linked->bytes);
    linked->piece = (struct iovec){linked->bytes, LINKED_BYTES};
    memset(linked->bytes, 0, LINKED_BYTES);
    io_file_write(fixture->port, linked->file, &linked->piece, 1, 0, IO_SYNC, 1);
    assert_int_equal(door_expect(fixture, IO_FILE_WRITE, 1).result, LINKED_BYTES);
    if (!uring_descriptor(fixture->io, linked->file)->direct)
        fail_msg("%s takes no direct writes: set TMPDIR to a directory on a disk", path);
    for (size_t i = 0; i < LINKED_BYTES; i++)
        linked->bytes[i] = door_pattern(i);
    io_file_write(fixture->port, linked->file, &linked->piece, 1, 0, IO_SYNC_REWRITE, 2);
}

static void linked_read(struct linked *linked, struct door_fixture *fixture, uint8_t *back) {
    io_file_read(fixture->port, linked->file, back, LINKED_BYTES, 0, 3);
    assert_int_equal(door_expect(fixture, IO_FILE_READ, 3).result, LINKED_BYTES);
}

static void linked_end(struct linked *linked, struct door_fixture *fixture) {
    uint8_t *back = aligned_alloc(4096, LINKED_BYTES);
    assert_non_null(back);
    linked_read(linked, fixture, back);
    assert_memory_equal(back, linked->bytes, LINKED_BYTES);
    free(back);
    free(linked->bytes);
    io_close(fixture->io, linked->file);
    io_close(fixture->io, linked->directory);
}

/* Lets things happen until an entry of this operation is queued; nothing may complete meanwhile. */
static const struct io_uring_sqe *queued_next(struct door_fixture *fixture, uint8_t opcode) {
    struct io_uring_sqe *entries[64];
    for (int pumps = 0; pumps < DOOR_PUMPS_MAX; pumps++) {
        struct io_completion completion;
        io_park(fixture->io, 1000000);
        assert_int_equal(io_take(fixture->port, &completion, 1), 0);
        uint32_t count = queued(fixture->io, entries);
        for (uint32_t i = 0; i < count; i++)
            if (entries[i]->opcode == opcode)
                return entries[i];
    }
    fail_msg("no entry of operation %u was queued", opcode);
    return NULL;
}

/* The kernel itself writes less: to the largest size of a file that the process is allowed. */
static void a_linked_write_that_falls_short_is_continued(void **state) {
    struct door_fixture *fixture = *state;
    enum { SHORT_BYTES = 8 * 4096 };
    struct linked linked;
    linked_begin(&linked, fixture, "linked-short");
    struct rlimit was;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    struct rlimit limit = {.rlim_cur = SHORT_BYTES, .rlim_max = was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const struct io_uring_sqe *rest = queued_next(fixture, IORING_OP_WRITE);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(rest->off, SHORT_BYTES);
    assert_int_equal(rest->len, LINKED_BYTES - SHORT_BYTES);
    assert_true(rest->flags & IOSQE_IO_LINK);
    assert_int_equal(door_expect(fixture, IO_FILE_WRITE, 2).result, LINKED_BYTES);
    door_expect_silence(fixture);
    linked_end(&linked, fixture);
}

/* The write says that all of it was moved; but since it says so itself, nothing was synced. */
static void a_write_whose_link_was_cut_is_synced_before_it_is_over(void **state) {
    struct door_fixture *fixture = *state;
    struct linked linked;
    linked_begin(&linked, fixture, "linked-cut");
    struct io_uring_sqe *entries[64];
    uint32_t count = queued(fixture->io, entries);
    assert_true(count >= 2 && entries[count - 1]->opcode == IORING_OP_FSYNC);
    entries[count - 2]->flags = 0;
    io_uring_prep_nop(entries[count - 1]);
    entries[count - 1]->user_data = UINT64_C(5) << 24; /* nobody's */
    queued_next(fixture, IORING_OP_FSYNC);
    assert_int_equal(door_expect(fixture, IO_FILE_WRITE, 2).result, LINKED_BYTES);
    door_expect_silence(fixture);
    linked_end(&linked, fixture);
}

static void a_failed_sync_is_the_error_of_its_write(void **state) {
    struct door_fixture *fixture = *state;
    struct linked linked;
    linked_begin(&linked, fixture, "linked-sync");
    struct io_uring_sqe *entries[64];
    uint32_t count = queued(fixture->io, entries);
    uint64_t name = entries[count - 1]->user_data;
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    io_uring_prep_fsync(entries[count - 1], pipes[0], 0); /* which cannot be synced */
    entries[count - 1]->user_data = name;
    assert_int_equal(door_expect(fixture, IO_FILE_WRITE, 2).result, -EINVAL);
    door_expect_silence(fixture);
    close(pipes[0]);
    close(pipes[1]);
    linked_end(&linked, fixture);
}

static void a_failed_write_runs_no_sync(void **state) {
    struct door_fixture *fixture = *state;
    struct linked linked;
    linked_begin(&linked, fixture, "linked-write");
    struct io_uring_sqe *entries[64];
    uint32_t count = queued(fixture->io, entries);
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    entries[count - 2]->fd = pipes[0]; /* the end that cannot be written to */
    assert_int_equal(door_expect(fixture, IO_FILE_WRITE, 2).result, -EBADF);
    door_expect_silence(fixture);
    assert_int_equal(fixture->io->stale, 0);
    close(pipes[0]);
    close(pipes[1]);
    memset(linked.bytes, 0, LINKED_BYTES);
    linked_end(&linked, fixture);
}

/* The kernel takes one entry of the two, as if it had no memory for the other. */
static void a_chain_taken_in_part_is_noticed(void **state) {
    struct door_fixture *fixture = *state;
    struct io *io = fixture->io;
    struct linked linked;
    io_poll(io);
    linked_begin(&linked, fixture, "linked-part");
    assert_false(uring_chain_cut(io));
    struct io_uring_sqe *entries[64];
    assert_int_equal(queued(io, entries), 2);
    IO_URING_WRITE_ONCE(*io->ring.sq.ktail, io->ring.sq.sqe_tail);
    long taken = syscall(__NR_io_uring_enter, io->ring.ring_fd, 1, 0, 0, NULL, 0);
    assert_int_equal(taken, 1);
    assert_true(uring_chain_cut(io));
    taken = syscall(__NR_io_uring_enter, io->ring.ring_fd, 1, 0, 0, NULL, 0);
    assert_int_equal(taken, 1);
    io->ring.sq.sqe_head = io->ring.sq.sqe_tail;
    assert_false(uring_chain_cut(io));
    /* Here is the danger: the sync is over, and the write may not be. */
    assert_int_equal(door_expect(fixture, IO_FILE_WRITE, 2).result, LINKED_BYTES);
    uint8_t *back = aligned_alloc(4096, LINKED_BYTES);
    assert_non_null(back);
    uint32_t reads = 0;
    do {
        assert_true(reads++ < DOOR_PUMPS_MAX);
        linked_read(&linked, fixture, back);
    } while (memcmp(back, linked.bytes, LINKED_BYTES) != 0);
    free(back);
    linked_end(&linked, fixture);
}

static void a_completion_of_an_earlier_use_of_a_slot_is_dropped(void **state) {
    struct door_fixture *fixture = *state;
    /* Entries that are named as an operation that is over, and as one that never was. */
    io_timer_set(fixture->port, 1, 1);
    door_expect(fixture, IO_TIMER, 1);
    static const uint64_t NAMES[] = {
        UINT64_C(0x7fffffff) << 32, /* slot 0 of port 0, a generation to come */
        UINT64_C(5) << 24,          /* a port that does not exist */
        UINT64_C(0xfffff),          /* a slot that does not exist */
        0,                          /* slot 0, which is free */
    };
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        struct io_uring_sqe *entry = uring_entry(fixture->io);
        io_uring_prep_nop(entry);
        io_uring_sqe_set_data64(entry, NAMES[i]);
    }
    door_expect_silence(fixture);
    assert_int_equal(fixture->io->stale, ARRAY_COUNT(NAMES));
}

/* ---- running ----------------------------------------------------------------------------- */

static char base_path[256];

static struct io *open_door(void) {
    struct io_options options = {
        .submissions_max = 64, .completions_max = 128, .features_allowed = IO_FEATURES_ALL};
    struct error_text error = {0};
    struct io *io = NULL;
    if (io_create(&io, &options, &error) != 0)
        fail_msg("%s", error.text);
    return io;
}

static const char *door_path(void) {
    return base_path;
}

static void pump(struct io *io) {
    io_park(io, 1000000);
}

static const struct door_kind KIND = {
    .name = "io_uring", .open = open_door, .close = io_destroy, .path = door_path, .pump = pump};

int main(void) {
    const char *temporary = getenv("TMPDIR");
    snprintf(base_path, sizeof(base_path), "%s/weir-io-XXXXXX",
             temporary != NULL ? temporary : "/tmp");
    if (mkdtemp(base_path) == NULL) {
        perror(base_path);
        return 1;
    }
    door_kind = &KIND;
#define DOOR_TEST(test) \
    cmocka_unit_test_setup_teardown(test, door_fixture_setup, door_fixture_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_ring_is_a_sentence_that_says_what_to_do),
        cmocka_unit_test(polling_without_work_makes_no_system_call),
        DOOR_TEST(short_transfers_are_continued),
        DOOR_TEST(short_direct_transfers_are_continued),
        DOOR_TEST(short_writes_of_several_pieces_are_continued),
        DOOR_TEST(a_transfer_that_would_block_is_started_again),
        DOOR_TEST(a_linked_write_that_falls_short_is_continued),
        DOOR_TEST(a_write_whose_link_was_cut_is_synced_before_it_is_over),
        DOOR_TEST(a_failed_sync_is_the_error_of_its_write),
        DOOR_TEST(a_failed_write_runs_no_sync),
        DOOR_TEST(a_chain_taken_in_part_is_noticed),
        DOOR_TEST(a_completion_of_an_earlier_use_of_a_slot_is_dropped),
    };
    int failed = cmocka_run_group_tests_name("io_uring, hindered", tests, NULL, NULL);
    char command[300];
    snprintf(command, sizeof(command), "rm -r %s", base_path);
    return system(command) != 0 || failed != 0;
}
