#ifndef WEIR_MACHINES_KV_HASH_H
#define WEIR_MACHINES_KV_HASH_H

/* Hashes: what their files share, and what kv_validate.c needs. */

#include "machines/kv_collection.h"

/* An argument as bytes. */
static inline struct kv_bytes kv_bytes_of(struct machine_argument argument) {
    return (struct kv_bytes){argument.data, argument.length_bytes};
}

/* HRANDFIELD key [count [WITHVALUES]]: KV_COUNT_NONE (kv_set.h), if there is no count. False after
 * the error. */
bool kv_options_hrandfield(const struct machine_argument *arguments, uint32_t count,
                           int64_t *wanted, bool *with_values, struct reply_writer *error);

/* Judges the form of a command about hashes, for kv_validate; false after the error. */
bool kv_validate_hash(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                      const struct machine_options *options, struct reply_writer *error);

#endif
