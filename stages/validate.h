#ifndef WEIR_STAGES_VALIDATE_H
#define WEIR_STAGES_VALIDATE_H

/*
 * The validate stage: refuses what must not cost a quorum, and answers what is about the
 * connection.
 *
 * It is the owner of each connection's protocol state (stages/connection_protocol.h), and stamps
 * every command with what later stages need of it: its fate, and the protocol version of its reply.
 * No later stage looks at a connection's state.
 *
 * The order of the checks is Redis's: unknown command, number of arguments, authentication, memory
 * limit, the machine's own check of the command's form.  Then the size of the batch's entry.
 */

#include "stages/directory.h"
#include "stages/stage.h"

/* Given by whoever starts the pipeline. */
struct validate_options {
    const struct directory *directory; /* borrowed */
};

#endif
