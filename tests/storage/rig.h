#ifndef WEIR_TESTS_STORAGE_RIG_H
#define WEIR_TESTS_STORAGE_RIG_H

/*
 * A log on the simulated disk of one node, made anew for each test: the set-up of test_log.c and
 * test_log_disk.c.
 */

#include "tests/storage/fixture.h"

#include "sim/world.h"

/* What every test of the rig acts on: one at a time, on one thread. */
extern struct world *world;
extern struct fixture fixture;
extern const char rig_path[]; /* the data directory */

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_begin, rig_end)

/* A world with one node and its data directory; the log is not open. */
int rig_begin(void **state);

/* Frees the world, with whatever a test that failed left in it. */
int rig_end(void **state);

/* Opens the log, and waits until its next segment is ready. */
void rig_open_log(void);

/* Appends so many entries with arguments of so many bytes; there must be room. */
void rig_append(uint32_t count, uint32_t bytes);

#endif
