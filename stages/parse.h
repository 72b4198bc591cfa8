#ifndef WEIR_STAGES_PARSE_H
#define WEIR_STAGES_PARSE_H

/*
 * The parse stage: bytes in, commands with hashed keys out.  See parse.c for how a command that
 * arrives in pieces is put together.
 */

#include "stages/directory.h"
#include "stages/stage.h"

/* Given by whoever starts the pipeline. */
struct parse_options {
    const struct directory *directory; /* borrowed */
};

#endif
