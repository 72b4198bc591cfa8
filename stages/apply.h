#ifndef WEIR_STAGES_APPLY_H
#define WEIR_STAGES_APPLY_H

/*
 * The apply stage: owner of the machine.
 *
 * It works through the ring replicate_apply, which is the one order.  An item is a range of
 * entries, a batch, or a batch beside its one entry; in the last case the batch's reads run between
 * its writes, where the client put them, and the writes are decoded from the entry, exactly as on
 * a replica that has no batch.
 *
 * Replies are written to the batch's own room; a reply that does not fit gets a block of this
 * shard's arena.  A read whose reply finds no memory is refused; a write always applies.
 *
 * Nothing long: the machine is given a budget for each poll, and an item that is not finished is
 * gone on with at the next one; nothing else is applied meanwhile.
 *
 * Snapshots: when the log has grown enough, the state is fixed and written out in slices between
 * the items, through a file of its own on this core's io.
 */

#include "stages/directory.h"
#include "stages/stage.h"

/* Given by whoever starts the pipeline. */
struct apply_options {
    const struct directory *directory; /* borrowed */
    /* Progress of the restore of a snapshot; may be NULL. */
    void (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_total);
    void *context;
};

/* For whoever checks a stepped pipeline (pipeline_look): the digest of the machine's partitions, in
 * one number, right after the entry at *index.  False, and both unchanged, while there is no
 * machine, while an entry is only half applied, and once the machine is used no more. */
bool apply_look_digest(const void *state, uint64_t *index, uint64_t *digest);

#endif
