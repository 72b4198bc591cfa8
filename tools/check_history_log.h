#ifndef WEIR_TOOLS_CHECK_HISTORY_LOG_H
#define WEIR_TOOLS_CHECK_HISTORY_LOG_H

/*
 * The log of a stopped node, read whole, for weir check-history: every entry that counts, verified
 * by the functions that the node itself starts with.
 *
 * Which of several logs holds everything that was committed? An entry is committed when a majority
 * of the voters has it, and who has a later term, or the same and a longer log, has all of them
 * (Ongaro's dissertation, 3.6). So among the logs of any majority it is the one that would win an
 * election. Its last entries may be committed or not; a history is judged as if they were, since
 * with that node as leader they will be.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "entry/configuration.h"
#include "entry/entry.h"

/* Zeroed, it is empty. Owned by the caller: check_log_free. */
struct check_log {
    bool is_whole;         /* it begins with entry 1; false: a snapshot stands for the beginning */
    uint64_t first_index;  /* of the entries that are there */
    struct entry_tail end; /* of its last entry; index 0 if there is none */
    uint64_t cluster_id;
    uint64_t node_id;
    struct configuration configuration; /* the last one; without a member if there is none */
    uint8_t *bytes;                     /* the entries, one behind the other, 8-byte aligned */
    size_t bytes_used;
    size_t bytes_max;
    size_t *offsets; /* of entry first_index + i */
    size_t offset_count;
    size_t offsets_max;
};

/*
 * Reads the data directory of a node that does not run, and changes nothing. Blocks; allocates what
 * the log holds. Errors, with a sentence and an empty log: WEIR_ENOENT (no such directory, or no
 * log in it), WEIR_ELOCKED (the node runs), WEIR_ECORRUPT, WEIR_EIDENTITY, WEIR_EVERSION (the log
 * is damaged; weir inspect shows where), WEIR_EIO, WEIR_EDENIED, WEIR_ENOMEM.
 */
int check_log_read(struct check_log *log, const char *directory, struct error_text *error);

/* Frees what was read, and leaves an empty log. */
void check_log_free(struct check_log *log);

/* The entry, whole, or NULL if it is not there. A committed_entry; `log` is a struct check_log. */
const uint8_t *check_log_entry(const void *log, uint64_t index);

/* Whether `a` would win an election against `b`: a later last term, or the same and longer. */
bool check_log_is_newer(const struct check_log *a, const struct check_log *b);

/*
 * Whether the nodes with these ids are a majority of the configuration's voters (of both sets, if
 * it is a joint one).
 */
bool check_log_is_majority(const struct configuration *configuration, const uint64_t *node_ids,
                           uint32_t count);

#endif
