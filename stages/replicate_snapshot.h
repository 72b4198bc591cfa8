#ifndef WEIR_STAGES_REPLICATE_SNAPSHOT_H
#define WEIR_STAGES_REPLICATE_SNAPSHOT_H

/* What the other files of the replicate stage ask of replicate_snapshot.c: snapshots between
 * members, and the log behind this node's own.  One owner: the stage's thread. */

#include <stdbool.h>
#include <stdint.h>

#include "io/io.h"
#include "raft/raft.h"

struct replicate_shard;

/* Makes what is needed for snapshots; start-up.  Errors: WEIR_ENOMEM. */
int replicate_snapshots_create(struct replicate_shard *shard);
void replicate_snapshots_destroy(struct replicate_shard *shard);

/* Bytes of a piece of a snapshot. */
uint32_t replicate_snapshot_chunk_bytes(const struct replicate_shard *shard);

/* SEND of a SNAPSHOT: the piece is read first. */
void replicate_snapshot_send(struct replicate_shard *shard, const struct raft_message *message);

/* SNAPSHOT_CHUNK: of the message under way. */
void replicate_snapshot_chunk(struct replicate_shard *shard, const struct raft_message *message);

/* This node follows, and has no room, or no file descriptor, for the snapshot that it is sent. */
bool replicate_snapshot_out_of_room(const struct replicate_shard *shard);

/* SNAPSHOT_INSTALL. */
void replicate_snapshot_install(struct replicate_shard *shard, const struct raft_snapshot *snapshot,
                                uint64_t epoch);

/* From then until the core has been told that it is done: nothing is handed on, and nothing
 * reported as stored or applied. */
bool replicate_installing(const struct replicate_shard *shard);

/* Offers a completion; true if it was one of these. */
bool replicate_snapshot_completion(struct replicate_shard *shard,
                                   const struct io_completion *completion);

/* Goes on with all of it, once a poll; returns the work done. */
uint32_t replicate_snapshot_turn(struct replicate_shard *shard);

/* The node stops: nothing more is begun. */
void replicate_snapshot_stop(struct replicate_shard *shard);

#endif
