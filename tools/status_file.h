#ifndef WEIR_TOOLS_STATUS_FILE_H
#define WEIR_TOOLS_STATUS_FILE_H

/*
 * What a node says of itself while it serves nobody, for `weir status` on the same machine.
 *
 * A node lets clients in once it knows what is committed; a member that has not met the others, or
 * was started again in a minority, does not.  Then its main thread writes a file once a second,
 * beside the gauge file: where the node listens, and the sections of INFO that weir status shows.
 * The file is gone as soon as the node serves, and counts only while its process lives.  So: where
 * there is such a file its node serves nobody, and it is a second old at most.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stages/node.h"
#include "tools/config.h"
#include "tools/status_ask.h"

/* The longest path of such a file: that of a gauge file (62 bytes), and what is put behind it. */
enum { STATUS_FILE_PATH_BYTES = 160 };

/*
 * Writes the file beside the gauge file `gauge_path` (empty: there is no shared memory, nothing is
 * done), whole or not at all: it is renamed into its place.  That it cannot be written is no
 * failure.  The main thread; blocks for a moment.
 */
void status_file_write(const char *gauge_path, struct node *node, const struct config *config);

/* Removes it, if it is there. */
void status_file_remove(const char *gauge_path);

/*
 * Looks for the file of a living process that listens at `place`: at this very address, or at all
 * of the machine's with this port.  True: `out` gets the text, zero-terminated.
 */
bool status_file_find(const struct config_place *place, char out[STATUS_TEXT_BYTES]);

#endif
