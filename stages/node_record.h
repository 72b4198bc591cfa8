#ifndef WEIR_STAGES_NODE_RECORD_H
#define WEIR_STAGES_NODE_RECORD_H

/*
 * Writing and copying the records of connections (struct node_record) while others look.
 *
 * A guarded part is a sequence and words behind it.  Its one writer makes the sequence odd, stores
 * the words, and makes it even again; a reader copies the words between two looks at the sequence
 * and believes the copy only if both showed the same even number.  Each word is stored with
 * release and loaded with acquire: who copied a word of a writer under way has then also seen the
 * odd sequence, so no fence is needed.
 *
 * Nothing here blocks: a reader that finds a writer under way too often gives up.
 */

#include <stdbool.h>

#include "stages/node.h"

/* read: publishes the part from `open` to `address` as in *value. */
void node_record_publish_open(struct node_record *record, const struct node_record *value);

/* validate: publishes name, library_name and library_version as in *value. */
void node_record_publish_names(struct node_record *record, const struct node_record *value);

/* Any thread: copies the whole record; both guarded parts are each of one moment.  False, with
 * *copy undefined, if the slot is not in use or was being written whenever we looked. */
bool node_record_copy(const struct node_record *record, struct node_record *copy);

#endif
