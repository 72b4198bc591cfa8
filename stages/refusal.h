#ifndef WEIR_STAGES_REFUSAL_H
#define WEIR_STAGES_REFUSAL_H

/*
 * The words of a refusal.
 *
 * A refused command was definitely not applied, and its error says why.  Where Redis 7.0 has the
 * same refusal the text is its, byte for byte: clients compare them.  The others begin with a code
 * word that clients know: TRYAGAIN (overload: the same command may succeed a moment later),
 * CLUSTERDOWN (no leader, or stopping), MISCONF (no room on the disk, or on those of a majority),
 * OOM.
 *
 * A command that needs the leader, on a node that is none:
 *
 *   MOVED <slot> <host:port>   it has a key, and the leader and its client address are known
 *   READONLY                   it is a write without a key, and the leader is known
 *   CLUSTERDOWN                otherwise
 *
 * Who leads is a glance at a figure: the error is a hint, and the one it names decides itself.
 *
 * Pure but for that glance; any thread that owns the batch.
 */

#include "stages/batch.h"
#include "stages/directory.h"
#include "stages/node.h"

/*
 * Writes the error of a FATE_REFUSED command.  If it does not fit the writer says so: give it room
 * and call again.  Reads the command's arguments, which must still be there.
 */
void refusal_write(struct reply_writer *writer, const struct batch *batch,
                   const struct batch_command *command, const struct directory *directory,
                   const struct node *node);

/* What that may cost beyond a usual reply, in units of stages/stage.h: the slot of a long key. */
uint32_t refusal_units(const struct batch *batch, const struct batch_command *command,
                       const struct directory *directory);

#endif
