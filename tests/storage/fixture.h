#ifndef WEIR_TESTS_STORAGE_FIXTURE_H
#define WEIR_TESTS_STORAGE_FIXTURE_H

/*
 * What tests of storage share: a door, a data directory, an open log, entries to put into it.
 *
 * The same file serves io_uring (a scratch directory) and the simulated world (a disk that the
 * test may cut, fill and damage): the test hands in the door.
 */

#include "storage/log.h"
#include "storage/vote.h"

#include "tests/cmocka_wrapper.h"

enum {
    FIXTURE_OPERATIONS_MAX = 64,
    FIXTURE_COMMAND_BYTES = 100, /* the argument of an ordinary entry */
};

struct fixture {
    struct io *io;
    struct io_port *port;
    int32_t directory;
    struct identity identity;
    struct log *log;
    struct log_options options;
    struct error_text error;
    uint64_t term;                /* of the entries that fixture_append makes */
    uint32_t found_count;         /* entries that log_open reported */
    struct entry_tail found_tail; /* after these */
};

/* Small segments and memory, so that everything that wraps and rolls does so soon. */
struct log_options fixture_options(enum durability durability);

/* Takes the door, opens and locks the directory; `create`: makes it the one of node 1 of one. */
void fixture_open(struct fixture *fixture, struct io *io, const char *path, bool create);

/* Opens the log from its beginning, or behind `start`; the result of log_open. */
int fixture_log_open(struct fixture *fixture, const struct log_start *start);

/* Stops the log cleanly and closes it. */
void fixture_log_stop(struct fixture *fixture);

/* Fixtures that were opened and not closed: not 0 in the teardown of a test that failed. */
extern uint32_t fixture_open_count;

/* Closes directory and port; the log must be closed.  The door stays the caller's. */
void fixture_close(struct fixture *fixture);

/* Appends an ordinary entry: one command whose argument of `bytes` bytes follows from its index.
 * False if there is no room now. */
bool fixture_append(struct fixture *fixture, uint32_t bytes);

/* Begins the same entry, to be appended in slices: its body is written, and neither chained nor
 * summed.  False if there is no room now. */
bool fixture_append_begin(struct fixture *fixture, uint32_t bytes);

/* The entry that fixture_append would append, as another member would send it; its length. */
size_t fixture_entry_make(struct fixture *fixture, uint32_t bytes, uint8_t *entry);

/* As fixture_append, and pumps until there is room. */
void fixture_append_surely(struct fixture *fixture, uint32_t bytes);

/* Lets one completion of the port reach the log; waits for it. */
void fixture_complete_one(struct fixture *fixture);

/* Flushes and completes until everything appended is durable. */
void fixture_settle(struct fixture *fixture);

/* True if the entry is the one that fixture_append made for that index (with any term). */
bool fixture_entry_is_right(const uint8_t *entry, uint64_t index);

#endif
