#ifndef WEIR_STORAGE_VOTE_H
#define WEIR_STORAGE_VOTE_H

/*
 * Term and vote: the two numbers that a node must never forget.
 *
 * The file "vote" has two slots, each on sectors of its own.  A change is written to the first
 * slot and synced, then to the second and synced; only then is it stored and may anything that
 * depends on it be sent.  Both slots normally hold the same record.  At start:
 *
 *   both valid and equal      that record
 *   both valid, different     the one with the higher sequence (a crash between the two writes);
 *                             the other is rewritten before anything else happens
 *   one valid                 that one; the other is rewritten and synced, and a warning logged
 *   none valid                corruption: the node refuses to start; it never begins anew
 *
 * One valid slot is safe to trust only because nothing is sent before both are synced: a slot
 * that was lost after that has a twin with the same or a later record.
 *
 * They are synced in every durability mode.  A record also carries cluster, node and incarnation.
 * Owner: the replicate thread after start-up.
 */

#include <stdbool.h>
#include <stdint.h>

#include "storage/identity.h"

struct vote_record {
    uint64_t term;
    uint64_t voted_for; /* node id, 0 for nobody in this term */
};

struct vote_file;

/*
 * Creates the file with this record in both slots and syncs it and the directory.  For
 * identity_create.  Errors: WEIR_EEXISTS, WEIR_ENOSPC, WEIR_EIO, WEIR_ENOMEM.
 */
int vote_create(struct io *io, struct io_port *port, int32_t directory,
                const struct identity *identity, const struct vote_record *record,
                struct error_text *error);

/* Opens and repairs it as above.  Start-up; blocks.
 * Errors: WEIR_ECORRUPT, WEIR_EIDENTITY (another node's file), WEIR_ENOENT, WEIR_EIO. */
int vote_open(struct vote_file **out, struct io *io, struct io_port *port, int32_t directory,
              const struct identity *identity, struct vote_record *record,
              struct error_text *error);

/* Starts storing a record; one at a time (asserted).  Term never goes back (asserted). */
void vote_store(struct vote_file *file, const struct vote_record *record);

/* True while a store is under way. */
bool vote_busy(const struct vote_file *file);

/* Offers a completion of the port.  True if it was the vote file's.  When the record has become
 * durable *stored is set; a failed write or sync sets *failed to a negative errno and is final. */
bool vote_completion(struct vote_file *file, const struct io_completion *completion, bool *stored,
                     int *failed);

/* Waits for nothing: asserts that no store is under way, closes, frees. */
void vote_close(struct vote_file *file);

#endif
