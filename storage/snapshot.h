#ifndef WEIR_STORAGE_SNAPSHOT_H
#define WEIR_STORAGE_SNAPSHOT_H

/*
 * Snapshots: the machine's state at an index, as a file.
 *
 * A snapshot is written to a temporary name while the machine goes on applying, synced, read back
 * and verified, renamed, and the directory synced; only then may the log be compacted.  It is
 * restored only after its checksums were verified from the first byte to the last.  The file says
 * whose it is (cluster, node, incarnation), the last index it covers with term, chain and log
 * time, the configuration, the genesis, the machine's name and version, and its digests; the
 * client sessions' bytes and then the machine's follow in checksummed blocks (docs/formats.md).
 *
 * At start the newest complete snapshot is used; a damaged one is corruption unless an older one
 * is there from which the log still continues.  Temporary files are removed.
 */

#include <stdbool.h>
#include <stdint.h>

#include "entry/entry.h"
#include "storage/identity.h"

enum {
    SNAPSHOT_MACHINE_NAME_BYTES_MAX = 32,
    SNAPSHOT_BLOCK_BYTES = 256 * 1024,
    /* The most that can be reserved at once: a block without its header. */
    SNAPSHOT_RESERVE_BYTES_MAX = SNAPSHOT_BLOCK_BYTES - 32,
};

struct snapshot_meta {
    struct entry_tail tail; /* of the last entry it covers */
    struct configuration configuration;
    struct entry_genesis genesis;
    char machine_name[SNAPSHOT_MACHINE_NAME_BYTES_MAX];
    uint32_t machine_version;
    uint32_t digest_count; /* partitions */
    uint64_t digests[ENTRY_PARTITIONS_MAX];
    uint32_t session_version; /* of the format of the client sessions; 0 without any */
    uint64_t session_bytes;   /* so many of the bytes, the first ones, are the client sessions' */
    uint64_t machine_bytes;   /* all bytes, the sessions' too; filled in by the writer */
};

/* ---- writing: the shard that owns it, on its own port ------------------------------------- */

struct snapshot_writer;

enum snapshot_state {
    SNAPSHOT_IDLE,
    SNAPSHOT_WRITING,  /* reserve and commit are allowed */
    SNAPSHOT_SEALING,  /* finish was called: syncing, verifying, renaming */
    SNAPSHOT_COMPLETE, /* durable under its name; meta is final */
    SNAPSHOT_FAILED,   /* abandoned: nothing remains; snapshot_error says why; not fatal */
};

/* Operations that a writer may have outstanding on its port. */
enum { SNAPSHOT_OPERATIONS_MAX = 4 };

/* Allocates the writer and its buffers.  `rate_bytes_s` bounds its disk bandwidth as far as
 * snapshot_pace_ns is heeded (0: no bound).  Errors: WEIR_ENOMEM. */
int snapshot_writer_create(struct snapshot_writer **out, struct io *io, struct io_port *port,
                           int32_t directory, const struct identity *identity,
                           uint64_t rate_bytes_s);

/* Waits for what is in flight and frees; blocks.  A snapshot that is not COMPLETE is given up: its
 * temporary file is left for the next start to remove. */
void snapshot_writer_destroy(struct snapshot_writer *writer);

/* Begins a snapshot; state must not be WRITING or SEALING. */
void snapshot_begin(struct snapshot_writer *writer, const struct snapshot_meta *meta);

/* Room for up to length_bytes (at most SNAPSHOT_RESERVE_BYTES_MAX) contiguous bytes, or NULL if the
 * buffers are full for now (also while the file is being created, and once it has failed). */
uint8_t *snapshot_reserve(struct snapshot_writer *writer, uint32_t length_bytes);

/* The first length_bytes of the room last reserved are filled. */
void snapshot_commit(struct snapshot_writer *writer, uint32_t length_bytes);

/* All bytes are in: seal it. */
void snapshot_finish(struct snapshot_writer *writer);

/* Gives up the one under way, if there is one: FAILED once what is in flight has come back. */
void snapshot_abandon(struct snapshot_writer *writer);

/* Length of the file of a COMPLETE one. */
uint64_t snapshot_writer_file_bytes(const struct snapshot_writer *writer);

/* Offers a completion; true if it was the writer's. */
bool snapshot_completion(struct snapshot_writer *writer, const struct io_completion *completion);

/* Moves on; call once a poll. */
enum snapshot_state snapshot_poll(struct snapshot_writer *writer, uint64_t now_ns);

/*
 * Before this time (monotonic; may be long past) whoever fills it and can wait does: then no more
 * than rate_bytes_s are written, over any time, but for two blocks.  Who cannot wait, since what is
 * to be emitted is about to change, fills on: the others wait the longer.
 */
uint64_t snapshot_pace_ns(const struct snapshot_writer *writer);

/* What was given to snapshot_begin; machine_bytes is complete once the state is COMPLETE. */
const struct snapshot_meta *snapshot_writer_meta(const struct snapshot_writer *writer);

/* The sentence of SNAPSHOT_FAILED. */
const char *snapshot_error(const struct snapshot_writer *writer);

/* ---- reading: start-up and tools; blocks --------------------------------------------------- */

struct snapshot_reader;

/*
 * Opens the newest snapshot that verifies; *out is NULL with success if there is none.
 * Errors: WEIR_ECORRUPT, WEIR_EIDENTITY, WEIR_EVERSION, WEIR_EIO.
 */
int snapshot_open(struct snapshot_reader **out, struct io *io, struct io_port *port,
                  int32_t directory, const struct identity *identity, struct snapshot_meta *meta,
                  struct error_text *error);

/* The next bytes of the sessions' and then the machine's state, borrowed until the next call; 0
 * bytes at the end. */
int snapshot_read(struct snapshot_reader *reader, const uint8_t **bytes, size_t *length_bytes,
                  struct error_text *error);

/* Length of its file. */
uint64_t snapshot_reader_file_bytes(const struct snapshot_reader *reader);

/* Frees; at any time. */
void snapshot_close(struct snapshot_reader *reader);

/* Removes the snapshots that are older than the one before snapshot `index`, which is in use.
 * Start-up; what cannot be removed stays.  Errors: WEIR_EIO: the directory cannot be listed. */
int snapshot_prune_behind(struct io *io, struct io_port *port, int32_t directory, uint64_t index);

/* Removes all but the newest `keep` snapshots, and temporary files.  Start-up and tools. */
int snapshot_prune(struct io *io, struct io_port *port, int32_t directory, uint32_t keep);

#endif
