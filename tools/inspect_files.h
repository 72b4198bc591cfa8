#ifndef WEIR_TOOLS_INSPECT_FILES_H
#define WEIR_TOOLS_INSPECT_FILES_H

/* The parts of weir inspect: one for each sort of file.  Each prints what it finds. */

#include "entry/entry.h"
#include "io/io.h"
#include "storage/format.h"
#include "tools/inspect_report.h"

/* More files of one sort than a log can have. */
enum { INSPECT_FILES_MAX = 16384 };

/* A data directory being inspected. */
struct inspection {
    struct io *io;
    struct io_port *port;
    int32_t directory;
    struct report report;
    bool entries; /* print them, those in [entry_first, entry_last] */
    uint64_t entry_first;
    uint64_t entry_last;

    uint64_t *segments; /* numbers, ascending */
    uint32_t segment_count;
    uint64_t *snapshots; /* indices, ascending */
    uint32_t snapshot_count;

    bool has_owner; /* the identity is valid */
    struct owner owner;
    struct entry_tail start; /* of the newest valid snapshot; the origin without one */

    bool has_incarnations; /* there is to be a table of them */
    bool has_vote;         /* term and vote are valid */
    uint64_t vote_term;
    uint64_t last_term; /* the highest of a valid snapshot or of the log's entries */
};

/*
 * The whole file in page-aligned memory, which the caller gives back with files_memory_free
 * (*memory_bytes of it); *length_bytes of it are the file.  Errors: as files_open, files_read;
 * reported as damage.
 */
int inspect_file_read(struct inspection *inspection, const char *name, uint8_t **memory,
                      size_t *memory_bytes, uint64_t *length_bytes);

/* identity.c's file; sets the owner. */
void inspect_identity(struct inspection *inspection);

/* Both slots of the vote file. */
void inspect_vote(struct inspection *inspection);

/* The table of incarnations, if the node is to have one. */
void inspect_incarnations(struct inspection *inspection);

/* All snapshots; sets `start`. */
void inspect_snapshots(struct inspection *inspection);

/* All segments, their writes counted, their entries printed on request. */
void inspect_log(struct inspection *inspection);

/* Whether the files, each valid by itself, are of one moment: reports a vote file that is older
 * than the log. */
void inspect_agreement(struct inspection *inspection);

#endif
