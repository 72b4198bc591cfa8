#ifndef WEIR_TESTS_MACHINES_KV_REPLICAS_H
#define WEIR_TESTS_MACHINES_KV_REPLICAS_H

/*
 * What is asked of replicas whatever the commands: of a random stream from a list of templates
 * (kv_templates.h), with budgets drawn for each command. Each is a test's whole body.
 */

#include "tests/machines/driver.h"
#include "tests/machines/kv_templates.h"

enum { KV_REPLICAS_PARTITION_BITS = 3 };

/* Asserts that two machines have the same state, as their digests tell. */
void kv_replicas_assert_equal(struct driver *a, struct driver *b, uint64_t log_time_ms);

/* One machine applies everything, with a client that listens. Another begins with a snapshot of
 * the first part, restored in pieces, and applies the rest as a follower. */
void kv_replicas_snapshot_and_rest(const char *const *templates, uint32_t value_bytes_max);

/* A snapshot that is written while the commands go on describes the moment of its beginning. */
void kv_replicas_snapshot_is_of_its_beginning(const char *const *templates,
                                              uint32_t value_bytes_max);

#endif
