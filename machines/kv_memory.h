#ifndef WEIR_MACHINES_KV_MEMORY_H
#define WEIR_MACHINES_KV_MEMORY_H

/*
 * MEMORY: what a key costs in the memory of its partition.
 */

#include "machines/kv.h"

/* What MEMORY was asked for. */
struct kv_memory_options {
    bool help;       /* HELP, which has no key */
    int64_t samples; /* of USAGE: how many elements are looked at, from 1; all: INT64_MAX */
};

/* Reads the arguments, at least one. False after the error: another subcommand than USAGE and HELP,
 * a word too few or too many, or an option of USAGE that is none. `error` may be NULL. Pure. */
bool kv_options_memory(const struct machine_argument *arguments, uint32_t count,
                       struct kv_memory_options *options, struct reply_writer *error);

#endif
