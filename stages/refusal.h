#ifndef WEIR_STAGES_REFUSAL_H
#define WEIR_STAGES_REFUSAL_H

/*
 * The words of a refusal.
 *
 * A refused command was definitely not applied, and its error says why.  Where Redis 7.0 has the
 * same refusal the text is its, byte for byte: clients compare them.  The others begin with a code
 * word that clients know: TRYAGAIN (overload: the same command may succeed a moment later),
 * CLUSTERDOWN (no leader, or stopping), MISCONF (no room on the disk), OOM.
 *
 * Pure; any thread that owns the batch.
 */

#include "stages/batch.h"
#include "stages/directory.h"

/*
 * Writes the error of a FATE_REFUSED command.  If it does not fit the writer says so: give it room
 * and call again.  Reads the command's arguments, which must still be there.
 */
void refusal_write(struct reply_writer *writer, const struct batch *batch,
                   const struct batch_command *command, const struct directory *directory);

#endif
