#ifndef WEIR_STAGES_READ_H
#define WEIR_STAGES_READ_H

/*
 * The read stage: owner of connections' receiving halves, and of the empty batches.
 *
 * A free batch is a receive buffer in the kernel's hands.  A filled one goes to parse and comes
 * home from write; giving the buffer back is giving the batch back.  Markers (batches without a
 * buffer) carry the end of a connection through the pipeline behind its last batch.
 *
 * A connection, as read sees it:
 *
 *     FREE ──accept──► OPEN ──end of stream, error, notice──► ENDING ──all home──► MARKED
 *      ▲                                                                             │
 *      └──────────────────────────────── marker home ────────────────────────────────┘
 *
 *   OPEN     receiving, or paused: at its limit of batches, or for want of buffers
 *   ENDING   no more is received; its batches under way come home (and go round again if they have
 *            unparsed commands), the receive has given its final completion
 *   MARKED   the marker is under way; write closes the socket when it meets it
 */

#include "stages/stage.h"

/* Given by whoever starts the pipeline. */
struct read_options {
    const char *listen_address; /* "host:port"; borrowed until start */
    /* Called once on read's thread when the node accepts clients; may be NULL. */
    void (*on_serving)(void *context, uint16_t port);
    void *context;
};

#endif
